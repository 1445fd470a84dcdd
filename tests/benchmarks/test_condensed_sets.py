"""The sets in the repository: their cards say what their files are."""

import hashlib
import json
from pathlib import Path

import pytest
from campaigns import fill

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.papers.published import published

CELLS = published("ddm-1", "cifar10", 1, "dm")
SETS = Path(__file__).parents[2] / "sets"


def test_every_file_has_a_card_that_is_true(load):
    sets, own = load("condensed_sets"), json.loads((SETS / "sets.json").read_text())
    assert {path.name for path in SETS.glob("*.safetensors")} == {each["file"] for each in own}
    assert sum(each["bytes"] for each in own) < sets.MOST
    assert (SETS / "README.md").read_text() == sets._HEAD + "\n".join(map(sets.card, own))
    for each in own:
        path = SETS / each["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == each["sha256"]
        made = CondensedSet.load(path)
        assert (made.codec, {*made.counts}) == ("uint8", {each["ipc"]})
        assert len(each["evaluated"]["accuracies"]) >= 5


def test_a_card_says_in_which_precision_networks_trained(load, tmp_path):
    fill(tmp_path, CELLS, changes={"training_precision": "bfloat16"})
    sets = load("condensed_sets")
    found = sets.collect(tmp_path, tmp_path / "made")
    assert found
    assert all(" --training-precision bfloat16" in sets.command(own) for own in found.values())


def test_sets_of_a_campaign_are_collected_once(load, tmp_path):
    sets, results = load("condensed_sets"), tmp_path / "results"
    fill(results, CELLS)
    found = sets.collect(results, tmp_path / "sets")
    assert found
    assert {path.name for path in (tmp_path / "sets").glob("*.safetensors")} == found.keys()
    text = (tmp_path / "sets" / "README.md").read_text()
    for own in found.values():
        assert own["sha256"] in text
        assert f"cl-condense evaluate sets/{own['file']} --dataset {own['dataset']}" in text
    assert sets.collect(results, tmp_path / "sets") == found


def test_more_than_a_repository_should_hold_is_refused(load, tmp_path, monkeypatch):
    sets, results = load("condensed_sets"), tmp_path / "results"
    fill(results, CELLS)
    monkeypatch.setattr(sets, "MOST", 5)
    with pytest.raises(ValueError, match="bytes of sets: leave some out"):
        sets.collect(results, tmp_path / "sets")
