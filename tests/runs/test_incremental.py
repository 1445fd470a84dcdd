import json
import threading
from dataclasses import replace
from operator import itemgetter

import numpy as np
import pytest
import torch
from small_runs import TINY, few

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.datasets import load
from cl_condense.methods.registry import build
from cl_condense.runs import incremental
from cl_condense.runs.build import method_for, training_for
from cl_condense.runs.defaults import DEFAULTS, defaults
from cl_condense.runs.feeding import feed
from cl_condense.runs.incremental import Run
from cl_condense.runs.records import Unit
from cl_condense.runs.stream import ClassStream, drawn_order, steps_named, trained_after
from cl_condense.training import train
from cl_condense.training.protocol import mixed_training

FIELDS = (
    "method trainer dataset order step classes_seen accuracy accuracies by_step stored_images stored_bytes "
    "codec condense_seconds train_seconds recipe economy seed images_lay peak_bytes device threads "
    "versions commit date"
).split()


@pytest.fixture(scope="module")
def data():
    """Four digits, some images of each, so that a run takes a second."""
    train, test = (part.only([0, 1, 2, 3]) for part in load("digits"))
    return few(train, 20), few(test, 30)


def plain(records):
    """Records without what may differ between two runs."""
    return [{k: v for k, v in r.items() if not k.endswith(("seconds", "peak_bytes"))} for r in records]


def test_a_run_leaves_a_record_for_every_method_order_and_step(data, tmp_path):
    events = []
    records = Run(TINY, *data, tmp_path / "run")(events.append)
    assert [json.loads(line) for line in (tmp_path / "run/records.jsonl").read_text().splitlines()] == records
    assert [(r["order"], r["method"], r["step"]) for r in records] == [
        (o, m, t) for o in (0, 1) for m in ("random", "dm") for t in (1, 2)
    ]
    for r in records:
        assert list(r) == FIELDS
        assert r["classes_seen"] == 2 * r["step"]
        assert r["stored_images"] == 4 * r["step"]
        assert r["codec"] == "uint8"
        assert r["stored_bytes"] == r["stored_images"] * (64 + 4) + r["classes_seen"] * 16
        assert len(r["accuracies"]) == 2
        assert r["accuracy"] == pytest.approx(np.mean(r["accuracies"]))
        assert all(
            (a * 30 * r["classes_seen"]) == pytest.approx(round(a * 30 * r["classes_seen"]))
            for a in r["accuracies"]
        )
    assert [e.record for e in events if e.record] == records
    assert {e.phase for e in events} == {"condense", "train", "done"}
    memories = sorted(path.name for path in (tmp_path / "run/memory").iterdir())
    assert memories == sorted(f"{m}-order{o}-step2.safetensors" for m in ("random", "dm") for o in (0, 1))
    last = CondensedSet.load(tmp_path / "run/memory/dm-order0-step2.safetensors")
    assert last.class_ids == (0, 1, 2, 3)
    assert last.recipe["iterations"] == 3


def test_class_orders_are_those_of_the_published_runs(data):
    for seed in (3, 4):
        stream = ClassStream.of(*data, [2, 1, 1], drawn_order(4, seed))
        expected = np.random.RandomState(seed).permutation(4).tolist()
        assert stream.steps == ((expected[0], expected[1]), (expected[2],), (expected[3],))


def test_the_same_seed_gives_the_same_records_and_another_seed_others(data, tmp_path):
    first, again = (plain(Run(TINY, *data, tmp_path / name)()) for name in "ab")
    assert first == again
    other = Run(TINY.changed(seed=7), *data, tmp_path / "c")()
    assert [r["accuracies"] for r in other] != [r["accuracies"] for r in first]


class Stop(BaseException):
    """Like KeyboardInterrupt, which would end the test session."""


@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("phase", ["condense", "train"])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_records(at, phase, data, tmp_path, uninterrupted):
    def stop(event):
        if event.phase == phase and Unit(*event.unit) == uninterrupted_units()[at]:
            raise Stop

    run = Run(TINY, *data, tmp_path)
    try:
        run(stop)
    except Stop:
        assert len(run.records) == at
    else:
        assert phase == "condense"
        assert uninterrupted_units()[at].method == "random", "random has nothing to interrupt in condensing"
    assert plain(Run(TINY, *data, tmp_path)()) == uninterrupted


