"""The papers' class-incremental figures with ours beside them: runs that are done once and go on."""

import json
from dataclasses import replace

import numpy as np
import pytest
from commands import call
from made_up import REDUCED, SELECT, load_more, shown, stream_cells

from cl_condense.common.progress import Progress
from cl_condense.papers.bench import Bench, runnable
from cl_condense.papers.costs import Costs
from cl_condense.papers.forecast import Forecast
from cl_condense.papers.published import published
from cl_condense.papers.stream_work import incremental as is_a_stream
from cl_condense.papers.stream_work import stream_works
from cl_condense.reports.html import write
from cl_condense.runs import incremental
from cl_condense.runs.incremental import Run

NARROW = REDUCED | {"width": 4}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "results", load_more, NARROW, orders=2)


def plain(records):
    return [{k: v for k, v in r.items() if not k.endswith(("seconds", "peak_bytes"))} for r in records]


class Stop(BaseException):
    """Like KeyboardInterrupt, which would end the test session."""


def test_the_papers_protocol():
    bench = Bench("results", load_more, {})
    works = {work.condense.method: work.run for cell in stream_cells(None) for work in bench.works(cell)}
    assert list(works) == ["random", "herding", "dsa", "dm", "ddm"]
    for run in works.values():
        c, t = run.main, run.train
        assert (run.stream.steps, c.ipc, run.stream.orders, t.networks) == (5, 20, 5, 3)
        assert (t.epochs, t.evaluation) == (1000, "augmented")
        assert (c.network, c.depth, c.width, c.iterations, c.seed) == ("convnet", None, 128, None, 0)
        assert (t.network, t.depth, t.width, t.seed) == ("convnet", None, 128, 0)
    names = [
        (work.condense.method, work.run.stream.steps)
        for c in published("idm-fig8")
        for work in replace(bench, steps=7).works(c)
    ]
    assert names == [(m, steps) for m in ("random", "dsa", "dm", "idm+pixels") for steps in (5, 10)]


@pytest.mark.parametrize(("table", "trainers"), [("idc-fig7", ("idc",)), ("idm-fig8", ("gdumb",))])
def test_networks_train_as_those_of_the_table(table, trainers):
    cells = [cell for cell in published(table) if is_a_stream(cell)]
    works = [work for cell in cells for work in stream_works(cell, {}, 1, 5)]
    assert {work.run.stream.trainers for work in works} == {trainers}


def test_cells_are_done_once_and_shown_beside_the_published(bench):
    wanted = stream_cells("random", "dm")
    assert "34.4 | not measured" in shown(wanted, bench)
    missing = bench.missing(wanted)
    assert [str(work) for work in missing] == [
        f"cifar100 in 5 steps, 20 images per class, {m}, 2 orders x 2 networks" for m in ("random", "dm")
    ]
    for work in missing:
        progress = []
        assert [(r["order"], r["step"]) for r in bench.do(work, progress.append)] == [(0, 5), (1, 5)]
    assert bench.missing(wanted) == []
    assert progress[-1] == Progress("dm, order 2, step 5: evaluated", 2, 2, unit="steps")
    assert progress == sorted(progress, key=lambda each: each.done)
    for cell, work in zip(wanted, missing, strict=True):
        lines = (work.out(bench.folder) / "records.jsonl").read_text().splitlines()
        last = [r["accuracies"] for r in map(json.loads, lines) if r["step"] == 5]
        ours = 100 * np.array(last)
        assert ours.shape == (2, 2)
        assert bench.ours(cell, bench.results(wanted)) == pytest.approx(ours.flatten())
        assert f"{cell.mean} | {ours.mean():.1f} ± {ours.std():.1f} (4)*" in shown(wanted, bench)
    assert "steps not stated by the paper: ours with 5" in " ".join(shown(wanted, bench).split())
    rows = bench.rows(wanted)
    assert [row["method"] for row in rows] == ["Random", "DM"]
    assert rows[1]["accuracies"] == last
    assert len(rows[1]["seconds"]) == 2
    assert rows[1]["origin"]["device"]


