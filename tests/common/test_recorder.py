"""Curves, accuracies and pictures in loggers, read back by the formats' own readers."""

import copy
import csv
import json
import sys
from collections import Counter

import pytest
import torch
from PIL import Image

from cl_condense import CondensedBuffer, Progress, ProgressBar, Recorder, telling
from cl_condense.common.loggers import registry

PAGE = Image.new("RGB", (6, 4), "red")


def points(path):
    """(run, curve, step) -> value, each once."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [((r["run"], r["curve"], int(r["step"])), float(r["value"])) for r in csv.DictReader(file)]
    assert len(rows) == len(dict(rows))
    return dict(rows)


def events(folder):
    """The scalars and the pictures of TensorBoard's files, as TensorBoard reads them."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reader.EventAccumulator(str(folder), {"scalars": 0, "images": 0}, purge_orphaned_data=False)
    found.Reload()
    scalars = {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    return scalars, {tag: found.Images(tag) for tag in found.Tags()["images"]}


def drive(recorder, first, last, total=6, stage="condensing", of=""):
    for i in range(first, last + 1):
        recorder(Progress(stage, i, total, torch.tensor(1 / i), of, lambda: PAGE))


def test_a_curve_that_was_interrupted_goes_on_and_no_step_comes_twice(tmp_path):
    """The second process goes on from a state before the last point of the first."""
    pytest.importorskip("tensorboard")
    loggers = f"csv:{tmp_path}/in/curves.csv", f"tensorboard:{tmp_path}/tb"
    for first, last in ((1, 4), (3, 6)):
        with Recorder(*loggers, name="dm-1") as recorder:
            drive(recorder, first, last)
            recorder.scalars({"accuracy/dm": last / 10}, last)
    losses = [(i, pytest.approx(1 / i)) for i in range(1, 7)]
    found = points(tmp_path / "in" / "curves.csv")
    assert [(i, found["dm-1", "loss/condensing", i]) for i in range(1, 7)] == losses
    scalars, pictures = events(tmp_path / "tb" / "dm-1")
    assert scalars["loss/condensing"] == losses
    assert scalars["accuracy/dm"] == [(4, pytest.approx(0.4)), (6, pytest.approx(0.6))]
    (picture,) = pictures["images/condensing"]
    assert (picture.step, picture.width, picture.height) == (6, 6, 4)


@pytest.mark.slow
def test_a_run_of_weights_and_biases_works_offline_and_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    for key, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(key, value)
    with Recorder("wandb:project", name="dm-1") as recorder:
        drive(recorder, 1, 4)
    again = Recorder("wandb:project", name="dm-1")
    drive(again, 3, 3)
    assert again._opened[0].last == {"loss/condensing": 4}
    drive(again, 4, 6)
    again.close()
    (kept,) = (tmp_path / "wandb").glob("cl-condense-*.json")
    assert json.loads(kept.read_text()) == {"loss/condensing": 6, "images/condensing": 6}
    assert len([*(tmp_path / "wandb").glob("offline-run-*")]) == 2


def test_a_curve_has_about_two_hundred_points_and_nobody_waits_for_the_others(tmp_path):
    looks = Counter()

    class Loss:
        def __float__(self):
            looks["loss"] += 1
            return 1.0

    with Recorder(f"csv:{tmp_path}/c.csv", name="x") as recorder:
        for i in range(1, 2001):
            recorder(Progress("condensing", i - 0.5, 2000, Loss()))
            recorder(Progress("condensing", i, 2000, Loss()))
        recorder(Progress("evaluating", 1, 1))
    steps = [step for _, _, step in points(tmp_path / "c.csv")]
    assert steps == [1, *range(10, 2001, 10)]
    assert looks["loss"] == 201


def test_a_stage_that_comes_again_is_another_curve_and_so_is_each_piece_of_work(tmp_path):
    with Recorder(f"csv:{tmp_path}/c.csv", name="x") as recorder:
        drive(recorder, 1, 2, 2)
        drive(recorder, 1, 2, 2)
        drive(recorder, 1, 1, 2, "training", "experience 2")
        recorder.within("dm", Progress("training", 1, 1, torch.tensor(1.0), "experience 1"))
        recorder.accuracies("dm", [0.5, 0.25])
    assert Counter(curve for _, curve, _ in points(tmp_path / "c.csv")) == {
        "loss/condensing": 2,
        "loss/condensing 2": 2,
        "loss/experience 2/training": 1,
        "loss/dm/experience 1/training": 1,
        "accuracy/dm": 2,
    }


def test_runs_share_a_file_and_one_without_a_name_is_new(tmp_path):
    for name in ("a", "b", "a", ""):
        with Recorder(f"csv:{tmp_path}/c.csv", name=name) as recorder:
            drive(recorder, 1, 1)
    runs = Counter(run for run, _, _ in points(tmp_path / "c.csv"))
    assert runs.pop("a") == runs.pop("b") == 1
    assert [*runs.values()] == [1]


@pytest.mark.parametrize("torn", ["", "ru", "run,curve,step,value\nx,loss/condensing,1,0.", "x,loss"])
def test_a_line_that_a_crash_cut_off_goes_away(torn, tmp_path):
    path, head = tmp_path / "c.csv", "run,curve,step,value\n"
    path.write_text(torn if head.startswith(torn[:4]) else head + torn)
    with Recorder(f"csv:{path}", name="x") as recorder:
        drive(recorder, 1, 2)
    assert [*points(path)] == [("x", "loss/condensing", 1), ("x", "loss/condensing", 2)]


def test_a_logger_that_fails_is_left_out_and_the_work_goes_on(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(registry.LOGGERS["csv"], "scalar", fail)
    pytest.importorskip("tensorboard")
    recorder = Recorder(f"csv:{tmp_path}/c.csv", f"tensorboard:{tmp_path}/tb", name="x")
    with pytest.warns(UserWarning, match="a logger is left out, since it failed .No space left on device."):
        drive(recorder, 1, 3)
    recorder.close()
    assert len(events(tmp_path / "tb" / "x")[0]["loss/condensing"]) == 3


def test_what_is_no_file_of_curves_is_left_as_it_is(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"mine.csv is there and not of this command"):
        Recorder(f"csv:{path}")
    assert path.read_text() == "a,b\n1,2\n"


def test_a_package_that_is_not_there_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'cl-condense\[tensorboard\]', or take csv:FILE"):
        Recorder("tensorboard:logs")


def test_without_loggers_nothing_is_drawn_or_looked_at(tmp_path):
    def draw():
        raise AssertionError

    Recorder()(Progress("condensing", 1, 1, object(), picture=draw))


def test_a_recorder_is_copied_by_what_it_was_made_of(tmp_path):
    recorder = Recorder(f"csv:{tmp_path}/c.csv", name="a/b")
    assert copy.deepcopy(recorder).name == recorder.name
    assert "/" not in recorder.name


@pytest.mark.filterwarnings("ignore:no published settings")
def test_a_memory_tells_by_experience_and_part(tmp_path, digits_pair):
    """A budget that is shared: the second experience shrinks the first one's classes and adds its own."""
    from cl_condense import ClassMemory, MakeConvNet

    real = digits_pair[0].only([0, 1, 2, 3])
    bar, recorder = ProgressBar(), Recorder(f"csv:{tmp_path}/c.csv", name="x")
    memory = ClassMemory(
        8,
        method="dm",
        iterations=2,
        network=MakeConvNet(real.shape, width=4),
        on_iteration=telling(bar, recorder),
    )
    memory.update(real.only([0, 1]))
    memory.update(real.only([2, 3]))
    recorder.close()
    assert {curve for _, curve, _ in points(tmp_path / "c.csv")} == {
        "loss/experience 1, part 1/condensing",
        "loss/experience 2, part 1/condensing",
        "loss/experience 2, part 2/condensing",
    }
    assert CondensedBuffer(8, on_iteration=recorder).on_iteration is recorder
