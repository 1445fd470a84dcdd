"""How long something still takes, by its pace of late."""

from __future__ import annotations

from collections import deque

from cl_condense.common.progress import Progress

WINDOW, STEPS = 30.0, 4
"""What counts as of late: this many seconds and this many steps at least."""
_SHARE = 0.25
"""A step of which less was seen when it ends says nothing of the next: work that is taken up a moment before
its step is over still has all of the test before it."""
_APART = 1.0, 0.05  # seconds and steps between moments that are kept: a window is a few dozen


class Pace:
    """The pace of the last half minute, or of the last four steps where they take longer.

    Not that since the start: a first step compiles or pretrains networks, and a condensation's last part takes
    more images. So the first step that is seen only starts the clock.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()
        self._last = (0.0, 0.0)
        self._stage = ""

    def follow(self, progress: Progress, now: float) -> None:
        """Takes in where something is at a time in seconds.

        Of a single unit whose stages follow one another each has a pace of its own: of several units the last
        four say what a unit takes with all of its stages, one has no other to learn from. A stage that was over
        at once, such as that of a coreset, starts no clock: the first step of the next one may compile.
        """
        if progress.stage != self._stage:
            self._stage = progress.stage
            if progress.total == 1 or self.span < _APART[0]:
                self._seen.clear()
        self.saw(now, progress.done)

    def saw(self, now: float, done: float) -> None:
        """Takes in that so many steps are done at a time in seconds; 0 steps say nothing."""
        if done <= 0:
            return
        if self._seen and int(done) > int(self._last[1]) and done - self._seen[0][1] < _SHARE:
            self._seen.clear()
        self._last = now, done
        if not self._seen or all(
            x - y >= z for x, y, z in zip(self._last, self._seen[-1], _APART, strict=True)
        ):
            self._seen.append(self._last)
        while len(self._seen) > 1 and now - self._seen[1][0] >= WINDOW and done - self._seen[1][1] >= STEPS:
            self._seen.popleft()

    @property
    def span(self) -> float:
        """Seconds that the pace was taken in."""
        return self._last[0] - self._seen[0][0] if self._seen else 0.0

    def each(self) -> float | None:
        """Seconds of a step; None before two moments have been seen."""
        if not self._seen:
            return None
        seconds, steps = self.span, self._last[1] - self._seen[0][1]
        return seconds / steps if steps > 0 and seconds > 0 else None

    def left(self, total: float) -> float | None:
        """Seconds until ``total`` steps are done; None as ``each``."""
        each = self.each()
        return None if each is None else each * (total - self._last[1])
