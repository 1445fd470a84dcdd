"""Campaigns: tables done in pieces, within a time, in an order, with estimates; cut or not, the same scores."""

import io
import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import made_up
import pytest
import torch
from commands import call
from made_up import DDM, QUICK, REDUCED, SELECT, cells, load, load_more, stream_cells
from rich.console import Console

from cl_condense.cli.table_cells import chosen
from cl_condense.common import durations
from cl_condense.common.drawing import Rhythm
from cl_condense.common.stopping import Limit, Stop
from cl_condense.papers.bench import Bench
from cl_condense.papers.campaign import Campaign
from cl_condense.papers.costs import Costs
from cl_condense.papers.forecast import Forecast
from cl_condense.papers.published import published
from cl_condense.papers.timings import Trained, Units
from cl_condense.papers.work import Past, Piece
from cl_condense.runs import single
from cl_condense.runs.config import CondenseConfig, TrainConfig

CPU = torch.device("cpu")
SOME = {**REDUCED, "iterations": 6}


class Checks(Limit):
    """A limit after so many looks at it, whatever the time."""

    def __init__(self, number):
        super().__init__(None)
        self.number = number

    def check(self):
        self.number -= 1
        if self.number < 0:
            raise Stop


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "results", load, SOME)


def quietly(*args):
    return Campaign(*args, console=Console(quiet=True))()


def scores(bench, wanted):
    results = bench.results(wanted)
    return [work.accuracies(results) for cell in wanted for work in bench.works(cell)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h30m", 9000),
        ("45m", 2700),
        ("90s", 90),
        ("1d", 86_400),
        ("1d2h3m4s", 93_784),
        ("1.5h", 5400),
        (" 2H ", 7200),
    ],
)
def test_a_duration_is_days_hours_minutes_seconds(text, seconds):
    assert durations.duration("--for", text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5", "0s", "0h0m", "2h30", "30m2h", "-5m", "2 h", "h", "1e3s", "nan", "inf s", "٣m", "9" * 400 + "s"],
)
def test_anything_else_is_no_duration(text):
    with pytest.raises(ValueError, match="give a length of time, such as 2h30m, 45m or 90s"):
        durations.duration("--for", text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (45, "45 s"), (240, "4 min"), (9000, "2 h 30 min"), (7200, "2 h"), (165_600, "46 h")],
)
def test_lengths_of_time_for_people(seconds, text):
    assert durations.words(seconds) == text


def test_the_command_refuses_a_duration_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*DDM, "--for", "soon") == 2
    assert capsys.readouterr().err == (
        "Error: --for 'soon': give a length of time, such as 2h30m, 45m or 90s\n"
    )
    assert call(*DDM, "--order", "dear") == 2
    assert "dearest" in capsys.readouterr().err


def test_a_campaign_that_is_cut_ends_with_the_same_scores(bench, tmp_path, quick):
    wanted = cells("random", "dm")
    whole = replace(bench, folder=tmp_path / "whole")
    assert quietly(whole, wanted) == 0
    (checkpoint,) = [bench.folder / "sets" / w.set_name() for w in bench.missing(wanted[1:])]
    checkpoint = checkpoint.with_suffix(".checkpoint")
    found = []
    for checks in (1, 7, 3):  # before the first set's networks, in the condensation, there again
        assert quietly(bench, wanted, Checks(checks)) == 0
        found.append((len(bench.missing(wanted)), checkpoint.exists()))
    assert found == [(2, False), (1, True), (1, True)]
    assert quietly(bench, wanted) == 0
    assert not checkpoint.exists()
    assert scores(bench, wanted) == scores(whole, wanted)
    assert len((bench.folder / "scores.jsonl").read_text().splitlines()) == 2


def test_what_stops_a_condensation_between_iterations_leaves_the_last_one(bench, monkeypatch):
    (work,) = bench.missing(cells("dm"))
    job = single.Job(work.condense, bench.folder / "sets" / work.set_name())

    def stop(progress):
        if progress.done == 4:
            raise Stop

    with pytest.raises(Stop):
        bench.do(work, stop)
    done, seconds = job.done()
    assert done == 4
    costs = Costs(work.condense, work.train, *load(""), Units(CPU))
    first, _ = work.pieces(bench.folder, costs)
    assert first.begun
    assert first.condensing == pytest.approx(seconds / 2, rel=0.1)  # a network is drawn besides
    steps = []
    bench.do(work, lambda progress: steps.append(progress.done))
    assert steps[:2] == [5, 6]


