"""A unit of work in a worker of Ray; what it tells goes by a mailbox to whoever keeps what comes out."""

from __future__ import annotations

import pickle
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cl_condense.common.stopping import Stop

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

    from cl_condense.runs.tasks import Errand, News

_BETWEEN = 0.2  # seconds between news that only pass by

Files = dict[str, bytes | None]
"""Files by their names; None: it is gone."""


class Letter(NamedTuple):
    """What a unit says.

    Attributes:
        number: of its task.
        news: pickled; empty where there are none.
        files: what changed of its state, where the folder of the results cannot be seen.
        warnings: for people.
    """

    number: int
    news: bytes
    files: Files
    warnings: tuple[str, ...]


class Mailbox:
    """Letters in their order; news are bytes in it, so that it need not know what they are of."""

    def __init__(self) -> None:
        self._letters: list[Letter] = []
        self._over = False

    def put(self, letter: Letter) -> bool:
        """Takes a letter; whether the unit is to end."""
        self._letters.append(letter)
        return self._over

    def take(self) -> list[Letter]:
        """All letters since the last time."""
        found, self._letters = self._letters, []
        return found

    def end(self) -> None:
        """From now on all units are told to end."""
        self._over = True


@dataclass
class Order:
    """Where a unit is to work.

    Attributes:
        number: of its task.
        folder: of the results.
        mark: a file in it, which who sees the folder sees.
        state: the folder in it whose files the unit makes; may be empty.
        threads: CPU threads.
    """

    number: int
    folder: Path
    mark: str
    state: str
    threads: int


def work(errand: Errand, order: Order, box: ActorHandle, images: object = None) -> None:
    """Does a unit, once its images are here; what ends it early, as it is told to, is no fault."""
    import torch  # noqa: PLC0415 - the mailbox's process does without

    torch.set_num_threads(order.threads)
    with _place(order) as folder, warnings.catch_warnings(record=True) as caught:
        post = _Post(order, folder, box, caught)
        post.begin()
        try:
            with suppress(Stop):
                errand(folder, post.tell)
        finally:
            post.end()


@contextmanager
def _place(order: Order) -> Iterator[Path]:
    """The folder of the results, where it can be seen from here, else an empty one."""
    if (order.folder / order.mark).exists():
        yield order.folder
        return
    with tempfile.TemporaryDirectory(prefix="cl-condense-") as own:
        (Path(own) / order.state).mkdir(exist_ok=True)
        yield Path(own)


class _Post:
    """What a unit tells, on its way to the mailbox."""

    def __init__(
        self, order: Order, folder: Path, box: ActorHandle, caught: list[warnings.WarningMessage]
    ) -> None:
        self._order, self._folder, self._box, self._caught = order, folder, box, caught
        self._sent = -_BETWEEN
        self._answer: Future[bool] | None = None
        self._known: dict[str, int] = {}

    def tell(self, news: News) -> None:
        """Sends news: all that lasts, of the others a few a second. It waits for nothing.

        A worker that waits for an object lends its CPU to another unit meanwhile.

        Raises:
            Stop: where the unit is to end.
        """
        now = time.monotonic()
        if not news.lasts and now - self._sent < _BETWEEN:
            return
        if self._answer and self._answer.done() and self._answer.result():
            raise Stop
        said = self._changed() if news.lasts else {}
        self._sent, self._answer = now, self._put(pickle.dumps(news.plain()), said).future()

    def begin(self) -> None:
        """Says that the unit has begun."""
        self._put(b"", {})

    def end(self) -> None:
        """Sends what is left to send, and waits until everything is there."""
        import ray  # noqa: PLC0415

        ray.get(self._put(b"", self._changed()))

    def _put(self, news: bytes, files: Files) -> ObjectRef:
        said = tuple(str(each.message) for each in self._caught)
        self._caught.clear()
        return self._box.put.remote(Letter(self._order.number, news, files, said))

    def _changed(self) -> Files:
        """What is otherwise in the state's folder than the last time, where nobody else can see it."""
        if self._folder == self._order.folder or not self._order.state:
            return {}
        own = self._folder / self._order.state
        there = {p.name: p.stat().st_mtime_ns for p in own.glob("*") if not p.name.startswith(".")}
        found: Files = {name: None for name in self._known if name not in there}
        new = [name for name, written in there.items() if self._known.get(name) != written]
        self._known = there
        return found | {name: (own / name).read_bytes() for name in new}
