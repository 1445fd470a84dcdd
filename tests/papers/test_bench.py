"""The papers' tables with ours beside them: what is missing, done once, and how it is shown."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import made_up
import pytest
import torch
from commands import call
from made_up import DDM, QUICK, REDUCED, cells, load, shown

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.papers import set_work
from cl_condense.papers.bench import Bench, runnable
from cl_condense.papers.forecast import Forecast
from cl_condense.papers.published import published, tables


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "results", load, REDUCED)


def test_cells_are_done_once_and_shown_beside_the_published(bench):
    wanted = cells("random", "dm")
    assert "26.0 ± 1.2 | not measured" in shown(wanted, bench)
    missing = bench.missing(wanted)
    assert [(w.condense.method, w.train.evaluation, w.train.depth) for w in missing] == [
        ("random", "plain", 3),
        ("dm", "augmented", 3),
    ]
    records = [record for work in missing for record in bench.do(work)]
    assert bench.missing(wanted) == []
    assert [len(record["accuracies"]) for record in records] == [2, 2]
    for cell, record in zip(wanted, records, strict=True):
        ours = 100 * torch.tensor(record["accuracies"], dtype=torch.float64)
        assert bench.ours(cell, bench.results(wanted)) == pytest.approx(ours.tolist())
        assert f"{ours.mean():.1f} ± {ours.std(correction=0):.1f} (2)*" in shown(wanted, bench)
    made = CondensedSet.load(bench.folder / "sets" / missing[1].set_name())
    assert made.recipe["name"] == "dm"
    assert made.counts == (10,) * 10


def test_a_set_that_is_there_is_scored_and_not_made_again(bench, monkeypatch):
    work = bench.missing(cells("dm"))[0]
    (first,) = bench.do(work)
    (bench.folder / "scores.jsonl").unlink()
    monkeypatch.setattr(set_work, "make", lambda *_: pytest.fail("condensed again"))
    (again,) = bench.do(bench.missing(cells("dm"))[0])
    assert again["accuracies"] == first["accuracies"]


def test_a_set_of_other_numbers_than_a_method_has_today_is_not_taken_for_its_own(bench):
    work = bench.missing(cells("dm"))[0]
    bench.do(work)
    (bench.folder / "scores.jsonl").unlink()
    path = bench.folder / "sets" / work.set_name()
    made = CondensedSet.load(path)
    replace(made, recipe={**made.recipe, "lr": 0.25, "compiled": True}).save(path)
    with pytest.raises(ValueError, match=r"dm has today: lr 0\.25 \(today 1\); take it and its scores out"):
        bench.do(work)
    with pytest.raises(ValueError, match=r"safetensors was condensed by other numbers"):
        Forecast(bench, cells("dm")).pieces(work)


def test_nothing_is_computed_beside_results_of_other_images(bench):
    bench.do(bench.missing(cells("random"))[0])
    train, test = load("cifar10")
    other = replace(bench, load=lambda dataset: (test, train))
    with pytest.raises(ValueError, match=r"results of other cifar10 images .* or another --results"):
        other.do(other.missing(cells("dm"))[0])
    with pytest.raises(ValueError, match="results of other cifar10 images"):
        other.data("cifar10")
    again = replace(bench, load=load)
    again.do(again.missing(cells("dm"))[0])
    assert bench.missing(cells("random", "dm")) == []


def test_a_score_of_other_numbers_than_a_method_has_today_says_which(bench):
    bench.do(bench.missing(cells("dm"))[0])
    path = bench.folder / "scores.jsonl"
    assert "Ours was condensed" not in shown(cells("dm"), bench)
    (score,) = bench.scores()
    path.write_text(json.dumps(score | {"recipe": score["recipe"] | {"lr": 0.25}}) + "\n")
    assert "[1] Ours was condensed with lr 0.25 (today 1)." in " ".join(shown(cells("dm"), bench).split())


def test_other_settings_are_other_results(bench):
    bench.do(bench.missing(cells("random"))[0])
    for change in ({"epochs": 3}, {"width": 4}, {"networks": 3}):
        assert len(Bench(bench.folder, load, REDUCED | change).missing(cells("random"))) == 1
    assert len(Bench(bench.folder, load, REDUCED, repetitions=3).missing(cells("random"))) == 2


def test_ours_within_the_published_spread_is_not_marked(bench, monkeypatch):
    wanted = cells("random")
    (record,) = bench.do(bench.missing(wanted)[0])
    for accuracies, mark in (([0.25, 0.27], False), ([0.23, 0.25], True), ([0.29, 0.27], True)):
        monkeypatch.setattr(Bench, "scores", lambda _, a=accuracies: [{**record, "accuracies": a}])
        assert ("(2)*" in shown(wanted, bench)) == mark


def test_a_network_for_evaluation_alone_shares_the_set(bench):
    cross = published("ddm-4", method="dm")
    works = {work.train.network: work for cell in cross for work in bench.works(cell)}
    own = [work.set_name() for work in works.values() if work.condense.network == "convnet"]
    assert {"convnet", "resnet18", "vgg11", "alexnet"} <= set(works)
    assert len(set(own)) == 1


def test_every_table_can_be_shown_without_results(bench):
    for table in tables().values():
        assert shown(table.cells, bench)
        for cell in table.cells:
            assert bool(bench.works(cell)) == runnable(cell)


def test_each_row_trains_as_its_paper(bench):
    table = [(c, w.train) for c in published("m3d-2") for w in bench.works(c)]
    ways = dict.fromkeys("random herding k_center dc".split(), ("plain", "dc_mnist"))
    ways |= {"cafe": ("cafe", "dc_mnist"), "m3d": ("mixed", "idc_mnist")}
    for cell, s in table:
        usual, of_mnist = ways.get(cell.name, ("augmented", "augmented"))
        assert s.evaluation == (of_mnist if cell.dataset == "mnist" else usual)
    assert {s.evaluation for _, s in table} == {"mixed", "plain", "augmented", "cafe", "dc_mnist", "idc_mnist"}
    for name, methods, way in (
        ("m3d-3", "random dsa idc m3d", "mixed"),
        ("m3d-5", "dm+m3d idm+m3d", "augmented"),
        ("iid-7", "random k_center dc", "augmented"),
        ("ddm-5", "datadam datadam+sm", "datadam"),
    ):
        works = [w for m in methods.split() for c in published(name, method=m) for w in bench.works(c)]
        assert {w.train.evaluation for w in works} == {way}
    full = Bench(bench.folder, load, {})
    epochs = {w.train.epochs for name in ("m3d-2", "ddm-5") for c in published(name) for w in full.works(c)}
    assert epochs == {300, 600, 1000, 1800}


def test_an_estimate_is_positive_and_leaves_nothing(bench):
    wanted = cells("random", "dm")
    plan = Forecast(bench, wanted).plan(bench.missing(wanted), "printed")
    assert all(each.seconds() > 0 for each in plan)
    assert not bench.folder.exists()


def test_the_command_lists_does_and_shows(tmp_path, capsys, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cl_condense.data.datasets.load", load)
    assert call("table") == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in tables())
    assert call(*DDM, *QUICK, "--dry-run") == 0
    assert "2 to do, about" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert call(*DDM, *QUICK) == 0
    first = capsys.readouterr()
    assert "48.9 ± 0.6 | " in first.out
    assert "[2/2] cifar10, 10 images per class, dm" in first.err
    assert call(*DDM, *QUICK) == 0
    again = capsys.readouterr()
    assert (again.out, again.err) == (first.out, "")


@pytest.mark.parametrize("given", [True, False])
def test_the_command_fetches_data_where_it_is_told_to(given, tmp_path, monkeypatch, quick):
    asked = []

    def fetch(name, folder=None, *, download=False, **options):
        asked.append((name, folder, download))
        return load(name)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cl_condense.data.datasets.load", fetch)
    assert call(*DDM, *QUICK, "--dry-run", "--data", "there", *["--download"] * given) == 0
    assert asked == [("cifar10", Path("there"), given)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table", "ddm-9"], "unknown table 'ddm-9': known are"),
        (["table", "ddm-1", "--only", "cifar"], "unknown data set of ddm-1 'cifar'"),
        (["table", "ddm-1", "--ipc", "7"], "unknown ipc of ddm-1 '7'"),
        (["table", "ddm-1", "--method", "ddmm"], "unknown method of ddm-1 'ddmm'"),
        ([*DDM, "--epochs", "0", "--data", "."], "--epochs 0"),
        ([*DDM, "--repetitions", "0"], "--repetitions 0: give a whole number from 1 to 1000"),
        ([*DDM, "--device", "tpu"], "device 'tpu' is not here"),
    ],
    ids=lambda x: x if isinstance(x, str) else " ".join(x),
)
def test_bad_input_gets_one_line_and_exit_code_2(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cl_condense.data.datasets.load", load)
    assert call(*words) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("Error: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_score_is_named(bench):
    bench.folder.mkdir()
    (bench.folder / "scores.jsonl").write_text('{"work": 1}\n')
    with pytest.raises(ValueError, match=r"scores\.jsonl is damaged in line 1"):
        bench.missing(cells("dm"))


def test_a_set_that_is_scored_twice_counts_once(bench):
    (work,) = bench.missing(cells("random"))
    (record,) = bench.do(work)
    path = bench.folder / "scores.jsonl"
    path.write_text(2 * path.read_text() + path.read_text()[:-30])  # and a line that is cut off
    assert "(2)*" in shown(cells("random"), bench)
    assert [row["accuracies"] for row in bench.rows(cells("random"))] == [[record["accuracies"]]]


TWO = """
import sys
sys.path.insert(0, {support!r})
import made_up
from cl_condense.data import datasets
from cl_condense.cli.main import main
datasets.load = made_up.load
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_two_processes_do_not_write_in_one_folder_of_results(tmp_path, capsys, monkeypatch, quick):
    monkeypatch.setattr("cl_condense.data.datasets.load", load)
    results = tmp_path / "results"
    words = [*DDM, *QUICK, "--results", str(results)]
    slow = ["2000" if word == "2" and before == "--epochs" else word for before, word in pairwise(["", *words])]
    command = [sys.executable, "-c", TWO.format(support=str(Path(made_up.__file__).parent)), *slow]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        try:
            deadline = time.monotonic() + 120
            while not (results / ".lock.json").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            for table in (words, "table ddm-1 --only cifar10 --ipc 1 --method random".split() + words[8:]):
                assert call(*table) == 2  # another table shares the folder
                shown = capsys.readouterr()
                assert f"{results} is being written by process {other.pid} on" in shown.err
                assert shown.err.rstrip().endswith("wait until it ends, or give another --results")
            assert call(*words, "--dry-run") == 0  # which writes nothing
        finally:
            other.kill()
    capsys.readouterr()
    assert call(*words) == 0
    first = capsys.readouterr().out
    assert len((results / "scores.jsonl").read_text().splitlines()) == 2
    lock = results.joinpath(".lock").stat().st_mtime_ns
    assert call(*words) == 0  # nothing is missing: it only reads
    assert capsys.readouterr().out == first
    assert results.joinpath(".lock").stat().st_mtime_ns == lock
