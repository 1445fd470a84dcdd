"""What is said of a set's making: the accuracies of that very set."""

import json
import shutil

import pytest
import torch
from commands import call

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.runs.about import about_set

EVALUATE = "evaluate own.safetensors --dataset digits --epochs 1 --networks 1 --width 4 --records scores.jsonl"


def test_accuracies_are_of_this_set_whatever_it_is_called_now(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digits = CondensedSet(torch.rand(10, 1, 8, 8), tuple(range(10)), (1,) * 10, (0.3,), (0.4,))
    digits.save(own := tmp_path / "own.safetensors")
    assert call(*EVALUATE.split()) == 0
    shutil.copy(own, renamed := tmp_path / "renamed.safetensors")
    records = tmp_path / "scores.jsonl"
    said = about_set(own, records)["accuracies"]
    assert said[0].endswith("convnet, augmented, 1 epoch")
    assert about_set(renamed, records)["accuracies"] == said
    CondensedSet(torch.rand(10, 1, 8, 8), tuple(range(10)), (1,) * 10, (0.3,), (0.4,)).save(own)
    with pytest.raises(ValueError, match=r"records of another own\.safetensors: evaluate this one"):
        about_set(own, records)
    old = {k: v for k, v in json.loads(records.read_text()).items() if k != "sha256"}
    records.write_text(json.dumps(old) + "\n")  # as earlier versions left them
    assert about_set(own, records)["accuracies"] == said
