"""``cl-condense evaluate`` and ``export`` on what ``condense`` and others wrote."""

import json

import pytest
import torch
from commands import call
from PIL import Image
from safetensors.torch import load_file

from cl_condense.common.drawing import Rhythm
from cl_condense.runs.evaluate_sets import evaluate_files


def test_a_set_is_condensed_evaluated_and_exported(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*"condense --method dm+sm --iterations 3 --width 8 --device cpu".split()) == 0
    shown = capsys.readouterr().out
    assert "20 images of 10 classes" in shown
    made = "condensed/digits-dm+sm-ipc2-seed0"
    for suffix in ("safetensors", "png", "json"):
        assert f"{made}.{suffix}" in " ".join(shown.split())
        assert (tmp_path / f"{made}.{suffix}").exists()
    for kind, out in (("pt", "set.pt"), ("npz", "set.npz"), ("png", "images")):
        assert call("export", f"{made}.safetensors", "--format", kind, "--out", out) == 0
    capsys.readouterr()
    quick = "--epochs 2 --networks 2 --width 8 --device cpu --records scores.jsonl".split()
    assert call("evaluate", f"{made}.safetensors", "set.pt", "images", *quick) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"{made}.safetensors", "set.pt", "images"]
    assert all("% (n = 2), 20 images" in line for line in lines)
    records = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [len(record["accuracies"]) for record in records] == [2, 2, 2]
    assert records[0]["accuracies"] == records[1]["accuracies"]  # the same images, for the same networks
    assert records[0]["recipe"]["name"] == "dm+sm"


def test_a_set_is_evaluated_at_both_precisions(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*"condense --method random --ipc 1 --device cpu --out set.safetensors".split()) == 0
    quick = "--epochs 2 --networks 1 --width 8 --device cpu --records scores.jsonl".split()
    for precision in ("float32", "bfloat16"):
        words = ["--training-precision", precision, "--weights", f"{precision}.safetensors"]
        assert call("evaluate", "set.safetensors", *quick, *words) == 0
    records = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [record["training_precision"] for record in records] == ["float32", "bfloat16"]
    full, reduced = (load_file(f"{precision}.safetensors") for precision in ("float32", "bfloat16"))
    weight = next(name for name, value in full.items() if value.ndim == 4)
    assert 0 < (full[weight] - reduced[weight]).norm() < 0.05 * full[weight].norm()


