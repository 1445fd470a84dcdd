"""A progress line for condensations outside the command line: ``on_iteration=ProgressBar()``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from cl_condense.common.durations import words

if TYPE_CHECKING:
    from torch import Tensor

OnCount = Callable[[int, int], None]
"""Called with (done, total)."""


class Progress(NamedTuple):
    """How far something is.

    Attributes:
        stage: what is being done, such as ``condensing``.
        done, total: iterations, epochs, images: whatever it counts.
        loss: of a condensation; it stays on the device until somebody looks at it.
    """

    stage: str
    done: int
    total: int
    loss: Tensor | None = None


OnProgress = Callable[[Progress], None]

LINES = 30.0
"""Seconds between lines of progress in a log."""


class ProgressBar:
    """Shows iterations, loss and time left on stderr while something condenses; call it with each Progress.

    On a terminal alone: where output is piped it shows nothing, or with ``every`` a line after so many seconds.
    The loss is looked at twenty times in a condensation, since each look waits for the device.
    """

    def __init__(
        self, description: str = "condensing", console: Console | None = None, every: float | None = None
    ) -> None:
        self._description, self._every = description, every
        self._begun: tuple[float, int] | None = None
        self._said = 0.0
        self._console = console or Console(stderr=True)
        self._bar: Bar | None = None
        self._loss = ""

    def __call__(self, progress: Progress) -> None:
        """Shows where a condensation is; the line goes away after its last iteration."""
        if not self._console.is_terminal:
            self._line(progress)
            return
        if self._bar is None:
            columns = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("left{task.fields[loss]}"))
            self._bar = Bar(
                TextColumn("{task.description}"), BarColumn(), *columns, console=self._console, transient=True
            )
            self._bar.add_task(self._description, total=progress.total, loss="")
            self._bar.start()
        if progress.loss is not None and progress.done % max(1, progress.total // 20) == 0:
            self._loss = f", loss {float(progress.loss):.3g}"
        task = self._bar.task_ids[0]
        self._bar.update(task, completed=progress.done, loss=self._loss)
        if progress.done >= progress.total:
            self.close()

    def close(self) -> None:
        """Takes the line away."""
        if self._bar:
            self._bar.stop()
        self._bar, self._loss = None, ""

    def _line(self, progress: Progress) -> None:
        """A line in a log, where it is time for one; what is left by the pace since the first call."""
        now = time.monotonic()
        if self._begun is None or progress.done < self._begun[1]:
            self._begun, self._said = (now, progress.done), now
        if self._every is None or now - self._said < self._every or progress.done == self._begun[1]:
            return
        left = (now - self._begun[0]) / (progress.done - self._begun[1])
        left *= progress.total - progress.done
        loss = "" if progress.loss is None else f", loss {float(progress.loss):.3g}"
        text = f"  {progress.done} of {progress.total}{loss}, about {words(left)} left"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        self._said = now


def training(name: str) -> OnCount:
    """Shows the epochs of networks on a set, and the time left; in a log a line every half minute."""
    bar = ProgressBar(f"training on {name}", every=LINES)
    return lambda done, total: bar(Progress("training", done, total))


def decoding(name: str) -> OnCount:
    """Shows the images of a data set that are decoded, once, and the time left."""
    bar = ProgressBar(f"decoding {name}")
    return lambda done, total: bar(Progress("decoding", done, total))