def test_a_run_is_cut_in_the_midst_of_a_step(tmp_path, quick):
    bench = Bench(tmp_path / "results", load_more, REDUCED, orders=1)
    (cell,) = stream_cells("random")
    (work,) = bench.missing([cell])
    assert quietly(bench, [cell], Checks(7)) == 0
    assert bench.missing([cell]) == [work]
    assert [*work.out(bench.folder).glob("checkpoints/*.train.checkpoint")]
    assert quietly(bench, [cell]) == 0
    assert not work.out(bench.folder).joinpath("checkpoints").exists()
    whole = Bench(tmp_path / "whole", load_more, REDUCED, orders=1)
    whole.do(work)
    assert scores(bench, [cell]) == scores(whole, [cell])


def test_networks_that_were_cut_go_on_and_their_rest_is_told(bench, tmp_path):
    (work,) = bench.missing(cells("random"))
    seen = []

    def stop(progress):
        seen.append(progress.done)
        if progress.stage == "training" and progress.done >= progress.total / 2:
            raise Stop

    with pytest.raises(Stop):
        bench.do(work, stop)
    costs = Costs(work.condense, work.train, *load(""), Units(CPU))
    (rest,) = work.pieces(bench.folder, costs)
    assert rest.begun
    assert 0 < rest.training < 60
    begun = []
    bench.do(work, begun.append)
    assert next(p.done for p in begun if p.done) > seen[-1]
    whole = replace(bench, folder=tmp_path / "whole")
    whole.do(work)
    assert scores(bench, cells("random")) == scores(whole, cells("random"))
    assert [*bench.folder.glob("checkpoints/*")] == []


def test_the_cheapest_comes_first_and_what_is_shared_counts_once(bench, monkeypatch):
    cost = {"random": 5.0, "dm": 1.0}
    monkeypatch.setattr(Costs, "condensing", lambda self: cost[self.condense.method])
    monkeypatch.setattr(Costs, "training", lambda self: 2.0 if self.scoring.network == "convnet" else 3.0)
    wanted = cells("random", "dm")
    forecast = Forecast(bench, wanted)
    for order, methods in (
        ("cheapest", ["dm", "random"]),
        ("printed", ["random", "dm"]),
        ("dearest", ["random", "dm"]),
    ):
        plan = forecast.plan(bench.missing(wanted[::-1] if order == "dearest" else wanted), order)
        assert [each.work.condense.method for each in plan] == methods
    nets = published("ddm-4", method="dm")
    crossed = [w for w in bench.missing(nets) if w.condense.network == "convnet" and w.condense.seed == 0]
    plan = Forecast(bench, nets).plan(crossed, "cheapest")
    assert [each.seconds() for each in plan] == [1.0 + 2.0, *[3.0] * (len(crossed) - 1)]


def test_what_was_done_on_this_device_corrects_the_estimates(bench, quick, monkeypatch):
    from cl_condense.common.devices import device_name

    wanted = cells("dm")
    (work,) = bench.missing(wanted)
    forecast = Forecast(bench, wanted)
    assert forecast.pieces(work) == [Piece(1.0), Piece(0.0, 1.0)]
    here = device_name("cpu")
    past = [Past("dm", 1.0, 3.0, here), Past("training", 2.0, 1.0, here), Past("dm", 1.0, 90.0, "another")]
    monkeypatch.setattr(type(work), "past", lambda *_: [*past, Past("dm", 0.01, 9.0, here)])
    forecast.learn(work, [])
    assert forecast.pieces(work) == [Piece(3.0), Piece(0.0, 0.5)]


def test_records_say_what_was_done(bench, quick):
    wanted = cells("dm")
    (work,) = bench.missing(wanted)
    found = bench.do(work)
    costs = Costs(work.condense, work.train, *load(""), Units(CPU))
    first, second = work.past(bench.folder, found, costs)
    assert (first.kind, second.kind) == ("dm", "training")
    assert first.seconds > 0
    assert second.seconds == found[0]["seconds"]
    assert first.device == found[0]["device"]


