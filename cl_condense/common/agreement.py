"""When the state of work is kept, and where work is ended: of one process, and of ranks that agree on it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Protocol

from cl_condense.common.checkpoint import Checkpoint, State
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.ranks import ALONE, Over, Ranks

_LOOK = 0.5
"""Seconds between two agreements of ranks, about."""


class Tell(Protocol):
    """What work calls where its state is one to go on from."""

    def __call__(self, progress: Progress) -> None:
        """Tells it, and writes the state when that is due, and at once where the one who is told raises."""

    def only(self, progress: Progress) -> None:
        """Tells it where there is no state to go on from."""

    def end(self) -> None:
        """Writes the last state, unless it was a matter of seconds."""


def keeping(
    checkpoint: Checkpoint | None,
    state: Callable[[], State],
    on_progress: OnProgress | None = None,
    ranks: Ranks = ALONE,
) -> Tell:
    """What tells ``on_progress`` how far work is, and keeps its states in a checkpoint.

    Where ``on_progress`` raises, the work is ended. Without a checkpoint it only tells. Of several ranks the
    leader has both.
    """
    if ranks.size == 1:
        return _Alone(checkpoint, state, on_progress)
    return _Agreed(checkpoint, state, on_progress, ranks)


def taking_up(checkpoint: Checkpoint | None, restore: Callable[[State], None], ranks: Ranks = ALONE) -> None:
    """Gives what a checkpoint has, if it has something, to what goes on with it, on all ranks.

    Raises:
        ValueError: where it does not fit.
    """
    state = ranks.told(checkpoint.state if checkpoint else None)
    if state is not None:
        with checkpoint.fitting() if checkpoint else nullcontext():
            restore(state)


class _Alone:
    def __init__(
        self, checkpoint: Checkpoint | None, state: Callable[[], State], on_progress: OnProgress | None
    ) -> None:
        self._checkpoint, self._state, self._on_progress = checkpoint, state, on_progress

    def __call__(self, progress: Progress) -> None:
        if self._checkpoint:
            self._checkpoint.share = progress.done / progress.total
        try:
            self.only(progress)
        except BaseException:
            self._write()
            raise
        if self._checkpoint and self._checkpoint.due():
            self._write()

    def only(self, progress: Progress) -> None:
        if self._on_progress:
            self._on_progress(progress)

    def end(self) -> None:
        if self._checkpoint and self._checkpoint.due_at_the_end():
            self._write()

    def _write(self) -> None:
        if self._checkpoint:
            self._checkpoint.write(self._state())


class _Agreed:
    """The same of ranks, each at its own pace: they look at calls that the leader names, about twice a second.

    There all are at the same place of the work, so that the state of the whole can be written and the work be
    ended. What ``on_progress`` raises waits for it.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        state: Callable[[], State],
        on_progress: OnProgress | None,
        ranks: Ranks,
    ) -> None:
        self._checkpoint, self._state, self._on_progress, self._ranks = checkpoint, state, on_progress, ranks
        self._raised: BaseException | None = None
        self._calls = self._left = 1  # of a look: how many there were to be, and how many are left
        self._looked = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        self.only(progress)
        self._left -= 1
        if self._left > 0 and not progress.over:
            return
        ends, due, self._left = self._ranks.once(self._decide)
        if self._checkpoint:
            self._checkpoint.share = progress.done / progress.total
        if ends or due:
            self._write()
        if ends:
            self._ranks.rest()
            raise self._raised or Over

    def only(self, progress: Progress) -> None:
        try:
            if self._on_progress and not self._raised:
                self._on_progress(progress)
        except BaseException as raised:
            self._raised = raised

    def end(self) -> None:
        if self._ranks.once(lambda: bool(self._checkpoint and self._checkpoint.due_at_the_end())):
            self._write()

    def _decide(self) -> tuple[bool, bool, int]:
        """The leader's: whether the work ends, whether its state is due, and calls until the next look."""
        now = time.monotonic()
        pace = (now - self._looked) / self._calls
        # no more than twice as many as before: the first ones may have been the fastest
        self._calls = max(1, min(2 * self._calls, math.floor(_LOOK / max(pace, 1e-9))))
        self._looked = now
        return self._raised is not None, bool(self._checkpoint and self._checkpoint.due()), self._calls

    def _write(self) -> None:
        kept = self._state()
        if self._checkpoint:
            self._checkpoint.write(kept)
