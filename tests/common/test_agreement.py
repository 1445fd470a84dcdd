"""Ranks look together whether to go on, at calls that the leader names."""

import pytest
import torch

from cl_condense.common.agreement import keeping
from cl_condense.common.checkpoint import Checkpoint
from cl_condense.common.progress import Progress
from cl_condense.common.ranks import Over, Ranks


class Two(Ranks):
    """One of two ranks, whose leader says what a test says."""

    size = 2

    def __init__(self, rank=0, said=()):
        self.rank, self._said, self.looks, self.rested = rank, [*said], 0, 0

    def once(self, find):
        self.looks += 1
        return find() if self.leads else self._said.pop(0)

    def rest(self):
        self.rested += 1


@pytest.fixture
def now(monkeypatch):
    at = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: at[0])
    return at


def at_work(tell, now, calls, seconds):
    for done in range(1, calls + 1):
        now[0] += seconds
        tell(Progress("working", done, 100))


@pytest.mark.parametrize(("seconds", "looks"), [(10.0, 20), (0.3, 20), (0.2, 10), (0.001, 4)])
def test_they_look_about_twice_a_second_at_first_more_often(now, seconds, looks):
    ranks = Two()
    at_work(keeping(None, dict, lambda progress: None, ranks), now, 20, seconds)
    assert ranks.looks == pytest.approx(looks, abs=1)


def test_what_ends_the_work_waits_until_all_look(tmp_path, now):
    ranks, told, kept = Two(), [], Checkpoint(tmp_path / "a", {"job": 1})

    def on_progress(progress):
        told.append(progress.done)
        if progress.done == 4:
            raise KeyError("enough")

    tell = keeping(kept, lambda: {"done": torch.tensor(told[-1])}, on_progress, ranks)
    with pytest.raises(KeyError, match="enough"):
        at_work(tell, now, 10, 0.001)
    assert told == [1, 2, 3, 4]
    assert (ranks.looks, ranks.rested) == (3, 1)  # at calls 1, 3 and 7
    assert Checkpoint(kept.path, kept.identity).share == 0.07


def test_a_rank_that_follows_ends_where_the_leader_says_so_and_asks_nobody_else(now):
    ranks = Two(1, [(False, False, 2), (False, True, 2), (True, False, 1)])
    states = []
    tell = keeping(None, lambda: states.append(1) or {}, None, ranks)
    with pytest.raises(Over):
        at_work(tell, now, 10, 99.0)
    assert ranks.looks == 3
    assert len(states) == 2  # gathered by all where one writes it


def test_they_look_at_the_end_of_a_stage(now):
    ranks = Two(1, [(False, False, 50), (True, False, 1)])
    tell = keeping(None, dict, None, ranks)
    tell(Progress("working", 1, 2))
    with pytest.raises(Over):
        tell(Progress("working", 2, 2))
