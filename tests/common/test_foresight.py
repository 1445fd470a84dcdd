import pytest

from cl_condense import Progress
from cl_condense.common.foresight import Foresight


def said(each, total, steps, first=None):
    """The lines and when each came, where a step takes ``each`` seconds, and the first one longer."""
    now, lines = 0.0, []
    tell = Foresight("take fewer", lambda line: lines.append((now, line)), lambda: now)
    for step in range(1, steps + 1):
        now += first if first and step == 1 else each
        tell(Progress("condensing", step, total))
    return lines


def test_long_work_is_told_once_with_the_remedy():
    assert said(5.0, 2000, 100) == [(35.0, "Hint: about 2 h 46 min left on this CPU; take fewer")]


@pytest.mark.parametrize("work", [(1.0, 3000, 3000), (5.0, 700, 700), (0.1, 30_000, 30_000)])
def test_work_of_less_than_an_hour_is_not(work):
    assert said(*work) == []


def test_a_first_step_that_compiles_counts_for_nothing():
    assert said(0.5, 2000, 2000, first=600.0) == []


def test_a_stage_that_is_short_after_one_that_was_long_is_looked_at_by_itself():
    now, lines = 0.0, []
    tell = Foresight("x", lines.append, lambda: now)
    for total, each in ((4, 20.0), (1000, 1.0)):
        for step in range(1, min(total, 100) + 1):
            now += each
            tell(Progress("training", step, total))
    assert lines == []


def test_a_stage_that_is_over_at_once_starts_no_clock():
    """A coreset's, before networks that compile: else their minute is the pace of 20 units."""
    now, lines = 0.0, []
    tell = Foresight("x", lambda line: lines.append((now, line)), lambda: now)
    tell(Progress("condensing", 0.5, 20))
    now = 80.0
    for step in range(1, 61):
        now += 1.0
        tell(Progress("training", 0.5 + step / 1000, 20))
    assert lines == [(111.0, "Hint: about 5 h 24 min left on this CPU; x")]


def test_work_taken_up_a_moment_before_its_step_is_over_starts_the_clock_with_the_next():
    """What is left of the step is a few mini-batches and its test, which compiles: no pace of 47 steps."""
    now, lines = 0.0, []
    tell = Foresight("x", lambda line: lines.append((now, line)), lambda: now)
    for stage, seconds, done in (
        *(("training", 5.0, each) for each in (0.996, 0.998, 1.0)),
        ("condensing", 40.0, 1.01),
        *(("condensing", 1.0, 1.01 + step / 100) for step in range(1, 61)),
    ):
        now += seconds
        tell(Progress(stage, done, 47))
    assert lines == [(85.0, "Hint: about 76 min left on this CPU; x")]


def test_half_a_minute_is_one_of_the_stage_whose_pace_it_is():
    """Of a single unit: its second stage begins with a pace that says little."""
    now, lines = 0.0, []
    tell = Foresight("x", lambda line: lines.append(now), lambda: now)
    for step in range(1, 61):
        now += 1.0
        tell(Progress("condensing", step / 1000, 1))
    for step in range(1, 6):  # begins slowly, and goes on fast
        now += 10.0
        tell(Progress("training", 0.06 + step / 100_000, 1))
    assert lines == [100.0]