@pytest.mark.parametrize("method", ["dance", "dm+iid@architecture=own", "mtt@starts=1,ahead=1,lr=1"])
def test_a_pool_that_is_there_costs_nothing(method, tmp_path):
    pools, method = tmp_path / "pools", f"{method}{',' if '@' in method else '@'}size=2,epochs=3"
    c = CondenseConfig("cifar10", method, ipc=2, width=4, real_per_class=4, iterations=2)
    (images, test), units = load(""), Units(CPU)
    costs = Costs(c, TrainConfig("cifar10", width=4), images, test, units, pools)
    assert costs.pooled
    assert 0 < costs.condensing(iterations=0) < costs.condensing()
    single.run(single.Job(c, tmp_path / "a.safetensors", pools=pools), images)
    assert 0 == costs.condensing(iterations=0) < costs.condensing()
    # Those of fewer classes and of another precision are others.
    assert costs.condensing(2, iterations=0) > 0
    assert replace(costs, condense=replace(c, precision="bfloat16")).condensing(iterations=0) > 0


def test_a_pool_that_several_need_counts_with_the_first(bench):
    wanted = published("dance-1", "cifar10", method="dance")
    forecast, (one, ten, *_) = Forecast(bench, wanted), bench.missing(wanted)
    assert (one.condense.ipc, ten.condense.ipc) == (1, 10)
    both, (alone,), (last,) = (forecast.plan(some, "printed") for some in ([one, ten], [one], [ten]))
    assert both[0] == alone
    pool = forecast._costs(ten).condensing(iterations=0)
    assert pool > 0
    assert both[1].seconds() == pytest.approx(last.seconds() - pool)
    other = replace(ten, condense=replace(ten.condense, precision="bfloat16"))  # has a pool of its own
    assert forecast.plan([ten, other], "printed")[1] == forecast.plan([other], "printed")[0]


TABLES = "ddm-1 idm-1 iid-1".split()


