"""How far a whole run is, from its events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cl_condense.common.progress import OnProgress, Progress
from cl_condense.training.trainers.contract import DEFAULT

if TYPE_CHECKING:
    from cl_condense.runs.incremental import Event

_DOING = {"condense": "condensing", "train": "training", "done": "evaluated"}


def in_units(missing: int, on_progress: OnProgress) -> Callable[[Event], None]:
    """What a run calls with its events: it tells the units that are done, of those that were missing.

    The unit at work counts by its share, and the stage says which it is: ``dm, order 1, step 2: training``.
    """
    done = 0

    def on_event(event: Event) -> None:
        nonlocal done
        unit, doing = event.unit, _DOING.get(event.phase, event.phase)
        way = "" if unit.trainer == DEFAULT else f", {unit.trainer}"
        stage = f"{unit.method}{way}, order {unit.order + 1}, step {unit.step}: {doing}"
        on_progress(Progress(stage, done + event.share, missing))
        done += event.record is not None

    return on_event
