"""How far a whole run is, from its events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.recorder import Recorder
from cl_condense.runs.records import row_name

if TYPE_CHECKING:
    from cl_condense.runs.events import Event

_NUMBERS = "accuracy stored_images stored_bytes condense_seconds train_seconds".split()
_DOING = {"condense": "condensing", "train": "training", "done": "evaluated"}


def in_units(missing: int, on_progress: OnProgress, where: str = "") -> Callable[[Event], None]:
    """What a run calls with its events: it tells the units that are done, of those that were missing.

    The unit at work counts by its share, and the stage says which it is: ``dm, order 1, step 2: training``; or
    ``where`` several are at work at a time.
    """
    done = 0

    def on_event(event: Event) -> None:
        nonlocal done
        unit, doing = event.unit, _DOING.get(event.phase, event.phase)
        stage = f"{row_name(unit._asdict())}, order {unit.order + 1}, step {unit.step}: {doing}"
        on_progress(Progress(f"on {where}" if where else stage, done + event.share, missing, unit="steps"))
        done += event.record is not None

    return on_event


def to_recorder(recorder: Recorder, of: str = "") -> Callable[[Event], None]:
    """What a run calls with its events: losses and pictures by unit, the numbers of records by step.

    Args:
        recorder: gets them.
        of: the run, where the recorder has several.
    """

    def on_event(event: Event) -> None:
        unit, progress, record = event.unit, event.progress, event.record
        # a memory is made once, whichever networks train on it
        name = unit.method if event.phase == "condense" else row_name(unit._asdict())
        own = "/".join(filter(None, (of, f"{name}, order {unit.order + 1}")))
        if progress:
            recorder(progress._replace(of=f"{own}/{progress.of or f'experience {unit.step}'}"))
        if record:
            recorder.scalars({f"{what}/{own}": record[what] for what in _NUMBERS}, unit.step)

    return on_event
