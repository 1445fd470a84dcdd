"""The papers' figures as tables: what they list without data, and a reduced run of each."""

from dataclasses import replace

import pytest
from commands import call
from made_up import QUICK, REDUCED, load, load_more

from cl_condense.data import datasets
from cl_condense.methods.registry import build
from cl_condense.papers.bench import Bench, runnable
from cl_condense.papers.beside import Comparison, side_by_side
from cl_condense.papers.forecast import Forecast
from cl_condense.papers.published import published, with_moments
from cl_condense.papers.set_work import condensed_once
from cl_condense.papers.titles import TITLES
from cl_condense.reports.html.curves import curve_plot, curves, points

FIGURES = [
    name
    for name in TITLES
    if name.startswith(("ddm", "idm", "iid", "m3d")) and ("fig" in name or "supp" in name)
]
SETS = [name for name in FIGURES if all(map(condensed_once, published(name)))]
AXES = {
    "idm-fig3": ["epochs"],
    "idm-fig5": ["ce"],
    "idm-fig6": ["train_steps"],
    "idm-fig7": ["size"],
    "iid-fig4": ["cc", "cov"],
    "iid-fig5": ["share of the iterations (%)"],
    "m3d-fig3": ["share of the iterations (%)"],
    "m3d-fig6a": ["steps"],
}


SMALL = {"dm+iid": "size=1,epochs=1", "dm+trained": "size=1", "idm": "batch=4,push_every=2"}


def some(name):
    """A few cells of a figure, whose networks train for less; of a figure over iterations one method."""
    cells = [cell for cell in published(name) if cell.ipc <= 10]
    if name in AXES:
        of_one = [cell for cell in cells if cell.name == cells[0].name]
        cells = of_one if cells[0].after else [cell for cell in cells if "@" in cell.name]
        cells = (
            cells if cells[0].after else list(dict.fromkeys([*cells[:2], *cells[-2:]]))[: 2 * len(AXES[name])]
        )
    found = []
    for cell in cells:
        own = SMALL.get(cell.name.partition("@")[0])
        own = f"{own},train_steps=1" if own and "idm@" in cell.name and "train_steps" not in cell.name else own
        found.append(replace(cell, name=cell.name + (",@"["@" not in cell.name] + own if own else "")))
    return with_moments(found)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_ours_to_run_and_lists_its_work(name, tmp_path, capsys, monkeypatch):
    assert all(map(runnable, published(name)))
    monkeypatch.chdir(tmp_path)

    def absent(name, *_, **__):
        raise ValueError(f"{name} is not there")

    monkeypatch.setattr(datasets, "load", absent)
    assert call("table", name, "--dry-run") == 0
    said = capsys.readouterr().out
    bench = Bench(tmp_path, absent, {"economy": True, "device": "cpu"})
    works = {str(work) for cell in published(name) for work in bench.works(cell)}
    assert works
    assert all(f"{work}: no estimate without the data" in said for work in works)


@pytest.mark.parametrize("name", SETS)
def test_a_reduced_run_fills_every_cell_and_draws_its_curves(name, tmp_path):
    cells = some(name)
    bench = Bench(
        tmp_path, load, {"economy": True, **REDUCED, "iterations": 4, "epochs": 1, "networks": 1, "width": 4}
    )
    for work in bench.missing(cells):
        bench.do(work)
    assert bench.missing(cells) == []
    comparison = Comparison(cells, [bench])
    assert {pair.cell for pair in comparison.pairs} == {*cells}
    side_by_side(name, comparison, measured=True)
    drawn = curves(points(comparison.pairs))
    assert [*drawn] == AXES.get(name, [])
    assert not drawn or curve_plot(drawn).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["idm-fig8a", "iid-fig7"])
def test_a_reduced_stream_has_an_accuracy_of_every_step(name, tmp_path):
    cells = [cell for cell in published(name) if cell.name in ("random", "dm") and cell.steps == 5]
    bench = Bench(tmp_path, load_more, {**REDUCED, "epochs": 1, "networks": 1, "width": 4}, orders=1)
    for work in bench.missing(cells):
        bench.do(work)
    assert bench.missing(cells) == []
    comparison = Comparison(cells, [bench])
    assert {pair.cell for pair in comparison.pairs} == {*cells}
    records = {r["step"]: r["accuracies"] for w in bench.works(cells[0]) for r in w.kept(tmp_path)}
    for cell in cells:
        step = cell.classes // 20 if cell.classes else 5
        if cell.name == cells[0].name:
            assert [*bench.ours(cell, bench.results(cells))] == [100 * a for a in records[step]]
    if name == "idm-fig8a":
        (lines,) = curves(points(comparison.pairs)).values()
        assert {len(own) for own in lines.values()} == {5}


def test_the_sets_of_a_curve_are_of_one_condensation(tmp_path):
    cells = [cell for cell in published("m3d-fig3") if cell.name == "dm"]
    bench = Bench(tmp_path, load, {"economy": True, **REDUCED, "iterations": 20})
    works = [work for cell in cells for work in bench.works(cell)]
    assert [work.after for work in works] == [1, 2, 4, 8, 12, 16, None]
    assert len({work.makes() for work in works}) == 1
    plan = Forecast(bench, cells).plan(works, "printed")
    assert [len(each.pieces) for each in plan] == [2, 1, 1, 1, 1, 1, 1]
    bench.do(works[3])
    assert len([*(tmp_path / "sets").glob("*.safetensors")]) == 7


def test_a_table_sweeps_and_looks_at_the_way(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(datasets, "load", load)
    monkeypatch.chdir(tmp_path)
    words = "table ddm-1 --only cifar10 --ipc 10 --method dm --method random".split() + QUICK
    assert call(*words, "--sweep", "lr=0.5,1") == 0
    shown = capsys.readouterr()
    assert "random has no lr and stays as it is" in shown.err
    assert "DM, lr=0.5" in shown.out
    assert "DM, lr=1" in shown.out
    assert call(*words, "--iterations", 4, "--checkpoints", "2,75%") == 0
    shown = capsys.readouterr()
    assert "after 2 iterations" in shown.err
    assert "after 3 iterations" in shown.err
    assert call("report", "results", "--out", "page.html") == 0
    page = (tmp_path / "page.html").read_text()
    assert "Sweeps" in page
    assert "dm@lr=0.5" in page
    assert "fills no published table" not in page


def test_settings_of_a_label_are_those_of_its_method():
    for name in FIGURES:
        for cell in published(name):
            assert build(cell.name).name == cell.name
            assert ("@" in cell.name) == (", " in cell.method)
