"""Units of work that do not wait for one another: done one after another here, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from cl_condense.common.devices import pick_device
from cl_condense.data.imageset import ImageSet

Data = tuple[ImageSet, ImageSet]
"""Train and test images."""

Shared = Callable[[], Data]
"""Gives a data set wherever a unit is done."""


class News(Protocol):
    """What a unit tells while it is done: how far it is, or a result."""

    @property
    def lasts(self) -> bool:
        """Whether it has to arrive: a result, or a point of a curve; of the others the latest is enough."""

    def plain(self) -> News:
        """The same, fit for another process."""


Tell = Callable[[News], None]
"""What gets the news; where it raises Stop, the unit keeps its state and ends."""


class Errand(Protocol):
    """A unit of work as data, which another process can do.

    It computes, and writes nothing but its state: what comes out goes to ``tell``. ``folder`` is where it finds
    its state and leaves it: that of whoever keeps the results, or an empty one where that cannot be seen.
    """

    def __call__(self, folder: Path, tell: Tell) -> None: ...


@dataclass(frozen=True, eq=False)
class Task:
    """A unit of work for the process that keeps what comes out of it.

    Attributes:
        name: for people.
        folder: of the results, and of the unit's state.
        begin: gives the errand when its turn has come; again, for what is left, where a worker died on the way.
        heard: gets the news, and writes what lasts. A result may come twice where a worker died.
        ended: is called when the unit is done.
        data: its images, which are brought to where it is done.
        after: a task that has to be done before.
        device: to compute on.
        threads: CPU threads; None: as many as the executor has for a unit.
        state: folder in ``folder`` whose files go with the results where a worker cannot see it; may be empty.
    """

    name: str
    folder: Path
    begin: Callable[[], Errand]
    heard: Callable[[News], None]
    ended: Callable[[], None] = lambda: None
    data: Shared | None = None
    after: Task | None = None
    device: str = "cpu"
    threads: int | None = None
    state: str = ""


class Executor(Protocol):
    """Does tasks, in whatever process."""

    @property
    def where(self) -> str:
        """What does them, in words; empty where it is this process, one after another."""

    @property
    def threads(self) -> int:
        """CPU threads of a unit."""

    def device(self, name: str) -> str:
        """The device of a name, ``auto`` too.

        Raises:
            ValueError: for one that is not there.
        """

    def share(self, data: Data) -> Shared:
        """Puts a data set where units can have it."""

    def __call__(self, tasks: Sequence[Task], check: Callable[[], None] = lambda: None) -> None:
        """Does all of them.

        Args:
            tasks: in the order in which they are begun.
            check: called often; where it raises, what is being done keeps its state, and all ends.

        Raises:
            Exception: the first that a unit raises; the others keep their state.
        """


class Local:
    """One after another, in this process."""

    where = ""

    @property
    def threads(self) -> int:
        return torch.get_num_threads()

    def device(self, name: str) -> str:
        return str(pick_device(name))

    def share(self, data: Data) -> Shared:
        return lambda: data

    def __call__(self, tasks: Sequence[Task], check: Callable[[], None] = lambda: None) -> None:
        for task in tasks:
            check()
            task.begin()(task.folder, task.heard)
            task.ended()
