"""A word in time where work will take long."""

from __future__ import annotations

import time
from collections.abc import Callable

from cl_condense.common.durations import words
from cl_condense.common.pace import WINDOW, Pace
from cl_condense.common.progress import Progress

LONG = 3600.0
"""Seconds that are long."""


class Foresight:
    """Says once, by the pace of half a minute of a stage, that it will take more than an hour.

    Earlier the pace says little: a first iteration looks at more real images than the others, or compiles.

    Args:
        remedy: what would make it shorter.
        say: gets the line.
        clock: the time in seconds.
    """

    def __init__(
        self, remedy: str, say: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._remedy, self._say, self._clock = remedy, say, clock
        self._said, self._pace = False, Pace()
        self._last = Progress("", 0, 0)

    def __call__(self, progress: Progress) -> None:
        if self._said:
            return
        if progress.total != self._last.total or progress.done < self._last.done:
            self._pace = Pace()
        self._last = progress
        self._pace.follow(progress, self._clock())
        left = self._pace.left(progress.total)
        if left is not None and left > LONG and self._pace.span >= WINDOW:
            self._said = True
            self._say(f"Hint: about {words(left)} left on this CPU; {self._remedy}")