def test_evaluate_says_in_a_log_how_far_its_networks_are(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("cl_condense.common.drawing.Log.rhythm", Rhythm(first=0, every=0, beat=30))
    made = tmp_path / "set.safetensors"
    assert call(*"condense --method random --ipc 1 --device cpu --out".split(), made) == 0
    capsys.readouterr()
    assert call("evaluate", made, *"--epochs 4 --networks 1 --width 4 --device cpu".split()) == 0
    shown = capsys.readouterr()
    counted = [f"set.safetensors: training {i} of 4 epochs" for i in range(5)]
    assert [line.split(",")[0] for line in shown.err.splitlines()] == [
        *counted,
        "set.safetensors: evaluating 359 of 359",
    ]
    assert "% (n = 1), 10 images" in shown.out


def test_a_set_in_folders_is_evaluated_as_the_classes_of_those_names(tmp_path, capsys, monkeypatch):
    """Folders 2 and 10 of a data set are its classes 1 and 0."""
    for name, value in (("2", 0), ("10", 255)):
        for part in ("data/train", "data/test", "set"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(3):
                Image.new("L", (8, 8), abs(value - 20 * i)).save(tmp_path / part / name / f"{i}.png")
    quick = "--epochs 5 --networks 2 --width 8 --device cpu --evaluation plain".split()
    words = ["evaluate", tmp_path / "set", "--dataset", "folder", "--data", tmp_path / "data", *quick]
    assert call(*words) == 0
    shown = capsys.readouterr().out
    assert ": 100.0 ± 0.0 % (n = 2), 6 images" in shown
    assert shown.endswith(" s (assumed: one image in one)\n")
    (tmp_path / "set" / "2").rename(tmp_path / "set" / "two")
    monkeypatch.chdir(tmp_path)
    assert call("evaluate", "set", *words[2:]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: set: folder 'two' is no class of the data set: known are 0 '10', 1 '2'")


def test_what_is_assumed_of_a_published_file_is_said_and_recorded(tmp_path, capsys):
    generator = torch.Generator().manual_seed(0)
    pairs = [[torch.rand(20, 1, 8, 8, generator=generator), torch.arange(10).repeat(2)] for _ in range(3)]
    torch.save({"data": pairs}, tmp_path / "set.pt")
    quick = "--epochs 2 --networks 1 --width 8 --device cpu".split()
    words = ["evaluate", tmp_path / "set.pt", *quick, "--records", tmp_path / "scores.jsonl"]
    assert call(*words) == 0
    said = " s (assumed: values 0 to 1, one image in one, classes by number; pair 3 of 3)\n"
    assert capsys.readouterr().out.endswith(said)
    assert call(*words, "--factor", 2, "--space", "normalised", "--pair", 1) == 0
    said = " s (assumed: classes by number; values normalised, 4 images in one, pair 1 of 3)\n"
    assert capsys.readouterr().out.endswith(said)
    records = [json.loads(line)["read"] for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert records == [
        {
            "space": "unit",
            "factor": 1,
            "pair": [3, 3],
            "classes": "number",
            "assumed": "space factor classes".split(),
        },
        {"space": "normalised", "factor": 2, "pair": [1, 3], "classes": "number", "assumed": ["classes"]},
    ]


class Stop(BaseException):
    pass


def test_an_evaluation_with_records_goes_on_and_no_record_comes_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("cl_condense.common.checkpoint.EVERY", 0.0)
    sets = [tmp_path / f"{seed}.safetensors" for seed in (0, 1)]
    for seed, path in enumerate(sets):
        condense = "condense --method random --ipc 2 --device cpu --seed".split()
        assert call(*condense, seed, "--out", path) == 0

    def evaluated(records, at=None):
        """Lines and what was told, until the ``at``-th time."""
        told = []

        def on_progress(progress):
            told.append(progress)
            if len(told) == at:
                raise Stop

        options = {"records": records, "device": "cpu", "networks": 2, "epochs": 3, "width": 8}
        lines = evaluate_files(sets, "digits", None, False, watch=lambda name: on_progress, **options)
        return [*lines], told

    whole, told = evaluated(tmp_path / "whole.jsonl")
    want = recorded(tmp_path / "whole.jsonl")
    assert len(want) == 2
    for at in range(1, len(told) + 1):
        records = tmp_path / f"{at}.jsonl"
        with pytest.raises(Stop):
            evaluated(records, at)
        lines, rest = evaluated(records)
        assert [line.split(" in ")[0].split(", ")[0] for line in lines] == [
            line.split(" in ")[0].split(", ")[0] for line in whole
        ]
        assert recorded(records) == want
        assert len(rest) <= len(told) - at + 2  # each set tells once that it begins
    assert sorted(p.name for p in tmp_path.iterdir() if "checkpoint" in p.name) == []


def test_what_the_records_have_is_not_evaluated_again(tmp_path, capsys):
    for seed in (0, 1):
        condense = "condense --method random --ipc 2 --device cpu --seed".split()
        assert call(*condense, seed, "--out", tmp_path / f"{seed}.safetensors") == 0
    records = tmp_path / "scores.jsonl"
    records.write_text('{"accuracies": [0.5]}\n')  # of an older version
    how = ["--epochs", 2, "--networks", 2, "--width", 8, "--device", "cpu", "--records", records]

    def said(*files, more=()):
        capsys.readouterr()
        assert call("evaluate", *(tmp_path / file for file in files), *how, *more) == 0
        return capsys.readouterr().out.splitlines()

    (first,) = said("0.safetensors")
    again = said("0.safetensors", "1.safetensors")
    assert again[0] == f"{first}; {records} has it"
    assert (again[1].count("has it"), len(recorded(records))) == (0, 3)
    weights = tmp_path / "weights.safetensors"
    for more in (["--seed", 1], ["--weights", weights]):
        assert "has it" not in said("0.safetensors", more=more)[0]
    assert weights.exists()
    call("condense", "--method", "random", "--ipc", 1, "--device", "cpu", "--out", tmp_path / "2.safetensors")
    (tmp_path / "2.safetensors").replace(tmp_path / "0.safetensors")
    assert "has it" not in said("0.safetensors")[0]  # another set under that name


def recorded(path):
    return [json.loads(line)["accuracies"] for line in path.read_text().splitlines()]
