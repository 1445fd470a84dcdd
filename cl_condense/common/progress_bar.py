"""The one place that draws progress: on terminals, in notebooks and as lines in logs."""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from cl_condense.common.drawing import Surface, stderr, surface_of
from cl_condense.common.durations import words
from cl_condense.common.kinds import check_call, check_kind
from cl_condense.common.pace import Pace
from cl_condense.common.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

_LOOKS = 20
_TICK = 1.0  # seconds
_QUIET = 20.0  # seconds without news that are worth a word


class ProgressBar:
    """Draws progress on stderr: stage, iteration, loss or pace, time so far and time left.

    ``condense(..., on_iteration=ProgressBar())``. On a terminal it is a bar that goes away at the end, in a
    notebook one that stays, and in a log a line within ten seconds and then at least every half minute. The
    time left is by the pace of the last half minute. Where the count goes back, or is to another total, a new
    bar begins, so that one object serves several condensations, and the training after them.

    ``with ProgressBar() as bar`` draws from the first moment on, before anything is told, and takes the bar
    away when something fails; without it, a bar that was left in the middle goes with the object.

    The loss is looked at twenty times, or once for each line of a log, since each look waits for the device. A
    stream that cannot be written to is no error: nothing is drawn.

    Args:
        name: what the work is about, before the stage: a method, a file, a data set.
        console: where to draw.
        clock: the time in seconds.
    """

    def __init__(
        self, name: str = "", console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        check_kind("name", name, str, "a text")
        check_call("clock", clock)
        self._name, self._console, self._clock = name, console or stderr(), clock
        self._lock, self._ended = threading.RLock(), threading.Event()
        self._shown: tuple[_Stage, Surface] | None = None
        self._leave: Callable[[], object] = lambda: None
        self._inside = self._dead = False
        self._since = self._due = -math.inf  # the first beginning, and the next drawing

    def __call__(self, progress: Progress) -> None:
        """Shows where something is; a bar ends with the last of what it counts."""
        check_kind("progress", progress, Progress, "a Progress")
        with self._lock:
            now = self._clock()
            if self._shown is None or not self._shown[0].goes_on(progress):
                self._begin(progress, now)
            assert self._shown  # for the type checker
            (stage, surface), over = self._shown, progress.over
            stage.saw(progress, now)
            if now >= self._due or (over and surface.rhythm.last):
                stage.look(surface.rhythm.looks)
                self._draw(now)
            if over:
                self._end()
                if self._inside:
                    self._begin(Progress(f"after {progress.stage}", 0, 0), now)

    def __enter__(self) -> ProgressBar:
        with self._lock:
            self._inside = True
            self._begin(Progress("starting", 0, 0), self._clock())
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[ProgressBar], tuple[str]]:
        """What is saved of it, as a part of something: its name."""
        return ProgressBar, (self._name,)

    def close(self) -> None:
        """Takes the bar away."""
        with self._lock:
            self._inside = False
            self._end()

    def _begin(self, progress: Progress, now: float) -> None:
        self._end()
        surface = surface_of(self._console)
        self._shown = _Stage(self._name, progress, now), surface
        # a log's next line stays due through stages that are shorter than the time between lines
        if surface.rhythm.first == 0 or self._due == -math.inf:
            self._due = now + surface.rhythm.first
        if self._since == -math.inf:
            self._since = now
        # where work fails, a terminal gets its cursor back with the bar's end
        self._leave = weakref.finalize(self, _quietly, surface.close)
        if math.isfinite(surface.rhythm.beat):
            self._ended = threading.Event()
            threading.Thread(target=_beat, args=(weakref.ref(self), self._ended), daemon=True).start()

    def _end(self) -> None:
        self._ended.set()
        self._leave()
        self._shown = None

    def _tick(self) -> None:
        """Draws where there was no news for long."""
        with self._lock:
            now = self._clock()
            if self._shown:
                rhythm = self._shown[1].rhythm
                if now >= self._due + rhythm.beat - rhythm.every:
                    self._draw(now)

    def _draw(self, now: float) -> None:
        if self._shown and not self._dead:
            stage, surface = self._shown
            state = stage.label(), stage.share(), stage.text(now)
            self._dead = not _quietly(lambda: surface.show(*state))
            first, every = surface.rhythm.first, surface.rhythm.every
            # where a first line could not say how long it will take, another one follows soon
            soon = now - self._since <= 2 * first and not stage.foreseen()
            self._due = now + (first if soon else every)


class _Stage:
    """What one bar shows."""

    def __init__(self, name: str, progress: Progress, now: float) -> None:
        self.progress = progress
        self._name, self._begun, self._news, self._pace = name, now, now, Pace()
        self._loss, self._twentieth = "", -1

    def goes_on(self, progress: Progress) -> bool:
        """Whether that is further on in the same count."""
        return progress.total == self.progress.total and progress.done >= self.progress.done

    def saw(self, progress: Progress, now: float) -> None:
        self.progress, self._news = progress, now
        self._pace.follow(progress, now)

    def foreseen(self) -> bool:
        """Whether the time left is known, or there is no news that it could be known from."""
        return not self.progress.done or self._pace.each() is not None

    def look(self, again: bool) -> None:
        """Looks at the loss, if it is time for it or ``again``; it waits for the device."""
        twentieth = int(_LOOKS * self.progress.done / max(1, self.progress.total))
        if self.progress.loss is not None and (again or twentieth > self._twentieth):
            self._loss, self._twentieth = f"loss {float(self.progress.loss):.3g}", twentieth

    def label(self) -> str:
        return f"{self._name}: {self.progress.stage}" if self._name else self.progress.stage

    def share(self) -> float | None:
        return min(1.0, self.progress.done / self.progress.total) if self.progress.total else None

    def text(self, now: float) -> str:
        done, total = self.progress.done, self.progress.total
        counted = f"{done:.0f}" if done == int(done) else f"{int(10 * done) / 10}"  # never ahead of itself
        taken, quiet, left = now - self._begun, now - self._news, self._pace.left(total)
        parts = (
            f"{counted} of {total} {self.progress.unit}".rstrip() if total else "",
            self._loss or self._rate(),
            f"{words(taken)} so far" if taken >= 1 else "",
            f"nothing new for {words(quiet)}" if total and quiet >= _QUIET else "",
            f"about {words(left)} left" if left else "",
        )
        return ", ".join(filter(None, parts))

    def _rate(self) -> str:
        each = self._pace.each()
        if each is None:
            return ""
        if each >= 1:
            return f"{words(each)} each"
        return f"{1 / each:,.0f} a second" if each < 0.01 else f"{1 / each:.3g} a second"


def _beat(bar: weakref.ref[ProgressBar], ended: threading.Event) -> None:
    """Lets a bar draw without news, until it has ended or nobody has it any more."""
    while not ended.wait(_TICK):
        own = bar()
        if own is None:
            return
        own._tick()
        del own  # a wait must not keep it


def _quietly(draw: Callable[[], object]) -> bool:
    """Draws; whether the stream could be written to: work does not end because nobody can watch it."""
    with suppress(OSError, ValueError):
        draw()
        return True
    return False