def test_a_run_of_two_tables_is_one(bench):
    (work,) = bench.missing(stream_cells("random"))
    bench.do(work)
    assert [w.run.stream.steps for w in bench.missing(stream_cells("random", table="idm-fig8"))] == [10]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The records of a run that nothing interrupted."""
    bench = Bench(tmp_path_factory.mktemp("whole"), load_more, NARROW, orders=2)
    (work,) = bench.missing(stream_cells("dm"))
    return plain(bench.do(work))


@pytest.mark.parametrize("phase", ["condense", "train"])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_records(phase, whole, bench, monkeypatch):
    (work,) = bench.missing(stream_cells("dm"))
    steps = []

    def stop(progress):
        if progress.done >= (1.1 if phase == "condense" else 1.6):
            raise Stop

    with pytest.raises(Stop):
        bench.do(work, stop)
    assert not bench.ours(stream_cells("dm")[0], bench.results(stream_cells("dm"))).size
    assert bench.missing(stream_cells("dm")) == [work]
    append = incremental.append
    monkeypatch.setattr(incremental, "append", lambda *words: (steps.append(1), append(*words)))
    assert plain(bench.do(work)) == whole
    assert len(steps) == 1


def test_more_orders_add_to_those_that_are_there(bench, monkeypatch):
    wanted = stream_cells("random")
    (first,) = [bench.do(work) for work in replace(bench, orders=1).missing(wanted)]
    (work,) = bench.missing(wanted)
    assert len(Forecast(bench, wanted).pieces(work)) == 1
    both = bench.do(work)
    assert both[:1] == first
    assert len(both) == 2
    monkeypatch.setattr(Run, "__call__", lambda *_: pytest.fail("done again"))
    for orders, n in ((1, 2), (2, 4)):
        again = replace(bench, orders=orders)
        assert again.missing(wanted) == []
        assert again.ours(wanted[0], again.results(wanted)).size == n


def test_other_settings_are_other_runs(bench):
    (work,) = bench.missing(stream_cells("random"))
    bench.do(work)
    for change in ({"epochs": 3}, {"width": 8}, {"networks": 1}):
        assert len(replace(bench, changes=NARROW | change).missing(stream_cells("random"))) == 1
    assert len(replace(bench, steps=2).missing(stream_cells("random"))) == 1
    assert replace(bench, changes=NARROW | {"device": "cuda"}).missing(stream_cells("random")) == []


def test_an_estimate_is_of_what_is_missing_and_leaves_nothing(bench):
    wanted = stream_cells("random", "herding", "dm")
    works, forecast = bench.missing(wanted), Forecast(bench, wanted)
    assert all(each.seconds() > 0 for each in forecast.plan(works, "printed"))
    assert not bench.folder.exists()
    bench.do(works[0])
    assert forecast.pieces(works[0]) == []


def test_an_estimate_counts_orders_steps_classes_and_stored_images(bench, monkeypatch):
    (work,) = bench.missing(stream_cells("dm"))
    monkeypatch.setattr(Costs, "condensing", lambda self, classes: 3.0 + 5.0 * classes)
    monkeypatch.setattr(Costs, "training", lambda self, classes, jobs: 0.25 * 20 * classes)
    condense, train = 3.0 + 5.0 * 2, [0.25 * 20 * seen for seen in (2, 4, 6, 8, 10)]
    forecast = Forecast(bench, stream_cells("dm"))
    assert [piece.seconds() for piece in forecast.pieces(work)] == pytest.approx(2 * [5 * condense + train[-1]])
    every = replace(work, also=(1, 2, 3, 4))
    assert [piece.seconds() for piece in forecast.pieces(every)] == pytest.approx(
        2 * [condense + t for t in train]
    )


def test_cells_of_several_steps_are_one_run_whose_networks_train_after_these(bench):
    cells = [cell for cell in published("idm-fig8a") if cell.name == "dm" and cell.classes in (40, 80)]
    (work,) = bench.missing(cells)
    assert work.wanted == (2, 4)
    assert [(r["order"], r["step"]) for r in bench.do(work)] == [(0, 2), (0, 4), (1, 2), (1, 4)]
    assert bench.missing(cells) == []
    (more,) = bench.missing([cell for cell in published("idm-fig8a") if cell.name == "dm"])
    assert len(bench.do(more)) == 10


def test_networks_that_go_on_train_after_every_step(bench):
    (cell,) = (
        cell for cell in published("idc-fig7") if is_a_stream(cell) and cell.name == "idc" and cell.mean == 49.7
    )
    (work,) = bench.works(cell)
    assert (work.step, work.wanted) == (5, (1, 2, 3, 4, 5))


def test_a_network_that_a_method_cannot_look_through_keeps_no_other_cell_from_being_done():
    cells = {(cell.eval_net, cell.mean): cell for cell in published("idc-fig7") if cell.name == "idc"}
    assert not runnable(cells["resnet10", 44.2]), "batch norm, and gradients class by class"
    assert runnable(cells["convnet", 49.7])


def test_a_damaged_record_is_named(bench):
    (work,) = bench.missing(stream_cells("random"))
    work.out(bench.folder).mkdir(parents=True)
    (work.out(bench.folder) / "records.jsonl").write_text('{"order": 1}\n')
    with pytest.raises(ValueError, match=r"records\.jsonl is damaged in line 1"):
        bench.missing(stream_cells("random"))


FIGURE = "table idm-fig8 --method random --orders 1".split()


def test_the_command_lists_does_and_shows_and_the_page_finds_it(tmp_path, capsys, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cl_condense.data.datasets.load", load_more)
    assert call(*FIGURE, *SELECT, "--dry-run") == 0
    assert "2 to do, about" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert call(*FIGURE, *SELECT, "--json", "found.json") == 0
    first = capsys.readouterr()
    assert "cifar100, 20, 10 steps" in first.out
    assert "25.2 | " in first.out
    assert "not stated" not in first.out
    assert "[2/2] cifar100 in 10 steps, 20 images per class, random, 1 order x 2 networks" in first.err
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["settings"]["orders"] == 1
    assert [(row["steps"], np.shape(row["accuracies"])) for row in found["rows"]] == [(5, (1, 2)), (10, (1, 2))]
    assert call(*FIGURE, *SELECT) == 0
    again = capsys.readouterr()
    assert (again.out, again.err) == (first.out, "")
    assert len(list((tmp_path / "results/streams").iterdir())) == 2
    _, markdown = write(tmp_path / "results")
    text = markdown.read_text("utf-8")
    assert "cifar100, 5 steps, 20 images per class: random" in text
    assert "cifar100, 10 steps, 20 images per class: random" in text
    assert "could not be read" not in text


def test_steps_that_are_not_stated_can_be_given(tmp_path, capsys, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cl_condense.data.datasets.load", load_more)
    words = "table ddm-fig3b --method random --orders 1 --steps 2".split()
    assert call(*words, *SELECT, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "cifar100 in 2 steps" in out
    assert "steps not stated by the paper: ours with 2" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("table idm-fig8 --orders 0", "--orders 0: give a whole number from 1 to 10000"),
        ("table ddm-fig3b --steps 0", "--steps 0: give a whole number from 1"),
        ("table ddm-fig3b --steps 11", "11 steps for 10 classes"),
        ("table idm-fig8 --steps 5", "--steps 5: idm-fig8 states its steps"),
        ("table ddm-1 --steps 5", "--steps 5: ddm-1"),
        ("table ddm-1 --orders 5", "--orders 5: ddm-1 has no class-incremental cells here"),
        ("table idm-fig8 --repetitions 2", "--repetitions 2: idm-fig8 is class-incremental"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cl_condense.data.datasets.load", load_more)
    assert call(*words.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []
