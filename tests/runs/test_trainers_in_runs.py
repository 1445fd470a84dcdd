"""Runs with several trainers: one memory for all, networks that go on, and nothing lost."""

import json

import numpy as np
import pytest
from avalanche.evaluation.metrics.forgetting_bwt import BWT, Forgetting
from small_runs import TINY, few

from cl_condense.data import datasets
from cl_condense.reports.forgetting import accuracy_matrix, forgetting
from cl_condense.reports.summary import accuracy_table
from cl_condense.runs.class_orders import read_orders
from cl_condense.runs.incremental import Run
from cl_condense.runs.memories import stream_for
from cl_condense.runs.records import Unit

BOTH = TINY.changed(methods=("dm",), steps=3, trainers=("gdumb", "idc"), epochs=4)
VARIES = ("condense_seconds", "train_seconds", "peak_bytes", "date")
ONE = BOTH.changed(orders=1)


@pytest.fixture(scope="module")
def data():
    """Six digits, some images of each."""
    return tuple(few(images.only(range(6)), 20) for images in datasets.load("digits"))


def plain(records):
    return [{k: v for k, v in r.items() if k not in VARIES} for r in records]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    return Run(BOTH, *data, tmp_path_factory.mktemp("whole") / "run")()


@pytest.fixture(scope="module")
def one(whole):
    """Of the first class order, which depends on no other."""
    return plain(r for r in whole if r["order"] == 0)


def test_each_trainer_has_a_record_of_each_step_and_one_changes_nothing_of_the_other(
    data, whole, one, tmp_path
):
    assert [Unit.of(r) for r in whole] == [
        Unit(o, "dm", t, way) for o in (0, 1) for t in (1, 2, 3) for way in ("gdumb", "idc")
    ]
    usual, idc = ([r for r in one if r["trainer"] == way] for way in ("gdumb", "idc"))
    assert plain(Run(ONE.changed(trainers=("gdumb",)), *data, tmp_path / "run")()) == usual
    assert plain(Run(ONE.changed(trainers=("idc",)), *data, tmp_path / "idc")()) == idc
    assert [r["accuracies"] for r in usual] != [r["accuracies"] for r in idc]


class Interruption(Exception):
    pass


@pytest.mark.parametrize("at", [3, 19, 33])
def test_an_interrupted_run_ends_with_the_same_records(at, data, one, tmp_path):
    told = 0

    def interrupt(event):
        nonlocal told
        told += 1
        if told == at:
            raise Interruption

    with pytest.raises(Interruption):
        Run(ONE, *data, tmp_path / "run")(interrupt)
    assert plain(Run(ONE, *data, tmp_path / "run")()) == one
    assert not [*(tmp_path / "run").rglob("*.networks")]


def test_networks_that_are_lost_are_trained_again(data, one, tmp_path):
    run = Run(ONE, *data, tmp_path / "run")

    def interrupt(event):
        if event.record and Unit.of(event.record) == Unit(0, "dm", 2, "idc"):
            raise Interruption

    with pytest.raises(Interruption):
        run(interrupt)
    for kept in (tmp_path / "run" / "memory").glob("*.networks"):
        kept.unlink()
    assert plain(Run(ONE, *data, tmp_path / "run")()) == one


def test_damaged_networks_are_named(data, tmp_path):
    def interrupt(event):
        if event.record and event.record["step"] == 2:
            raise Interruption

    only = BOTH.changed(trainers=("idc",), orders=1)
    with pytest.raises(Interruption):
        Run(only, *data, tmp_path / "run")(interrupt)
    (kept,) = (tmp_path / "run" / "memory").glob("*step2*.networks")
    kept.write_bytes(kept.read_bytes()[:-7])
    with pytest.raises(ValueError, match=rf"{kept.name}.*: remove it, and they are trained again"):
        Run(only, *data, tmp_path / "run")()