@pytest.mark.parametrize("phase", ["condense", "train"])
def test_an_interrupted_run_goes_on_in_the_midst_of_a_step(phase, data, tmp_path, uninterrupted):
    """In the second step of dm, after two of three iterations, or one of three epochs."""
    unit, shares = Unit(0, "dm", 2), []

    def stop(event):
        if (event.unit, event.phase) == (unit, phase):
            shares.append(event.share)
            if len(shares) == {"condense": 2, "train": 1}[phase]:
                raise Stop

    with pytest.raises(Stop):
        Run(TINY, *data, tmp_path)(stop)
    assert len([*tmp_path.glob("checkpoints/*.checkpoint")]) == 1
    rest = []
    records = Run(TINY, *data, tmp_path)(rest.append)
    assert plain(records) == uninterrupted
    first = rest[0]
    assert (first.unit, first.phase) == (unit, phase)
    assert first.share > shares[-1]
    assert not (tmp_path / "checkpoints").exists()


def uninterrupted_units():
    return [Unit(o, m, t) for o in (0, 1) for m in ("random", "dm") for t in (1, 2)]


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory):
    return plain(Run(TINY, *data, tmp_path_factory.mktemp("whole"))())


def test_a_crash_between_memory_and_record_loses_nothing(data, tmp_path, monkeypatch, uninterrupted):
    append, calls = incremental.append, []

    def crash(path, record):
        calls.append(record)
        if len(calls) == 4:
            raise Stop
        append(path, record)

    monkeypatch.setattr(incremental, "append", crash)
    with pytest.raises(Stop):
        Run(TINY, *data, tmp_path)()
    monkeypatch.undo()
    assert plain(Run(TINY, *data, tmp_path)()) == uninterrupted


def test_an_interruption_of_training_keeps_the_memory(data, tmp_path, uninterrupted):
    def stop(event):
        if event.phase == "train":
            raise Stop

    settings = TINY.changed(methods=("dm",))
    with pytest.raises(Stop):
        Run(settings, *data, tmp_path)(stop)
    events = []
    records = Run(settings, *data, tmp_path)(events.append)
    phases = [e.phase for e in events if e.unit == Unit(0, "dm", 1)]
    assert phases == ["train"] * (TINY.train.epochs - 1) + ["done"]  # after the first epoch
    assert plain(records) == [r for r in uninterrupted if r["method"] == "dm"]
    assert records[0]["condense_seconds"] > 0


def test_a_last_record_that_was_cut_off_is_done_again(data, tmp_path, uninterrupted):
    Run(TINY, *data, tmp_path)()
    path = tmp_path / "records.jsonl"
    path.write_text(path.read_text()[:-40])
    run = Run(TINY, *data, tmp_path)
    assert [unit.step for unit in run.missing()] == [2]
    assert plain(run()) == uninterrupted


