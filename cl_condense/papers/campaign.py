"""Doing what is missing of tables, piece by piece, for as long as there is time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from rich.console import Console

from cl_condense.common.drawing import stderr
from cl_condense.common.durations import words
from cl_condense.common.files import writing
from cl_condense.common.foresight import LONG
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.progress_bar import ProgressBar
from cl_condense.common.recorder import Recorder
from cl_condense.common.stopping import Limit, Stop
from cl_condense.condensation.sources.pooled import STAGE
from cl_condense.papers.bench import Bench
from cl_condense.papers.forecast import Forecast, Order, Planned
from cl_condense.papers.published import Cell
from cl_condense.papers.work import Work
from cl_condense.runs.config import digest
from cl_condense.runs.tasks import Executor, Local, Task


@dataclass
class Campaign:
    """What is missing of the cells of tables, in an order, within a limit of time.

    Attributes:
        order: in which they are begun, see ``Order``.
        logs: loggers of a ``Recorder``; the folder's name is its run.
        executor: does them, here one after another, or elsewhere several at a time.
    """

    bench: Bench
    cells: Sequence[Cell]
    limit: Limit = field(default_factory=Limit)
    order: Order = "printed"
    logs: Sequence[str] = ()
    executor: Executor = field(default_factory=Local)
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
        plan = forecast.plan(missing, self.order)
        self._planned = {each.work: each for each in plan}
        self._foresee(sum(each.seconds() for each in plan))
        folder = self.bench.folder.resolve()
        with Recorder(*self.logs, name=f"{folder.name}-{digest({'folder': str(folder)})}") as recorder:
            if self.executor.where:
                self._at_once(plan, forecast, recorder)
            else:
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

    def _at_once(self, plan: list[Planned], forecast: Forecast, recorder: Recorder) -> None:
        """All of them, as many at a time as the executor takes."""
        seconds = sum(each.seconds() for each in plan)
        self._say(f"{len(plan)} to do on {self.executor.where}: about {words(seconds)} one after another")
        makers: dict[str, Task] = {}
        with ExitStack() as stack:
            bar = stack.enter_context(ProgressBar(console=self.console))
            board = _Board(bar, self.executor.where, len(plan))
            tasks: list[Task] = []
            for number, (work, _) in enumerate(plan):
                told = board.of(number)
                own = stack.enter_context(self.bench.opened(work, self.executor, told, recorder))
                ended = partial(self._ended, board, work, number, [len(own)])
                first = makers.get(work.makes())
                own = [replace(task, ended=ended, after=first) for task in own]
                if work.makes():
                    makers.setdefault(work.makes(), own[0])
                tasks += own
            board.show()
            try:
                self.executor(tasks, self.limit.check)
            except Stop:
                self._planned |= {work: Planned(work, forecast.pieces(work)) for work, _ in plan}
                raise

    def _ended(self, board: _Board, work: Work, number: int, left: list[int]) -> None:
        """Says what came out of a work, once the last of its tasks has ended."""
        left[0] -= 1
        if not left[0]:
            board.end(number)
            self._say(f"[{board.done}/{board.works}] {work}: {_result(work, self.bench.of(work))}")

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

        opened = self.bench.opened(work, self.executor, on_iteration, recorder)
        with ProgressBar(str(work), self.console) as bar, opened as tasks:
            self.executor(tasks)
        return self.bench.of(work), time.perf_counter() - begun

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Board:
    """How far works are that are done at a time: a bar counts them, and each that is at work by its share."""

    def __init__(self, bar: OnProgress, where: str, works: int) -> None:
        self.works, self.done = works, 0
        self._bar, self._where, self._shares = bar, where, dict[int, float]()

    def of(self, number: int) -> OnProgress:
        """What tells how far a work is, by its number; a set is half done before it is scored."""

        def tell(progress: Progress) -> None:
            share = progress.done / max(1, progress.total)
            halves = {"condensing": share / 2, STAGE: share / 4, "training": (1 + share) / 2}
            self._shares[number] = max(self._shares.get(number, 0.0), halves.get(progress.stage, share))
            self.show()

        return tell

    def end(self, number: int) -> None:
        """Counts a work that is done."""
        self._shares.pop(number, None)
        self.done += 1
        self.show()

    def show(self) -> None:
        """Draws it."""
        done = self.done + sum(self._shares.values())
        self._bar(Progress(f"on {self._where}", done, self.works, unit="cells"))


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
