import pytest

from cl_condense.common.pace import STEPS, WINDOW, Pace
from cl_condense.common.progress import Progress


def paced(*parts, start=0.0):
    """A pace that saw parts of (steps, seconds each)."""
    pace, now, done = Pace(), start, 0
    for steps, seconds in parts:
        for _ in range(steps):
            now, done = now + seconds, done + 1
            pace.saw(now, done)
    return pace, done


def test_two_steps_give_a_pace_and_one_does_not():
    pace, _ = paced((1, 2.0))
    assert (pace.each(), pace.left(10)) == (None, None)
    pace.saw(4.0, 2)
    assert (pace.each(), pace.left(10)) == (2.0, 16.0)


def test_a_long_first_step_is_no_part_of_the_pace():
    pace, done = paced((1, 60.0), (10, 0.5))
    assert pace.left(done + 100) == pytest.approx(50)
    begun = Pace()
    begun.saw(0.0, 0)  # told before the first step
    begun.saw(60.0, 1)
    assert begun.each() is None


@pytest.mark.parametrize("seconds", [0.001, 0.1, 3.0])
def test_another_pace_is_known_within_a_window_and_few_steps(seconds):
    slower = 5 * seconds
    late = max(STEPS, round(WINDOW / slower)) + round(2 / slower) + 1
    pace, done = paced((round(200 / seconds), seconds), (late, slower))
    assert pace.each() == pytest.approx(slower, rel=0.01)
    quicker = max(STEPS, round(WINDOW / seconds)) + round(2 / seconds) + 1
    pace, done = paced((100, slower), (quicker, seconds))
    assert pace.left(done + 1000) == pytest.approx(1000 * seconds, rel=0.01)


def test_slow_steps_are_averaged_over_the_last_few():
    pace, _ = paced((50, 300.0), (1, 40.0), (1, 60.0), (1, 20.0), (1, 80.0))
    assert pace.each() == pytest.approx(50)


def test_fractions_of_long_steps_count_and_a_whole_cycle_is_seen():
    """Units of a quick and a slow half: the time left does not swing with the half that is at work."""
    pace, now, found = Pace(), 0.0, []
    for i in range(20 * 40):
        now += 1.0 if i % 40 < 20 else 9.0
        pace.saw(now, (i + 1) / 40)
        found.append(pace.each())
    assert all(each == pytest.approx(200, rel=0.15) for each in found[5 * 40 :])


@pytest.mark.parametrize("quick", ["choosing", "training"])
def test_each_stage_of_a_single_unit_has_its_own_pace(quick):
    """Real images are chosen at once, and networks train on them for an hour; or the other way round."""
    pace, now = Pace(), 0.0
    for stage, first in (("choosing", 0.0), ("training", 0.5)):
        each = 0.01 if stage == quick else 36.0
        for i in range(100):
            now += each
            pace.follow(Progress(stage, first + i / 200, 1), now)
            if i > 5:
                assert pace.left(first + 0.5) == pytest.approx(each * (100 - i), rel=0.01)


def test_it_keeps_few_moments():
    pace, _ = paced((20_000, 0.01))
    assert len(pace._seen) < 50
    fractions = Pace()
    for i in range(20_000):
        fractions.saw(float(i), (i + 1) / 2000)
    assert len(fractions._seen) < 120


def test_time_that_stands_still_is_no_pace():
    pace = Pace()
    pace.saw(5.0, 1)
    pace.saw(5.0, 2)
    assert (pace.each(), pace.left(9)) == (None, None)