def test_a_finished_run_does_nothing(data, tmp_path, uninterrupted):
    Run(TINY, *data, tmp_path)()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    events = []
    assert plain(Run(TINY, *data, tmp_path)(events.append)) == uninterrupted
    assert events == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_uneven_steps_get_the_rest_first_and_a_budget_is_shared(data, tmp_path):
    settings = TINY.changed(methods=("dm",), steps=3, ipc=None, budget=9, orders=1)
    run = Run(settings, *data, tmp_path)
    assert run.sizes == [2, 1, 1]
    records = run()
    assert [r["classes_seen"] for r in records] == [2, 3, 4]
    assert [r["stored_images"] for r in records] == [9, 9, 9]
    counts = CondensedSet.load(run.memory_file(Unit(0, "dm", 3))).counts
    assert sorted(counts) == [2, 2, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 5}, "5 steps for 4 classes of digits: give at most 4"),
        ({"steps": 0}, "steps 0: give a whole number from 1"),
        ({"orders": 0}, "orders 0"),
        ({"networks": -1}, "networks -1"),
        ({"epochs": 0}, "epochs 0"),
        ({"iterations": 0}, "iterations 0"),
        ({"ipc": 0}, "ipc 0: give a whole number from 1"),
        ({"ipc": None, "budget": 3}, "budget 3 is below one image per class: give 4 to "),
        ({"ipc": 2, "budget": 8}, "give one of ipc"),
        ({"methods": ("ddmm",)}, "did you mean 'ddm'"),
        ({"methods": ("dm+stlye",)}, "unknown modifier of dm 'stlye'"),
        ({"methods": ("herding+sm",)}, "takes no modifiers"),
        ({"methods": ("dm", "dm")}, "give each of them once"),
        ({"methods": ()}, "no method"),
        ({"device": "cuda:9"}, "device 'cuda:9' is not here"),
        ({"augment": "blur"}, "augmentation 'blur' is unknown"),
        ({"depth": 9}, "depth 9"),
        ({"shrink": "melt"}, "unknown shrink 'melt'"),
    ],
)
def test_settings_without_sense_are_refused_before_anything_is_written(change, message, data, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        Run(TINY.changed(**change), *data, tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_folder_of_another_run_is_refused_and_left_alone(data, tmp_path):
    Run(TINY.changed(methods=("random",), orders=1), *data, tmp_path)()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"holds a run with epochs 3, not 4: give another --out"):
        Run(TINY.changed(methods=("random",), orders=1, epochs=4), *data, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_run_goes_on_on_another_device(data, tmp_path, uninterrupted):
    def stop(event):
        if len(run.records) == 3:
            raise Stop

    run, path = Run(TINY, *data, tmp_path), tmp_path / "settings.json"
    with pytest.raises(Stop):
        run(stop)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "cuda"}))
    assert plain(Run(TINY, *data, tmp_path)()) == uninterrupted
    assert json.loads(path.read_text())["device"] == "cpu"


def test_more_orders_go_on_and_fewer_take_what_is_there(data, tmp_path):
    settings = TINY.changed(methods=("random",))
    whole = plain(Run(settings, *data, tmp_path / "whole")())
    first = Run(settings.changed(orders=1), *data, tmp_path / "run")()
    more = Run(settings, *data, tmp_path / "run")
    assert (more.records, len(more.missing())) == (first, 2)
    assert plain(more()) == whole
    fewer = Run(settings.changed(orders=1), *data, tmp_path / "run")
    assert (fewer(), fewer.missing()) == (first, [])
    assert json.loads((tmp_path / "run/settings.json").read_text())["orders"] == 2
    assert Run(settings, *data, tmp_path / "run").missing() == []


def shares(events):
    """How many units are done by each event: with those whose records came before it."""
    done, found = 0, []
    for event in events:
        found.append(done + event.share)
        done += event.record is not None
    return found


@pytest.mark.parametrize("together", [False, True])
def test_events_say_how_much_is_done(together, data, tmp_path, monkeypatch):
    if together:
        monkeypatch.setattr(Run, "_side_by_side", lambda run: [[0, 1]])
    events = []
    Run(TINY, *data, tmp_path)(events.append)
    found = shares(events)
    assert found == sorted(found)
    assert (found[-1], len(set(found)) > 2 * 8) == (8, True)
    assert {"condense", "train", "done"} == {event.phase for event in events}


@pytest.mark.parametrize(
    ("device", "network", "orders"),
    [("cpu", "convnet", 1), ("cuda:0", "convnet", 2), ("cuda:0", "resnet18", 1)],
)
def test_orders_are_side_by_side_where_their_networks_are_joined(device, network, orders, data, tmp_path):
    run = Run(TINY, *data, tmp_path)
    run.settings = run.settings.changed(device=device, network=network)
    assert run._side_by_side() == ([[0, 1]] if orders == 2 else [[0], [1]])


def test_orders_side_by_side_give_what_each_gives_alone(data, tmp_path, monkeypatch):
    """As on a GPU. Images have three channels: with one, joined convolutions differ by rounding."""
    three = [x.with_images(x.images.repeat(1, 3, 1, 1), (3 * x.mean, 3 * x.std)) for x in data]
    alone = plain(Run(TINY, *three, tmp_path / "alone")())
    monkeypatch.setattr(Run, "_side_by_side", lambda run: [[0, 1]])
    joined, sizes = train.forward_joined, set()

    def watch(nets, x, *through):
        sizes.add(len(nets))
        return joined(nets, x, *through)

    monkeypatch.setattr(train, "forward_joined", watch)
    both = plain(Run(TINY, *three, tmp_path / "together")())
    key = itemgetter("order", "method", "step")
    assert sorted(both, key=key) == sorted(alone, key=key)
    assert [r["step"] for r in both] == [1, 1, 2, 2] * 2
    assert sizes == {4}


