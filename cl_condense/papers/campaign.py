"""Doing what is missing of tables, piece by piece, for as long as there is time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console

from cl_condense.common.drawing import stderr
from cl_condense.common.durations import words
from cl_condense.common.files import writing
from cl_condense.common.foresight import LONG
from cl_condense.common.plain import Json
from cl_condense.common.progress import Progress
from cl_condense.common.progress_bar import ProgressBar
from cl_condense.common.recorder import Recorder
from cl_condense.common.stopping import Limit, Stop
from cl_condense.papers.bench import Bench
from cl_condense.papers.forecast import Forecast, Planned
from cl_condense.papers.published import Cell
from cl_condense.papers.work import Work
from cl_condense.runs.config import digest


@dataclass
class Campaign:
    """What is missing of the cells of tables, in an order, within a limit of time.

    Attributes:
        cheapest: the shortest first, by estimate; else in the order of the cells.
        logs: loggers of a ``Recorder``; the folder's name is its run.
    """

    bench: Bench
    cells: Sequence[Cell]
    limit: Limit = field(default_factory=Limit)
    cheapest: bool = False
    logs: Sequence[str] = ()
    console: Console = field(default_factory=stderr)
    _planned: dict[Work, Planned] = field(default_factory=dict, init=False)

    def __call__(self) -> int:
        """Does it; the number of the signal that ended it, 0 where none did.

        At the limit, and at a signal, what is being condensed or trained is kept and goes on the next time.

        Raises:
            ValueError: where another process writes in the folder, and for data that do not fit.
        """
        number = 0
        with writing(self.bench.folder, "--results", folder=True), self.limit.watching():
            missing = self.bench.missing(self.cells)  # another process may have been here since
            try:
                self._do(missing)
            except Stop as stop:
                number = stop.signal
        left = self.bench.missing(self.cells)
        if left:
            why = "Stopped" if number else "The time is up"
            seconds = sum(self._planned[work].seconds() for work in left if work in self._planned)
            rest = f"{len(left)} to do{f', about {words(seconds)}' if seconds else ''}"
            done = len(missing) - len(left)
            self._say(f"{why}: {done} of {len(missing)} done, {rest}; the same command goes on.")
        return number

    def _do(self, missing: list[Work]) -> None:
        forecast = Forecast(self.bench, self.cells)
        plan = forecast.plan(missing, self.cheapest)
        self._planned = {each.work: each for each in plan}
        self._foresee(sum(each.seconds() for each in plan))
        folder = self.bench.folder.resolve()
        with Recorder(*self.logs, name=f"{folder.name}-{digest({'folder': str(folder)})}") as recorder:
            self._in_turn(plan, forecast, recorder)

    def _in_turn(self, plan: list[Planned], forecast: Forecast, recorder: Recorder) -> None:
        for number, (work, _) in enumerate(plan, 1):
            self.limit.check()
            self._planned[work] = now = Planned(work, forecast.pieces(work))
            head = f"[{number}/{len(plan)}]"
            self._say(f"{head} {work}: about {words(now.seconds())}")
            try:
                found, seconds = self._one(work, recorder)
            except Stop:
                self._planned[work] = Planned(work, forecast.pieces(work))  # what is left of it
                raise
            self._say(f"{head} {_result(work, found)}, {words(seconds)}")
            forecast.learn(work, found)

    def _foresee(self, seconds: float) -> None:
        """Says what helps where it will take long on a CPU."""
        on_cpu = self.bench.changes.get("device", "cpu") == "cpu"
        if seconds > LONG and on_cpu and math.isinf(self.limit.seconds):
            self._say(
                f"Hint: about {words(seconds)} on this CPU; --for 1h ends in time and goes on the next time, "
                "and fewer cells, --iterations or --epochs take less"
            )

    def _one(self, work: Work, recorder: Recorder) -> tuple[list[Json], float]:
        begun = time.perf_counter()

        def on_iteration(progress: Progress) -> None:
            bar(progress)
            self.limit.check()

        with ProgressBar(str(work), self.console) as bar:
            found = self.bench.do(work, on_iteration, recorder)
        return found, time.perf_counter() - begun

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def listing(planned: Sequence[Planned], limit: float | None, where: str, say: Callable[[str], None]) -> None:
    """A line for each work that is missing, with its estimate, and one for all."""
    total, within = 0.0, 0
    for each in planned:
        total += each.seconds()
        within += limit is not None and total <= limit
        say(f"{each.work}: about {words(each.seconds())}")
    fitting = "" if limit is None else f", {within} of them within {words(limit)}"
    say(f"{len(planned)} to do, about {words(total)}{where}{fitting}" if planned else "nothing to do")


def _result(work: Work, found: Sequence[Json]) -> str:
    ours = 100 * np.array([a for group in work.accuracies(found) for a in group])
    return f"{ours.mean():.1f} ± {ours.std():.1f} (n = {len(ours)})"
