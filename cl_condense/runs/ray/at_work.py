"""Tasks on their way through a Ray cluster, for the process that keeps what comes out."""

from __future__ import annotations

import pickle
import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cl_condense.common.files import atomic
from cl_condense.common.foreign import reason
from cl_condense.common.stopping import Stop
from cl_condense.runs.ray.stored import Stored
from cl_condense.runs.ray.worker import Letter, Mailbox, Order, work
from cl_condense.runs.tasks import Task

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

TRIES = 4
"""How often a unit is begun whose workers die."""

Claim = Callable[[Task], dict[str, float]]
"""What a task takes of a node, as Ray names it."""

_POLL = 0.1  # seconds between two looks at what is done
_LEAVE = 12.0  # seconds in which units are to keep their state when all ends


class AtWork:
    """Tasks on their way through the cluster."""

    def __init__(self, tasks: Sequence[Task], mark: str, box: ActorHandle, claim: Claim, threads: int) -> None:
        import ray  # noqa: PLC0415

        self._tasks, self._mark, self._box = tasks, mark, box
        self._claim, self._threads = claim, threads
        self._work = ray.remote(max_retries=0)(work)  # begun again from here, with what is left of it
        self._refs: dict[ObjectRef, int] = {}
        self._waiting = [*range(len(tasks))]
        self._done, self._begun, self._warned = set[Task](), set[int](), set[str]()
        self._tries = dict.fromkeys(self._waiting, 0)

    def __call__(self, check: Callable[[], None]) -> None:
        """Does all."""
        import ray  # noqa: PLC0415

        while self._waiting or self._refs:
            for number in [*self._waiting]:
                after = self._tasks[number].after
                if after is None or after is self._tasks[number] or after in self._done:
                    self._waiting.remove(number)
                    self._send(number)
            ended, _ = ray.wait([*self._refs], timeout=_POLL)
            self._hear()  # after the wait: what ended has told all
            check()
            for ref in ended:
                self._end(ref)

    def leave(self) -> None:
        """Lets units at work keep their state, for a few seconds, and ends the others."""
        import ray  # noqa: PLC0415

        with suppress(ray.exceptions.RayError):
            ray.get(self._box.end.remote())
            until = time.monotonic() + _LEAVE
            for ref, number in [*self._refs.items()]:
                if number not in self._begun:
                    ray.cancel(ref, force=True)
                    del self._refs[ref]
            while self._refs and time.monotonic() < until:
                for ref in ray.wait([*self._refs], timeout=_POLL)[0]:
                    del self._refs[ref]
                self._hear(ending=True)
            for ref in self._refs:
                ray.cancel(ref, force=True)

    def _send(self, number: int) -> None:
        task = self._tasks[number]
        self._tries[number] += 1
        threads = task.threads or self._threads
        images = task.data.ref if isinstance(task.data, Stored) else None
        order = Order(number, task.folder.resolve(), self._mark, task.state, threads)
        own = self._work.options(name=task.name, **self._claim(task))
        self._refs[own.remote(task.begin(), order, self._box, images)] = number

    def _end(self, ref: ObjectRef) -> None:
        """Looks at how a task ended: well, by a fault of its own, or with its worker."""
        import ray  # noqa: PLC0415
        from ray import exceptions as faults  # noqa: PLC0415

        number = self._refs.pop(ref)
        task = self._tasks[number]
        try:
            ray.get(ref)
        except faults.RayTaskError as error:
            raise error.cause from error
        except faults.RayError as error:
            self._begun.discard(number)
            if self._tries[number] < TRIES:
                self._waiting.append(number)
                return
            said = f"{task.name}: its worker died {TRIES} times ({reason(error)})"
            if isinstance(error, faults.OutOfMemoryError):
                raise MemoryError(said) from None
            raise ValueError(f"{said}: the same command goes on") from None
        self._done.add(task)
        task.ended()

    def _hear(self, ending: bool = False) -> None:
        """Reads the letters: keeps files, passes news on, and says a warning once."""
        import ray  # noqa: PLC0415

        letters: list[Letter] = ray.get(self._box.take.remote())
        for letter in letters:
            task = self._tasks[letter.number]
            self._begun.add(letter.number)
            _keep(letter, task.folder / task.state)
            for text in letter.warnings:
                if text not in self._warned:
                    warnings.warn(text, stacklevel=2)
                self._warned.add(text)
            if letter.news:
                with suppress(*(Stop, ValueError) if ending else ()):
                    task.heard(pickle.loads(letter.news))


def _keep(letter: Letter, folder: Path) -> None:
    """Does to the files of a state what the worker did."""
    for name, data in letter.files.items():
        if data is None:
            (folder / name).unlink(missing_ok=True)
            continue
        with atomic(folder / name) as temporary:
            temporary.write_bytes(data)


@contextmanager
def marked(tasks: Sequence[Task]) -> Iterator[str]:
    """A file in the folders of tasks, by which workers see whether a folder is the same one for them."""
    mark = f".{secrets.token_hex(8)}"  # a temporary one, which is swept where this process is killed
    files = [folder / mark for folder in dict.fromkeys(task.folder for task in tasks)]
    try:
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        yield mark
    finally:
        for file in files:
            file.unlink(missing_ok=True)


@contextmanager
def mailbox() -> Iterator[ActorHandle]:
    """A mailbox on this machine."""
    import ray  # noqa: PLC0415
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    box = ray.remote(num_cpus=0, scheduling_strategy=here)(Mailbox).remote()
    try:
        yield box
    finally:
        ray.kill(box)