def test_steps_that_are_asked_for_alone_are_evaluated_as_among_all(data, tmp_path):
    whole = Run(TINY, *data, tmp_path / "whole")()
    last = Run(TINY, *data, tmp_path / "last", only=(2,))()
    assert plain(last) == [r for r in plain(whole) if r["step"] == 2]
    rest = Run(TINY, *data, tmp_path / "last")()
    key = itemgetter("order", "method", "step")
    assert sorted(plain(rest), key=key) == sorted(plain(whole), key=key)
    kept = [sorted(f.name for f in (tmp_path / name / "memory").iterdir()) for name in ("last", "whole")]
    assert kept[0] == kept[1]  # those of the last step alone


def test_steps_are_named_by_number_or_as_the_last():
    assert steps_named("--after", "3,1,last,3", 5) == (1, 3, 5)
    assert steps_named("--after", "12,last") == (1, 12)
    assert trained_after((2, 4), ("gdumb",)) == (2, 4)
    assert trained_after((2, 4), ("gdumb", "idc")) == (1, 2, 3, 4)
    assert trained_after((), ("idc",)) == ()
    for text in ("", "0", "1,", "-1", "1.5", "last2"):
        with pytest.raises(ValueError, match="give steps, such as 5,10, or last"):
            steps_named("--after", text, 5)


def test_condensing_for_a_step_alone_took_all_that_it_took(data, tmp_path, monkeypatch):
    monkeypatch.setattr("cl_condense.runs.trial.feed", lambda *words, **how: feed(*words, **how) and 1.0)
    seconds = [r["condense_seconds"] for r in Run(TINY, *data, tmp_path, only=(2,))()]
    assert seconds == [2.0] * 4


@pytest.mark.parametrize("at", range(8))
def test_an_interrupted_run_of_orders_side_by_side_goes_on(at, data, tmp_path, monkeypatch):
    def stop(event):
        if len(run.records) == at:
            raise Stop

    monkeypatch.setattr(Run, "_side_by_side", lambda run: [[0, 1]])
    run = Run(TINY, *data, tmp_path)
    with pytest.raises(Stop):
        run(stop)
    again = Run(TINY, *data, tmp_path)
    assert len(again.missing()) == 8 - at
    assert {Unit.of(record) for record in again()} == {*uninterrupted_units()}


def test_a_run_does_not_go_on_with_other_images(data, tmp_path):
    settings = TINY.changed(methods=("random",), orders=1)
    Run(settings, *data, tmp_path)()
    changed = data[0].with_images(data[0].images.clone())
    changed.images[5, 0, 3, 3] ^= 1
    with pytest.raises(ValueError, match="holds a run with data"):
        Run(settings, changed, data[1], tmp_path)


def test_a_folder_of_something_else_is_refused(data, tmp_path):
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(ValueError, match="is not empty and holds no run"):
        Run(TINY, *data, tmp_path)


@pytest.mark.parametrize("name", ["settings.json", "records.jsonl"])
def test_a_damaged_file_of_a_run_is_named(name, data, tmp_path):
    settings = TINY.changed(methods=("random",), orders=1)
    Run(settings, *data, tmp_path)()
    (tmp_path / name).write_text("{]\n")
    with pytest.raises(
        ValueError, match=rf"{name} (is damaged in line 1|cannot be read as the settings of a run) \(no JSON\)"
    ):
        Run(settings, *data, tmp_path)


def test_a_lost_memory_is_made_again(data, tmp_path, uninterrupted):
    def stop(event):
        if event.unit == Unit(1, "dm", 2):
            raise Stop

    with pytest.raises(Stop):
        Run(TINY, *data, tmp_path)(stop)
    for path in (tmp_path / "memory").iterdir():
        path.unlink()
    assert plain(Run(TINY, *data, tmp_path)()) == uninterrupted