def test_accuracies_by_step_and_forgetting_are_avalanches(whole):
    own = [r for r in whole if (r["order"], r["trainer"]) == (1, "idc")]
    matrix = accuracy_matrix(own)
    assert matrix.shape == (3, 3, 2)
    sizes = np.array([2, 2, 2]) * 20
    for i, r in enumerate(own):
        weighted = (matrix[i, : i + 1] * sizes[: i + 1, None]).sum(0) / sizes[: i + 1].sum()
        assert r["accuracies"] == pytest.approx(weighted.tolist())
        for network in range(2):
            theirs, backward = Forgetting(), BWT()
            for j in range(i + 1):
                for metric in (theirs, backward):
                    metric.update(j, matrix[j, j, network], initial=True)
                    metric.update(j, matrix[i, j, network])
            past = [theirs.result_key(j) for j in range(i)]
            assert forgetting(matrix[: i + 1])[network] == pytest.approx(np.mean(past) if past else 0)
            assert [backward.result_key(j) for j in range(i)] == pytest.approx([-f for f in past])


def test_the_table_has_a_row_for_each_trainer_and_what_it_forgets(whole):
    table = accuracy_table(whole)
    columns = {column.header: [str(cell) for cell in column.cells] for column in table.columns}
    assert columns["method"] == ["dm", "dm (idc)"]
    orders = [[r for r in whole if (r["order"], r["trainer"]) == (o, "idc")] for o in (0, 1)]
    mean = 100 * np.mean([forgetting(accuracy_matrix(own)) for own in orders])
    assert columns["forgets"][1] == f"{mean:.1f}"


def test_records_without_accuracies_by_step_forget_nothing_that_is_known(whole):
    old = [
        {k: v for k, v in r.items() if k not in ("by_step", "trainer")} for r in whole if r["trainer"] == "idc"
    ]
    assert "forgets" not in [column.header for column in accuracy_table(old).columns]
    with pytest.raises(ValueError, match="not every step has its accuracies by step"):
        accuracy_matrix([r for r in old if r["order"] == 0])


def test_a_folder_of_other_trainers_or_orders_is_refused(data, tmp_path):
    Run(BOTH, *data, tmp_path / "run")
    for changes in ({"trainers": ("gdumb",)}, {"order_seed": 1993}, {"class_orders": [[5, 4, 3, 2, 1, 0]] * 2}):
        with pytest.raises(ValueError, match=f"holds a run with {next(iter(changes))} "):
            Run(BOTH.changed(**changes), *data, tmp_path / "run")
    Run(BOTH, *data, tmp_path / "run")


def test_class_orders_of_ones_own_decide_the_steps(data):
    own = TINY.changed(methods=("random",), steps=3, class_orders=[[5, 4, 3, 2, 1, 0], [0, 2, 4, 1, 3, 5]])
    assert stream_for(own, *data, 0).steps == ((5, 4), (3, 2), (1, 0))
    assert stream_for(own, *data, 1).steps == ((0, 2), (4, 1), (3, 5))
    seeded = stream_for(TINY.changed(order_seed=1993, seed=3), *data, 0)
    assert [c for step in seeded.steps for c in step] == np.random.RandomState(1993).permutation(6).tolist()


def test_a_file_has_class_orders_by_name_or_id(data, tmp_path):
    images, path = data[0], tmp_path / "orders.json"
    path.write_text(json.dumps([5, "4", 3, 2, 1, 0]))
    assert read_orders(path, images) == ((5, 4, 3, 2, 1, 0),)
    path.write_text(json.dumps([[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]]))
    assert len(read_orders(path, images)) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[0, 1, 2, 3, 4]", "an order of 5 classes lacks 5"),
        ("[0, 1, 2, 3, 4, 4]", "4 is there twice"),
        ('[0, 1, 2, 3, 4, "cat"]', "cat is no class of the images"),
        ("[true, 1, 2, 3, 4, 5]", "True is no class"),
        ("{}", "it is {}"),
        ("[[0, 1, 2, 3, 4, 5], 3]", "beside lists it has 3"),
        ("[", "no JSON|Expecting"),
    ],
)
def test_a_file_that_has_none_is_named_in_one_line(text, said, data, tmp_path):
    (tmp_path / "orders.json").write_text(text)
    with pytest.raises(ValueError, match=rf"orders\.json .*({said})") as error:
        read_orders(tmp_path / "orders.json", data[0])
    assert "\n" not in str(error.value)
    assert "JSON list of all classes" in str(error.value)
