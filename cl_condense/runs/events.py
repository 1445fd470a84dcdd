"""What a class-incremental run tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from cl_condense.common.progress import OnProgress, Progress
from cl_condense.condensation.sources.pooled import STAGE
from cl_condense.runs.records import Record, Unit


class Event(NamedTuple):
    """Where a run is: the ``phase`` of a unit, ``record`` once the unit is finished.

    ``share`` is how many units' worth is done that no earlier event had a record of, as if condensing took as
    long as training: 0 to 1, or more where several units train together. ``progress`` is what the phase itself
    told.
    """

    unit: Unit
    phase: str
    share: float
    record: Record | None = None
    progress: Progress | None = None

    @property
    def lasts(self) -> bool:
        """Whether it has to arrive: a unit that is finished, or a point of a curve."""
        return self.phase == "done" or bool(self.progress and self.progress.on_curve)

    def plain(self) -> Event:
        """The same for another process."""
        return self._replace(progress=self.progress and self.progress.plain())


OnEvent = Callable[[Event], None]


def shares(units: list[Unit], on_event: OnEvent) -> Iterator[OnProgress]:
    """For each unit what tells how far its condensation is, after those before it."""
    for before, unit in enumerate(units):
        yield _Share(unit, before, on_event)


class _Share:
    """Tells how far a unit's condensation is; where a pool is trained first, that is the first half of it."""

    def __init__(self, unit: Unit, before: int, on_event: OnEvent) -> None:
        self._unit, self._before, self._on_event, self._pool = unit, before, on_event, False

    def __call__(self, progress: Progress) -> None:
        share, training = progress.done / progress.total, progress.stage == STAGE
        self._pool = self._pool or training
        if self._pool:
            share = (share + (not training)) / 2
        phase = progress.stage if training else "condense"
        self._on_event(Event(self._unit, phase, (self._before + share) / 2, progress=progress))