def test_lost_memories_of_a_finished_run_are_made_again_when_asked(data, tmp_path):
    run = Run(TINY, *data, tmp_path)
    run()
    files = [run.memory_file(Unit(o, m, 2)) for o in (0, 1) for m in ("random", "dm")]
    made = [CondensedSet.load(file) for file in files]
    assert run.lost() == []
    files[1].unlink()
    files[2].unlink()
    again, events = Run(TINY, *data, tmp_path), []
    assert [(u.order, u.method) for u in again.lost()] == [(0, "dm"), (1, "random")]

    def stop(event):
        raise Stop

    with pytest.raises(Stop):
        again.remake(stop)
    again.remake(events.append)
    assert {e.phase for e in events} == {"condense"}
    assert again.lost() == again.missing() == []
    for file, before in zip(files, made, strict=True):
        after = CondensedSet.load(file)
        assert all(torch.equal(after.stored[name], before.stored[name]) for name in before.stored)
    assert sorted((tmp_path / "memory").iterdir()) == sorted(files)


def test_a_damaged_memory_is_named(data, tmp_path):
    settings = TINY.changed(methods=("random",), orders=1)

    def stop(event):
        if event.unit.step == 2:
            raise Stop

    with pytest.raises(Stop):
        Run(settings, *data, tmp_path)(stop)
    damaged = tmp_path / "memory/random-order0-step2.safetensors"
    damaged.write_bytes(b"half")
    with pytest.raises(ValueError, match=rf"{damaged.name} cannot be read.*remove it"):
        Run(settings, *data, tmp_path)()
    damaged.unlink()
    assert [r["step"] for r in Run(settings, *data, tmp_path)()] == [1, 2]


@pytest.mark.parametrize(
    ("name", "strategy", "every"),
    [
        ("dm", "color_crop_cutout_scale_rotate", False),
        ("m3d", "color_crop_cutout", True),
        ("cafe", "none", False),
        ("cafe+dsa", "color_crop_cutout_scale_rotate", False),
    ],
)
def test_a_method_keeps_of_its_augmentation_what_fits_the_data_set(name, strategy, every):
    augment = method_for(replace(TINY.main, method=name)).augment
    assert (augment.strategy, augment.every) == (strategy, every)


def test_a_method_has_the_settings_of_the_data_set():
    own = {"method": "idm", "dataset": "cifar100", "real_per_class": None, "economy": False}
    recipe = method_for(replace(TINY.main, **own)).settled(10)
    assert (recipe.iterations, recipe.real_per_class, recipe.source.train_steps) == (3, 256, 50)


def test_a_plain_evaluation_trains_without_augmentation_and_says_so(data, tmp_path):
    assert training_for(TINY.train).augment.strategy == TINY.train.augment
    plainly = TINY.changed(evaluation="plain")
    assert training_for(plainly.train).augment is None
    both = [Run(s, *data, tmp_path / s.train.evaluation)() for s in (TINY, plainly)]
    assert [r["accuracies"] for r in both[0]] != [r["accuracies"] for r in both[1]]
    assert json.loads((tmp_path / "plain/settings.json").read_text())["evaluation"] == "plain"


def test_a_mixed_evaluation_is_that_of_idc(data, tmp_path):
    mixed = TINY.changed(evaluation="mixed")
    assert training_for(mixed.train) == mixed_training(TINY.train.epochs, "color_crop_scale_rotate")
    both = [Run(s.changed(orders=1), *data, tmp_path / s.train.evaluation)() for s in (TINY, mixed)]
    assert [r["accuracies"] for r in both[0]] != [r["accuracies"] for r in both[1]]


@pytest.mark.parametrize("method", ["idm+iid", "dcc", "cafe+dsa", "idc", "forgetting"])
def test_a_run_takes_methods_of_every_kind(method, data, tmp_path):
    records = Run(TINY.changed(methods=(method,), orders=1), *data, tmp_path / "run")()
    assert [r["stored_images"] for r in records] == [4, 8]