def test_cells_of_several_tables_are_done_once_and_shown_in_each(tmp_path, capsys, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cl_condense.data.datasets.load", load)
    words = "--only cifar10 --ipc 10 --method random".split()
    own = [chosen(n, TABLES, ("cifar10",), (10,), ("random",)) for n in TABLES]
    bench = Bench(Path("results"), load, REDUCED)
    shared = {json.dumps(w.identity()) for some in own for c in some for w in bench.works(c)}
    assert sum(map(len, own)) > len(shared) > 0
    assert call("table", *TABLES, *words, *SELECT, "--json", "all.json") == 0
    shown = capsys.readouterr()
    assert len(Path("results/scores.jsonl").read_text().splitlines()) == len(shared)
    for name, some in zip(TABLES, own, strict=True):
        assert (f"{name}: " in shown.out) == bool(some)
    assert f"[{len(shared)}/{len(shared)}]" in shown.err
    rows = json.loads(Path("all.json").read_text())["rows"]
    assert {row["table"] for row in rows} == {n for n, some in zip(TABLES, own, strict=True) if some}


@pytest.mark.parametrize("wanted", ["set", "stream"])
def test_the_curves_of_a_table_have_no_step_twice_when_it_was_cut(wanted, bench, tmp_path, quick):
    import csv

    some = cells("dm") if wanted == "set" else stream_cells("dm")
    bench = bench if wanted == "set" else replace(bench, load=load_more, orders=1)
    log = (f"csv:{tmp_path}/curves.csv",)
    quietly(bench, some, Checks(4), False, log)
    quietly(bench, some, Limit(), False, log)
    rows = [*csv.DictReader((tmp_path / "curves.csv").read_text().splitlines())]
    points = [(row["run"], row["curve"], row["step"]) for row in rows]
    assert len(points) == len({*points})
    assert len({run for run, _, _ in points}) == 1
    assert {curve.split("/")[0] for _, curve, _ in points} >= {"loss", "accuracy"}
    assert [int(step) for _, curve, step in points if curve.endswith("/condensing")][:6] == [1, 2, 3, 4, 5, 6]


def test_options_repeat_and_name_what_no_table_has():
    both = chosen("ddm-1", ["ddm-1"], (), (1, 10), ("dm", "random"))
    assert {c.ipc for c in both} == {1, 10}
    assert {c.name for c in both} == {"dm", "random"}
    assert both == [c for m in ("dm", "random") for i in (1, 10) for c in chosen("ddm-1", [], (), (i,), (m,))]
    with pytest.raises(ValueError, match="unknown ipc of ddm-1 '7'"):
        chosen("ddm-1", ["ddm-1", "idm-1"], (), (7,), ())
    assert chosen("idm-1", ["ddm-1", "idm-1"], ("imagenet1k",), (), ()) == []


def test_a_dry_run_without_the_data_lists_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for where in ((), ("--data", "nowhere")):
        assert call(*DDM, *QUICK, *where, "--dry-run") == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        assert "cifar10, 10 images per class, dm, convnet, seed 0: no estimate without the data" in shown.out
        assert "2 to do without an estimate" in shown.out
        assert "--data" in shown.out
    assert call(*DDM, *QUICK) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_what_fits(tmp_path, capsys, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cl_condense.data.datasets.load", load)
    assert call(*DDM, *QUICK, "--dry-run", "--for", "3s") == 0
    assert "2 to do, about 4 s on cpu, 1 of them within 3 s" in capsys.readouterr().out


def test_at_the_limit_the_command_says_what_is_left_and_shows_the_table(tmp_path, capsys, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cl_condense.data.datasets.load", load)
    monkeypatch.setattr(Limit, "left", lambda self: -1.0)
    assert call(*DDM, *QUICK, "--for", "1h") == 0
    shown = capsys.readouterr()
    assert shown.err == "The time is up: 0 of 2 done, 2 to do, about 4 s; the same command goes on.\n"
    assert "not measured" in shown.out


def test_a_table_says_which_settings_are_not_the_papers(bench):
    wanted, papers = cells("dm"), {"economy": False}
    own = {"device": "cpu", "width": 128, "epochs": 1000}
    assert Bench(Path("x"), load, papers | own).unlike(wanted) == {}
    usual = {"iterations": 20_000, "real_per_class": 256, "networks": 5, "compiled": True, "reuse": 1}
    assert Bench(Path("x"), load, papers | usual).unlike(wanted) == {}
    other = {"iterations": 9, "reuse": 5, "precision": "bfloat16"}
    assert Bench(Path("x"), load, papers | other | {"device": "cpu"}).unlike(wanted) == other
    assert Bench(Path("x"), load, papers, orders=2).unlike(stream_cells("dm")) == {"orders": 2}
    assert bench.unlike(cells("random")).keys() == {"epochs", "width", "networks"}


CHILD = """
import sys
sys.path.insert(0, {support!r})
import made_up
from cl_condense.data import datasets
from cl_condense.papers.costs import Costs
from cl_condense.cli.main import main
datasets.load = made_up.load
Costs.condensing = Costs.training = lambda *_, **__: 1.0
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def uncut(tmp_path_factory):
    """The accuracies of LONG where nothing ends it."""
    results = tmp_path_factory.mktemp("uncut")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cl_condense.data.datasets.load", load)
        patch.setattr(Costs, "condensing", lambda *_, **__: 1.0)
        patch.setattr(Costs, "training", lambda *_, **__: 1.0)
        assert call(*LONG, "--results", results) == 0
    return json.loads((results / "scores.jsonl").read_text())["accuracies"]


LONG = ["100" if before == "--iterations" else word for before, word in pairwise(["", *QUICK])]
LONG = ["table", "ddm-1", "--only", "cifar10", "--ipc", "1", "--method", "dm", *LONG]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGTERM that can be handled")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_checkpoint_and_the_same_command_goes_on(
    number, code, uncut, tmp_path, monkeypatch, quick
):
    monkeypatch.setattr("cl_condense.data.datasets.load", load)
    words = [*LONG, "--results", str(tmp_path)]
    command = [sys.executable, "-c", CHILD.format(support=str(Path(made_up.__file__).parent)), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as other:
        try:
            while "[1/1] cifar10, 1 image per class, dm" not in (line := other.stderr.readline()):
                assert line, "it ended"
            other.send_signal(number)
            out, err = other.communicate(timeout=120)
        finally:
            other.kill()
    assert other.returncode == code, err
    assert out == ""
    assert "Stopped: 0 of 1 done, 1 to do, about " in err
    assert "Traceback" not in err
    assert len(list((tmp_path / "sets").glob("*.checkpoint"))) == 1
    assert call(*words) == 0
    assert json.loads((tmp_path / "scores.jsonl").read_text())["accuracies"] == uncut


def test_a_signal_is_remembered_and_a_second_one_ends_the_process(monkeypatch):
    ended, limit, before = [], Limit(), signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("cl_condense.common.stopping.end_at_once", ended.append)
    with limit.watching():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stop):
            limit.check()
        assert ended == []
        signal.raise_signal(signal.SIGINT)
        assert ended == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="it needs an alarm")
def test_what_does_not_look_after_a_signal_is_ended_after_the_grace(monkeypatch):
    ended = []
    monkeypatch.setattr("cl_condense.common.stopping.GRACE", 0.05)
    monkeypatch.setattr("cl_condense.common.stopping.end_at_once", ended.append)
    with Limit().watching(), suppress(Stop):
        signal.raise_signal(signal.SIGTERM)
        time.sleep(60)
    assert ended == [signal.SIGTERM]


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="it needs an alarm")
def test_what_does_not_look_is_ended_after_the_grace(monkeypatch):
    monkeypatch.setattr("cl_condense.common.stopping.GRACE", 0.05)
    with Limit(0.01).watching(), pytest.raises(Stop):
        time.sleep(60)


@pytest.mark.parametrize("method", "dm idm dsa idc cafe ddm dance dm+iid herding forgetting random".split())
def test_every_kind_of_method_has_an_estimate_that_grows_with_its_iterations(method):
    c = CondenseConfig("cifar10", method, ipc=2, width=4, real_per_class=4)
    t = TrainConfig("cifar10", networks=2, epochs=3, width=4)
    units = Units(CPU, most=-1.0 if method == "dm+iid" else 25.0)
    costs = Costs(replace(c, iterations=10), t, *load(""), units)
    more = replace(costs, condense=replace(c, iterations=10_000))
    assert costs.training() > 0
    assert more.training() == costs.training()
    if method == "random":
        assert more.condensing() == 0
    else:
        assert 0 < costs.condensing() < more.condensing()
        assert more.condensing(2) < more.condensing()


def test_real_images_that_judge_a_trained_network_cost_what_training_does(monkeypatch):
    monkeypatch.setattr(Units, "trained", lambda *_: Trained(batch=0.0, image=1.0))
    c = CondenseConfig("cifar10", "dd", ipc=1, width=4, real_per_class=4, iterations=10)
    costs = Costs(c, TrainConfig("cifar10", width=4), *load(""), Units(CPU))
    classes = len(costs.train.class_ids)
    synthetic = 10 * 3 * 3 * classes  # three steps, each looked back through
    assert costs.condensing() == pytest.approx(10 * 4 * classes + synthetic, rel=0.01)


def test_timings_are_done_once_and_then_taken_from_what_is_like_them(monkeypatch):
    units = Units(CPU, most=0.0)
    c, t = CondenseConfig("cifar10", "dm", ipc=2), TrainConfig("cifar10", width=4)
    first = Costs(c, t, *load(""), units).training()
    monkeypatch.setattr(Units, "_trained", lambda *_: pytest.fail("timed again"))
    assert Costs(c, t, *load(""), units).training() == first
    assert Costs(c, replace(t, width=16), *load(""), units).training() > first


def test_a_log_gets_a_line_from_time_to_time(bench, monkeypatch, quick):
    monkeypatch.setattr("cl_condense.common.drawing.Log.rhythm", Rhythm(first=0, every=0, beat=30, looks=True))
    console = Console(width=40, file=io.StringIO())
    assert Campaign(bench, cells("dm"), console=console)() == 0
    text = console.file.getvalue()
    assert "cifar10, 10 images per class, dm, convnet, seed 0: condensing 4 of 6, loss " in text
    assert ", seed 0: training 2 of 2 epochs, " in text
    assert ", seed 0: evaluating " in text
    assert "(n = 2), " in text
