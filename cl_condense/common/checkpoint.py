"""Long work that leaves its state in a file, so that it goes on where it was after an interruption."""

from __future__ import annotations

import glob
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from cl_condense.common import tensor_file
from cl_condense.common.files import sweep
from cl_condense.common.foreign import reading, shown
from cl_condense.common.numbers import MOST, finite, whole
from cl_condense.common.plain import Json

State = dict[str, Tensor]
"""What the rest of some work depends on, by name."""

EVERY = 30.0
"""Seconds between two writes of a state, at most."""

_SOONEST = 2.0  # the same of writes that take no time: what is killed twice a minute comes to its end too
_SHARE = 0.02  # of the time that writes may take

_FORMAT = "cl-condense checkpoint 6"
_WHAT = "a checkpoint", "remove it to begin again"
_OWN = "own."  # begins the names of the owner's tensors


class Checkpoint:
    """A file with the state of long work: written every half minute at least, and where the work is ended.

    What more CPU threads would round differently is to go on with the threads that it began with.

    Args:
        path: of the file; the folder is made when it is first written.
        identity: what decides the work; the same in the file.
        strict: a file of other work, or a damaged one, is an error. Else the work begins anew.
        last: the state at the end of the work is always written, for work that is made longer later.

    Attributes:
        state: what was kept; None where nothing was.
        notes, tensors: of whoever owns the work, kept with the state.
        share: of the work that was done when it was last told, 0 to 1.
        spent: seconds of work before this object was made.
        threads: that the work began with; None where nothing was kept.

    Raises:
        ValueError: where it is strict, and the file is damaged or of other work.
    """

    def __init__(self, path: Path, identity: Json, strict: bool = True, last: bool = False) -> None:
        self.path, self.identity, self._last = path, identity, last
        self.state: State | None = None
        self.notes: Json = {}
        self.tensors: State = {}
        self.threads: int | None = None
        self.share = self.spent = 0.0
        self._begun = self._written = time.monotonic()
        self._cost = 0.0  # seconds of a write
        self._of = path  # where the state comes from
        try:
            self._read()
        except ValueError:
            if strict:
                raise

    @property
    def seconds(self) -> float:
        """Of work, with those before an interruption."""
        return self.spent + time.monotonic() - self._begun

    def due(self) -> bool:
        """Whether it is time to write the state again: the sooner, the less that takes."""
        return time.monotonic() - self._written >= min(EVERY, max(_SOONEST, self._cost / _SHARE))

    def due_at_the_end(self) -> bool:
        """Whether the last state is to be written: where it is wanted, and where it is no matter of seconds,
        since what comes after may fail.
        """
        return self._last or time.monotonic() - self._written >= EVERY / 10

    def write(self, state: State) -> None:
        """Writes the file in one step."""
        begun = time.monotonic()
        own = {"notes": self.notes, "share": self.share, "seconds": self.seconds}
        header = {"job": self.identity, **own, "threads": torch.get_num_threads()}
        tensors = {**state, **{_OWN + k: v for k, v in self.tensors.items()}}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        tensor_file.write(self.path, _FORMAT, tensors, header=header)
        self._written = time.monotonic()
        self._cost = self._written - begun

    def remove(self) -> None:
        """Takes the file away, once what the work was for is kept."""
        self.path.unlink(missing_ok=True)
        sweep(self.path)

    @contextmanager
    def fitting(self) -> Iterator[None]:
        """Inside, something goes on with the state.

        Raises:
            ValueError: where it does not fit, naming the file.
        """
        with reading(self._of, *_WHAT):
            yield

    def take_up(self, other: Checkpoint) -> None:
        """Goes on with the state of other work, unless this work has one of its own."""
        if self.state is None:
            self.state, self.threads, self._of = other.state, other.threads, other.path

    def _read(self) -> None:
        if not os.path.lexists(self.path):
            return
        found = tensor_file.read(self.path, (_FORMAT,), ("header",), *_WHAT)
        header = found.entries["header"]
        with reading(self.path, *_WHAT):
            theirs, notes = dict(header["job"]), dict(header["notes"])
            spent = finite("seconds", header["seconds"], at_least=0)
            share = finite("share", header["share"], at_least=0, at_most=1)
            threads = whole("threads", header["threads"], at_most=MOST["threads"])
        for key, value in json.loads(json.dumps(self.identity)).items():
            if theirs.get(key, "nothing") != value:
                raise ValueError(
                    f"{self.path} is of a job with {key} {shown(theirs.get(key))}, not {value}: "
                    "give its settings to go on, another --out, or remove it"
                )
        self.state = {k: v for k, v in found.tensors.items() if not k.startswith(_OWN)}
        self.tensors = under(_OWN, found.tensors)
        self.notes, self.share, self.spent, self.threads = notes, share, spent, threads


class Checkpoints:
    """The checkpoints of one piece of work that has parts, which are done one after another.

    A part that is done keeps its last state until the whole is. What does not fit is begun anew.

    Args:
        folder: of the files.
        name: of the work, which the files' names begin with.
        identity: what decides the work.
    """

    def __init__(self, folder: Path, name: str, identity: Json) -> None:
        self.folder, self.name, self.identity = folder, name, identity
        self.spent = 0.0
        """Seconds of work on the parts so far, before they were taken up again."""

    def part(self, name: str) -> Checkpoint:
        """That of a part, as an interruption left it."""
        path = self.folder / f"{self.name}.{name}.checkpoint"
        found = Checkpoint(path, {**self.identity, "part": name}, strict=False)
        self.spent += found.spent
        return found

    def remove(self) -> None:
        """Takes all of them away, once what the work was for is kept."""
        for path in self.folder.glob(f"{glob.escape(self.name)}.*.checkpoint"):
            path.unlink(missing_ok=True)
            sweep(path)


def under(name: str, state: State) -> State:
    """The entries whose names begin with a name, by what follows it."""
    return {k[len(name) :]: v for k, v in state.items() if k.startswith(name)}
