"""``--log``: what commands leave in files of curves, cut or not."""

import csv
from collections import defaultdict

import pytest
from commands import QUICK, call

from cl_condense.common.stopping import Limit, Stop

CONDENSE = "condense --method dm --ipc 1 --iterations 6 --width 4 --device cpu".split()
RUN = [*QUICK, *"--steps 2 --method dm --method random --budget 20".split()]
NUMBERS = {"accuracy", "stored_images", "stored_bytes", "condense_seconds", "train_seconds"}


def curves(path):
    """Steps and values of each curve, in the order of the file, without times."""
    found = defaultdict(list)
    for row in csv.DictReader(path.read_text().splitlines()):
        if "seconds" not in row["curve"]:
            found[row["curve"]].append((int(row["step"]), float(row["value"])))
    return dict(found)


@pytest.fixture
def cut(monkeypatch):
    """Ends a command at its so-manieth look at the limit."""

    def end(words, looks):
        def check(limit):
            nonlocal looks
            looks -= 1
            if looks == 0:
                raise Stop(15)

        with monkeypatch.context() as patch:
            patch.setattr(Limit, "check", check)
            assert call(*words) == 143

    return end


@pytest.mark.parametrize(("words", "looks"), [(CONDENSE, 4), (RUN, 5), (RUN, 9)], ids=["set", "early", "late"])
def test_a_command_that_is_cut_and_goes_on_leaves_the_curves_of_one_that_is_not(words, looks, cut, tmp_path):
    out = "--out", "set.safetensors" if words == CONDENSE else "out"
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    log = "--log", f"csv:{tmp_path}/whole.csv"
    assert call(*words, *log, out[0], tmp_path / "whole" / out[1]) == 0
    log = "--log", f"csv:{tmp_path}/cut.csv"
    cut([*words, *log, out[0], tmp_path / "cut" / out[1]], looks)
    assert call(*words, *log, out[0], tmp_path / "cut" / out[1]) == 0
    whole = curves(tmp_path / "whole.csv")
    assert curves(tmp_path / "cut.csv") == whole
    if words == CONDENSE:
        assert {name: len(points) for name, points in whole.items()} == {"loss/condensing": 6}
    else:
        assert [step for step, _ in whole["accuracy/dm, order 1"]] == [1, 2]
        assert [step for step, _ in whole["loss/random, order 1/experience 2/training"]] == [1, 2]
        assert "loss/dm, order 1/experience 2, part 2/condensing" in whole


def test_a_run_and_an_evaluation_are_read_back_from_event_files(tmp_path):
    """A picture at the end of each condensation, too; and the numbers are those of the records."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    made = tmp_path / "dm.safetensors"
    log = "--log", f"tensorboard:{tmp_path}/tb"
    assert call(*CONDENSE, *log, "--out", made) == 0
    assert call("evaluate", made, *"--networks 2 --epochs 2 --width 4 --device cpu".split(), *log) == 0
    found = {}
    for folder in (tmp_path / "tb").iterdir():
        reader = events.EventAccumulator(str(folder), {"scalars": 0, "images": 0})
        reader.Reload()
        found |= {tag: [e.step for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}
        found |= {tag: [e.step for e in reader.Images(tag)] for tag in reader.Tags()["images"]}
    assert found == {
        "loss/condensing": [1, 2, 3, 4, 5, 6],
        "images/condensing": [6],
        "loss/1, dm.safetensors/training": [1, 2],
        "accuracy/1, dm.safetensors": [1, 2],
    }


def test_another_job_in_the_place_of_the_first_is_another_run(tmp_path):
    log, out = ("--log", f"csv:{tmp_path}/c.csv"), tmp_path / "set.safetensors"
    for seed in (0, 1):
        assert call(*CONDENSE, *log, "--seed", seed, "--out", out) == 0
        for file in tmp_path.glob("set.*"):
            file.unlink()
    rows = [*csv.DictReader((tmp_path / "c.csv").read_text().splitlines())]
    assert len({row["run"] for row in rows}) == 2
    assert len(rows) == 12