@pytest.mark.parametrize(
    "left",
    [[], ["memory/"], [".lock", ".lock.json"], ["memory/", ".lock", ".0123456789abcdef.json"]],
    ids=" ".join,
)
def test_a_folder_in_which_a_run_died_before_its_settings_is_used(left, data, tmp_path):
    for name in left:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).write_text("{")
    settings = TINY.changed(methods=("random",), orders=1)
    assert len(Run(settings, *data, tmp_path)()) == 2


def test_settings_that_cannot_be_written_strand_nothing(data, tmp_path, monkeypatch):
    settings = TINY.changed(methods=("random",), orders=1)

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(incremental, "atomic", full)
    with pytest.raises(OSError, match="No space left"):
        Run(settings, *data, tmp_path / "run")
    monkeypatch.undo()
    assert len(Run(settings, *data, tmp_path / "run")()) == 2


def test_records_that_came_in_between_are_not_made_again(data, tmp_path):
    settings = TINY.changed(methods=("random",), orders=1)
    first, second = (Run(settings, *data, tmp_path) for _ in range(2))
    assert len(second.missing()) == 2
    done = first()
    events = []
    assert second(events.append) == done
    assert events == []
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 2


def test_a_run_holds_its_folder(data, tmp_path):
    settings, said = TINY.changed(methods=("random",), orders=1), []

    def intrude(event):
        thread = threading.Thread(target=lambda: said.append(refused()))
        thread.start()
        thread.join()

    def refused():
        with pytest.raises(ValueError, match="is being written by process") as error:
            Run(settings, *data, tmp_path)
        return str(error.value)

    Run(settings, *data, tmp_path)(intrude)
    assert said
    assert all(text.endswith("wait until it ends, or give another --out") for text in said)


def test_the_recipe_of_a_record_has_the_numbers_of_the_budget(data, tmp_path):
    for budget in ({"ipc": 2}, {"ipc": None, "budget": 8}):
        run = Run(TINY.changed(methods=("idm",), orders=1, steps=1, **budget), *data, tmp_path / str(budget))
        recipe = run()[0]["recipe"]
        assert recipe == method_for(run.settings.main).settled(2).settings()
        assert recipe["terms"]["class_aware_regularisation"] == 0.005


def test_iterations_are_of_selections_where_nothing_is_condensed():
    for methods, iterations, found in (
        (("herding",), None, 800),
        (("herding", "random"), 7, 7),
        (("herding", "dm"), 7, 800),
    ):
        s = TINY.changed(methods=methods, iterations=iterations)
        assert method_for(s.of_method("herding")).iterations == found
        if "random" in methods:
            assert method_for(s.of_method("random")) == build("random")
    assert "iterations" not in defaults("digits", ["herding", "random"])
    assert defaults("digits", ["herding", "dm"]) == DEFAULTS["digits"]


def test_a_run_of_before_is_refused_by_name(data, tmp_path):
    Run(TINY, *data, tmp_path / "run")
    path = tmp_path / "run" / "settings.json"
    old = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("threads", "codec", "max_bytes")}
    path.write_text(json.dumps(old))
    with pytest.raises(ValueError, match="all experiences drew the same random numbers: give another --out"):
        Run(TINY, *data, tmp_path / "run")
    assert json.loads(path.read_text()) == old


def test_a_run_goes_on_with_the_threads_that_it_began_with(data, tmp_path, monkeypatch):
    monkeypatch.setattr(incremental, "_threads", lambda *_: 2)

    def stop(event):
        if event.record:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(TINY, *data, tmp_path / "run")(stop)
    monkeypatch.setattr(incremental, "_threads", lambda *_: 1)
    seen = []
    records = Run(TINY, *data, tmp_path / "run")(lambda event: seen.append(torch.get_num_threads()))
    assert {*seen} == {2}
    assert {r["threads"] for r in records} == {2}


@pytest.mark.parametrize("codec", ["uint8", "float32"])
def test_a_budget_in_bytes_is_shared_by_the_classes(codec, data, tmp_path):
    settings = TINY.changed(ipc=None, max_bytes=2000, codec=codec, methods=("random",), orders=1)
    records = Run(settings, *data, tmp_path / "run")()
    each = {"uint8": 68, "float32": 256}[codec]
    assert [r["stored_images"] for r in records] == [(2000 - 32) // each, (2000 - 64) // each]
    assert all(2000 - each < r["stored_bytes"] <= 2000 for r in records)
