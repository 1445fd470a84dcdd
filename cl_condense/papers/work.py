"""What a cell of a published table needs: a piece of work, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress
from cl_condense.common.recorder import Recorder
from cl_condense.data.imageset import ImageSet
from cl_condense.papers.costs import Costs
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.runs.tasks import Executor, Task

Load = Callable[[str], tuple[ImageSet, ImageSet]]
"""Gives (train, test) of a data set."""


class Piece(NamedTuple):
    """A part of a work that is kept once it is done.

    Attributes:
        condensing, training: the seconds that it takes of both, about.
        begun: a checkpoint is there, and tells how long the rest takes.
    """

    condensing: float
    training: float = 0.0
    begun: bool = False

    def seconds(self) -> float:
        return self.condensing + self.training


class Past(NamedTuple):
    """A part of a work that was done.

    Attributes:
        kind: such parts are over- or underestimated alike.
        estimate, seconds: what it was to take, and took.
        device: its name.
    """

    kind: str
    estimate: float
    seconds: float
    device: str


class Account(NamedTuple):
    """Where accuracies come from: seconds of condensation, one a group of them, and records with origins.

    ``taken`` are all seconds, those of training too, however they are divided; None for what does not say it.
    """

    seconds: list[float | None]
    origins: list[Json]
    taken: list[float | None]


class Work(Protocol):
    """A piece of work in a folder of results: what decides it, doing it, and what came out.

    ``str`` says for people what it is. ``results`` are those of ``Bench.results``.
    """

    @property
    def condense(self) -> CondenseConfig:
        """How its images are condensed."""

    @property
    def train(self) -> TrainConfig:
        """How networks are trained on them."""

    def check(self, train: ImageSet, test: ImageSet) -> None:
        """Raises ValueError where it makes no sense or does not fit the data."""

    def identity(self) -> Json:
        """What its results have to say of themselves, as their ``work``."""

    def beside(self, others: Sequence[Work]) -> Work:
        """It together with others of the same identity, as one piece of work."""

    def accuracies(self, results: Sequence[Json]) -> list[list[float]]:
        """Fractions of 1 of networks, by the images that they share; empty where it is not done."""

    def account(self, folder: Path, results: Sequence[Json]) -> Account:
        """Where its accuracies come from.

        Raises:
            ValueError: for a damaged record.
        """

    def kept(self, folder: Path) -> list[Json]:
        """Results that lie in a folder of its own.

        Raises:
            ValueError: for a damaged record.
        """

    def makes(self) -> str:
        """What its first piece makes that other works may share; empty where they do not."""

    def pieces(self, folder: Path, costs: Costs) -> list[Piece]:
        """What is missing of it, piece by piece, with estimates."""

    def past(self, folder: Path, results: Sequence[Json], costs: Costs) -> list[Past]:
        """What was done of it, on any device."""

    def opened(
        self,
        folder: Path,
        load: Load,
        executor: Executor,
        on_iteration: OnProgress | None = None,
        recorder: Recorder | None = None,
    ) -> AbstractContextManager[list[Task]]:
        """What is missing of it, as tasks, while this process writes what comes out of them.

        ``on_iteration`` is told how far the work is, ``recorder`` gets its curves. Where one of them raises,
        what was done is kept, and goes on the next time.
        """
