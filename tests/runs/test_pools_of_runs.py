"""Pools of networks in runs, sets and tables: who shares them, where they lie, and what is told of them."""

from dataclasses import replace

import pytest
from small_runs import TINY, few

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.sources import pooled
from cl_condense.data.datasets import load
from cl_condense.papers.bench import Bench
from cl_condense.papers.set_work import SetWork
from cl_condense.papers.stream_work import StreamWork
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.runs.incremental import Run
from cl_condense.runs.single import Job
from cl_condense.runs.single import run as make

RUN = TINY.changed(methods=("dance", "dance+cf"), orders=1, networks=1)
SET = CondenseConfig("digits", "dance", ipc=2, iterations=4, real_per_class=8, width=8, depth=1)


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def data():
    train, test = (part.only([0, 1, 2, 3]) for part in load("digits"))
    return few(train, 20), few(test, 30)


@pytest.fixture
def trainings(monkeypatch):
    """The images and classes that pools were trained on."""
    seen = []

    class Watched(pooled.Together):
        def __init__(self, jobs, training):
            seen.append((len(jobs[0].images), len(jobs[0].labels.unique())))
            super().__init__(jobs, training)

    monkeypatch.setattr(pooled, "Together", Watched)
    return seen


def accuracies(records):
    return [(r["method"], r["step"], r["accuracies"]) for r in records]


def pools(folder):
    return sorted(path.name for path in folder.rglob("*.pool"))


def test_methods_of_a_run_share_the_pool_of_each_step_which_sees_its_classes_alone(data, trainings, tmp_path):
    events, there = [], []

    def on_event(event):
        events.append(event)
        there.append(len(pools(tmp_path / "run/pools")))

    records = Run(RUN, *data, tmp_path / "run")(on_event)
    assert trainings == [(40, 2), (40, 2)]
    assert max(there) == 2
    assert not (tmp_path / "run/pools").exists(), "nothing else has a use for them"
    done, found = 0, []
    for event in events:
        found.append(done + event.share)
        done += event.record is not None
    assert found == sorted(found)
    assert {event.phase for event in events} == {pooled.STAGE, "condense", "train", "done"}
    assert accuracies(Run(RUN, *data, tmp_path / "run").records) == accuracies(records)


def test_a_folder_of_pools_that_is_named_stays_and_serves_other_runs(data, trainings, tmp_path):
    records = Run(RUN, *data, tmp_path / "one", pools=tmp_path / "pools")()
    kept = pools(tmp_path)
    assert len(kept) == len(trainings) == 2
    other = RUN.changed(methods=("dance+sm",), ipc=3)
    Run(other, *data, tmp_path / "other", pools=tmp_path / "pools")()
    again = Run(RUN, *data, tmp_path / "again", pools=tmp_path / "pools")()
    assert (pools(tmp_path), len(trainings)) == (kept, 2)
    assert accuracies(again) == accuracies(records)


@pytest.mark.parametrize("at", [1, 7])
def test_a_run_that_was_interrupted_while_a_pool_trained_goes_on(at, data, tmp_path):
    want, told = Run(RUN, *data, tmp_path / "whole")(), []

    def stop(event):
        told.append(event.phase)
        if told.count(pooled.STAGE) == at:
            raise Stop

    with pytest.raises(Stop):
        Run(RUN, *data, tmp_path / "broken")(stop)
    assert set(told) == {pooled.STAGE}
    again = Run(RUN, *data, tmp_path / "broken")
    assert accuracies(again(lambda event: told.append(event.phase))) == accuracies(want)
    assert told.count(pooled.STAGE) == 2 * 20, "of two steps twenty mini-batches each, none twice"
    assert not (tmp_path / "broken/pools").exists()


def test_sets_of_a_folder_share_a_pool_beside_them_or_in_one_that_is_named(data, trainings, tmp_path):
    for number, changes in enumerate(({}, {"ipc": 1}, {"seed": 3}, {"method": "dance+m3d"})):
        make(Job(replace(SET, **changes), tmp_path / f"{number}.safetensors"), data[0])
    assert len(trainings) == len(pools(tmp_path / "pools")) == 1
    elsewhere = Job(SET, tmp_path / "b" / "set.safetensors", pools=tmp_path / "pools")
    make(elsewhere, data[0])
    assert len(trainings) == len(pools(tmp_path)) == 1
    one, other = (CondensedSet.load(path).pixels for path in (tmp_path / "0.safetensors", elsewhere.path))
    assert one.equal(other)
    assert f'pools = "{tmp_path / "pools"}"' in elsewhere.path.with_suffix(".toml").read_text()


def test_works_of_a_table_share_pools_in_its_folder(data, trainings, tmp_path):
    train = TrainConfig("digits", epochs=2, networks=1, width=8, depth=1)
    bench = Bench(tmp_path, lambda name: data, {})
    for ipc in (1, 2):
        bench.do(SetWork(replace(SET, ipc=ipc, data=""), train))
    assert len(trainings) == len(pools(tmp_path / "pools")) == 1
    bench.do(StreamWork(RUN.changed(methods=("dance",)), RUN.stream.steps))
    assert len(pools(tmp_path / "pools")) == 3
    assert len(pools(tmp_path)) == 3
