"""Economy in settings, names of results, the command line, runs and memories."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import call
from made_up import QUICK, REDUCED, cells
from made_up import load as made_up
from small_runs import TINY, few

from cl_condense.condensation.phases import Quiet
from cl_condense.condensation.sources.training import InnerLoop
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.data.datasets import load
from cl_condense.methods.economy import economical
from cl_condense.methods.registry import build
from cl_condense.papers.bench import Bench
from cl_condense.papers.costs import Costs
from cl_condense.papers.published import published
from cl_condense.papers.set_work import set_works
from cl_condense.papers.stream_work import incremental, stream_works
from cl_condense.papers.timings import Units
from cl_condense.runs.build import method_for
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.runs.defaults import DEFAULTS, defaults, economy_option
from cl_condense.runs.incremental import Run
from cl_condense.runs.run_config import RunConfig
from cl_condense.runs.ways import ways
from cl_condense.strategies import CondensedBuffer
from cl_condense.training.augment import DSA

DM = "2,500 iterations, 64 real images a class, reuse 10, the last 400 with 256 real images at 0.1 of the rate"


def settled(config):
    return method_for(config).settled(config.ipc or 10)


def numbers(**changes):
    found = settled(CondenseConfig(**{"dataset": "cifar10", "method": "dm", **changes}))
    return found.iterations, found.real_per_class, found.reuse, found.source, found.quiet


# what configs make of a method


def test_economy_is_how_methods_condense_unless_the_papers_are_asked_for():
    assert numbers() == (2500, 64, 10, RandomNets(10), Quiet(0.16, 0.1, 256))
    assert method_for(CondenseConfig("cifar10", "dm", economy=False)) == build("dm", "cifar10")
    assert numbers(method="dsa", ipc=1) == (1000, 64, 1, InnerLoop(1, 1), None)
    assert method_for(CondenseConfig("cifar10", "idc")) == build("idc", "cifar10")


def test_what_is_given_stands():
    assert numbers(iterations=1000, real_per_class=32) == (1000, 32, 10, RandomNets(10), Quiet(0.16, 0.1, 32))
    assert numbers(reuse=5)[2:4] == (5, RandomNets(5))
    assert numbers(reuse=1)[2:4] == (1, RandomNets(1))
    assert numbers(reuse=1, method="m3d")[2:4] == (1, RandomNets(5))
    assert numbers(iterations=9000)[0] == 9000
    assert numbers(reuse=3, method="idm")[3].steps == 3
    assert numbers(economy=False, reuse=4)[:4] == (20_000, 256, 4, RandomNets(4))


@pytest.mark.parametrize("name", ["dm", "ddm", "idm", "dc"])
def test_digits_keep_their_own_settings(name):
    config = CondenseConfig.of({"dataset": "digits", "method": name, **defaults("digits", (name,))})
    own = build(name, "digits", iterations=200, real_per_class=32)
    words = [word for word in own.augment.groups if word in DSA(config.augment).groups]
    assert method_for(config) == replace(own, augment=replace(own.augment, strategy="_".join(words) or "none"))
    assert DEFAULTS["digits"]["economy"] is False


def test_a_choice_takes_the_numbers_of_a_data_set_away():
    for economy, found in ((True, (2500, 64, 10)), (False, (20_000, 256, 1))):
        chosen = defaults("digits", ("dm",), economy) | {"economy": economy}
        config = RunConfig.of("digits", ("dm",), **chosen).main
        assert numbers(**vars(config))[:3] == found
        assert (config.ipc, config.width) == (2, 32)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "10"])
def test_a_reuse_without_sense_is_refused(value):
    with pytest.raises(ValueError, match=f"^reuse {value!r}: give a whole number from 1 to 1000000$"):
        CondenseConfig("cifar10", reuse=value)


# names of results


PAPERS = {"economy": False}


@pytest.mark.parametrize(("table", "method"), [("ddm-1", "random"), ("frontier-hard", "idc")])
def test_what_has_no_economy_is_one_result_with_it_and_without(table, method):
    (cell,) = published(table, "cifar10", 10, method)[:1]
    (papers,), (usual,) = set_works(cell, PAPERS, 1), set_works(cell, {}, 1)
    assert papers.condense == replace(usual.condense, economy=False)
    assert papers.identity() == usual.identity()


def test_a_set_by_economy_has_another_name():
    (cell,) = published("ddm-1", "cifar10", 10, "dm")[:1]
    names = {set_works(cell, changes, 1)[0].set_name() for changes in ({}, PAPERS, {"reuse": 1})}
    assert len(names) == 3
    assert set_works(cell, {}, 1)[0].set_name() == set_works(cell, {"economy": True}, 1)[0].set_name()


def test_runs_of_what_has_no_economy_are_in_one_folder():
    for method, one in (("random", True), ("dm", False)):
        cell = next(c for c in published("ddm-fig3b") if incremental(c) and c.name == method)
        folders = {stream_works(cell, changes, 5, 5)[0].out(Path()) for changes in ({}, PAPERS)}
        assert len(folders) == 2 - one


def test_values_in_a_record_give_the_same_run_again():
    run = RunConfig.of("cifar10", ("dm", "idm", "random"), reuse=5, iterations=7, budget=30, ipc=None, seed=3)
    assert RunConfig.read(json.loads(json.dumps(run.values() | {"threads": 1}))) == run


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"dataset": "cifar10"}, ""),
        ({"dataset": "cifar10", "economy": False}, "--papers"),
        ({"dataset": "cifar10", "economy": False, "methods": ("random",)}, ""),
        ({"dataset": "cifar10", "methods": ("idc",)}, ""),
        ({"dataset": "digits"} | DEFAULTS["digits"], ""),
        ({"dataset": "digits", "economy": False}, "--papers"),
        ({"dataset": "digits"}, "--economy"),
    ],
)
def test_the_option_that_makes_it_again(given, option):
    assert economy_option(RunConfig.of(**{"methods": ("random", "ddm"), **given}).values()) == option


# runs


@pytest.fixture(scope="module")
def data():
    train, test = (part.only([0, 1, 2, 3]) for part in load("digits"))
    return few(train, 20), few(test, 30)


SHORT = TINY.changed(methods=("dm",), orders=1, networks=1, iterations=4, real_per_class=4)


def test_a_folder_by_economy_is_not_gone_on_with_by_the_papers(data, tmp_path):
    Run(SHORT.changed(economy=False), *data, tmp_path)()
    assert json.loads((tmp_path / "settings.json").read_text())["economy"] is False
    with pytest.raises(ValueError, match="holds a run with economy False, not True: give another --out"):
        Run(SHORT, *data, tmp_path)


def test_a_run_says_in_its_records_how_it_condensed(data, tmp_path):
    (last,) = Run(SHORT.changed(steps=1, methods=("random", "dm")), *data, tmp_path)()[1:]
    assert last["economy"] is True
    assert last["recipe"]["quiet"] == {"kind": "Quiet", "share": 0.16, "rate": 0.1, "real_per_class": 4}
    assert json.loads((tmp_path / "settings.json").read_text())["economy"] is True


# the command line


CONDENSE = "condense --iterations 10 --width 4 --device cpu --out set.safetensors".split()


@pytest.mark.parametrize(
    ("words", "said", "economy"),
    [
        ("--method dm", "dm: 10 iterations, 32 real images a class", False),
        ("--method dm --papers", "dm: 10 iterations, 256 real images a class", False),
        (
            "--method dm --economy",
            "dm, economy: 10 iterations, 64 real images a class, reuse 10, "
            "the last 2 with 256 real images at 0.1 of the rate",
            True,
        ),
        (
            "--method dm --economy --real-per-class 8 --reuse 2",
            "dm, economy: 10 iterations, 8 real images a class, reuse 2, "
            "the last 2 with 8 real images at 0.1 of the rate",
            True,
        ),
    ],
)
def test_condense_says_how_it_condenses(words, said, economy, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*CONDENSE, *words.split()) == 0
    assert capsys.readouterr().err.splitlines()[0] == said
    record = json.loads(Path("set.json").read_text())
    assert record["economy"] is economy
    assert bool(record["recipe"]["quiet"]) is economy


def test_the_numbers_of_settings_are_lines():
    run = RunConfig.of("cifar10", ("random", "dm", "ddm", "idm", "dsa", "dc", "idc", "m3d"))
    trains = (
        "has no economy: its networks train on real images between iterations; it takes the papers' settings"
    )
    assert ways(run.condense) == [
        f"dm, ddm, idm, economy: {DM}",
        "dsa, dc, economy: 2,500 iterations, 64 real images a class",
        f"idc {trains}: 200,000 iterations, 64 real images a class",
        f"m3d, economy: {DM.replace('256', '128')}",
    ]
    shared = run.changed(ipc=None, budget=100).condense
    assert "dsa, dc, economy" in ways(shared)  # without numbers, which depend on what a class gets
    papers = [CondenseConfig("cifar10", "dm", economy=False)]
    assert ways(papers) == ["dm, the papers' settings: 20,000 iterations, 256 real images a class"]
    digits = RunConfig.of("digits", ("dm",), **DEFAULTS["digits"]).condense
    assert ways(digits) == ["dm, the settings for digits: 200 iterations, 32 real images a class"]
    assert ways([CondenseConfig("cifar10", "random")]) == []
    iid = CondenseConfig("cifar10", "dm+iid", ipc=10)
    assert ways([iid])[0].endswith(", 0.2 x class_centralisation")  # four times its own
    own = [replace(iid, economy=False), replace(iid, method="dm+iid@cc=0.3")]
    assert not [line for line in ways(own) if "centralisation" in line]


def test_a_run_announces_it_and_its_table_has_it(tmp_path, capsys):
    words = "run --steps 1 --orders 1 --networks 1 --iterations 4 --epochs 2 --width 4 --device cpu --economy"
    assert call(*words.split(), "--method", "random", "--method", "dm", "--out", tmp_path / "run") == 0
    shown = capsys.readouterr()
    assert "dm, economy: 4 iterations, 64 real images a class, reuse 10" in shown.err
    assert "dm by economy, not at the papers' settings" in " ".join(shown.out.split())


TABLE = "table ddm-1 --only cifar10 --ipc 10".split()


@pytest.mark.slow
def test_a_table_is_by_economy_or_as_published(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cl_condense.data.datasets.load", made_up)
    methods = "--method random --method dm".split()
    assert call(*TABLE, *methods, *QUICK, "--dry-run") == 0
    listed = capsys.readouterr().out
    said = "Not the papers' settings: economy (2 iterations, 4 real images a class, reuse 10), iterations 2"
    assert said in listed
    assert "no economy" not in listed
    idc = "table frontier-hard --only cifar10 --ipc 10 --method idc --dry-run".split()
    assert call(*idc, *QUICK) == 0
    said_of_idc = (
        "idc has no economy: its networks train on real images between iterations; the papers' settings."
    )
    assert said_of_idc in capsys.readouterr().out
    dm = ["--method", "dm", "--method", "random"]
    assert call(*TABLE, *dm, *QUICK, "--json", "economy.json") == 0
    assert said in " ".join(capsys.readouterr().out.split())
    assert call(*TABLE, *dm, *QUICK, "--papers", "--json", "papers.json") == 0
    shown = capsys.readouterr()
    assert "economy" not in shown.out
    assert "[1/1]" in shown.err  # real images are selected alike
    found = [json.loads(Path(f"{name}.json").read_text())["settings"] for name in ("economy", "papers")]
    assert [settings["economy"] for settings in found] == [True, False]


def test_the_default_of_a_bench_is_economy():
    bench = Bench(Path("x"), made_up, REDUCED | {"iterations": 100})
    assert "economy" in bench.unlike(cells("dm"))
    assert "economy" not in bench.unlike(cells("random"))
    assert bench.lacking(cells("dm")) == ""
    assert Bench(Path("x"), made_up, PAPERS).lacking(published("frontier-hard", "cifar10", 10, "idc")) == ""


def test_the_estimate_counts_both_phases(monkeypatch):
    train, test = made_up("cifar10")
    c = CondenseConfig("cifar10", "dm", width=8, iterations=100, reuse=1)
    costs = Costs(c, TrainConfig("cifar10", width=8), train, test, Units(torch.device("cpu")))
    found = costs.condensing()
    first, both = costs.condensing(iterations=84), costs.condensing(iterations=100)
    assert both == found
    quiet = replace(costs, condense=replace(c, economy=False, real_per_class=64))
    assert quiet.condensing(iterations=84) == pytest.approx(first)
    all_real = replace(costs, condense=replace(c, economy=False))
    assert found - first == pytest.approx(all_real.condensing() - all_real.condensing(iterations=84))


# the memory of a stream


def test_a_memory_condenses_by_economy_unless_the_papers_are_asked_for():
    assert CondensedBuffer(20, method="dm").method == economical(build("dm"))
    assert CondensedBuffer(20, method="dm", papers=True).method == build("dm")
    assert CondensedBuffer(20, method="dsa").method == economical(build("dsa"))
    assert CondensedBuffer(20, method="idc").method == build("idc")
    assert CondensedBuffer(20, method="random").method == build("random")
    assert CondensedBuffer(20, method=build("dm")).method == build("dm")
    less = CondensedBuffer(20, method="dm", iterations=100).method
    assert (less.iterations, less.quiet, less.reuse) == (100, Quiet(0.16, 0.1, 256), 10)
