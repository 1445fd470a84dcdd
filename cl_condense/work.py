"""What a cell of a published table needs: a piece of work, whatever its kind."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from cl_condense.condensed import CondensedSet
from cl_condense.coresets import Coreset
from cl_condense.engine import Condensation
from cl_condense.evaluate import score
from cl_condense.experiment import method_for, training_for
from cl_condense.imageset import ImageSet
from cl_condense.recipes import OnStep, Recipe
from cl_condense.settings import Settings, make_net

Json = dict[str, Any]

Load = Callable[[str], tuple[ImageSet, ImageSet]]
"""Gives (train, test) of a data set."""


class Account(NamedTuple):
    """Where accuracies come from: seconds of condensation, one a group of them, and records with origins."""

    seconds: list[float | None]
    origins: list[Json]


class Work(Protocol):
    """A piece of work in a folder of results: what decides it, doing it, and what came out.

    ``str`` says for people what it is. ``results`` are those of :meth:`cl_condense.bench.Bench.results`.
    """

    @property
    def settings(self) -> Settings:
        """What it computes with."""

    def identity(self) -> Json:
        """What its results have to say of themselves, as their ``work``."""

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

    def estimate(self, folder: Path, load: Load) -> float:
        """Seconds that it will take, from a few of its iterations and epochs on this machine."""

    def do(self, folder: Path, load: Load, on_step: OnStep | None = None) -> list[Json]:
        """Does what is missing of it, tells ``on_step`` how far it is, and returns its results."""


class Trial(NamedTuple):
    """A little of a condensation: images, and the seconds that all of it takes: ``fixed + each * classes``."""

    made: CondensedSet
    fixed: float
    each: float


def trial(real: ImageSet, s: Settings) -> Trial:
    """Two iterations on the classes of ``real``; of a selection, two epochs of its network on two classes."""
    method, make, ipc = method_for(s.methods[0], s), make_net(s, real.shape), s.ipc or 0
    if isinstance(method, Recipe):
        job = Condensation(real, method, ipc=ipc, make_net=make)
        job.step()  # the first one warms up
        begun = time.perf_counter()
        float(job.step())
        seconds = (time.perf_counter() - begun) * job.iterations
        return Trial(job.result(), 0.0, seconds / len(real.class_ids))
    real, ends, iterations = real.only(real.class_ids[:2]), [time.perf_counter()], 0
    steps = -(-len(real) // 256)  # of an epoch
    if isinstance(method, Coreset):
        method, iterations = replace(method, iterations=min(method.iterations, 2 * steps)), method.iterations
    made = method(real, ipc=ipc, make_net=make, seed=0, on_step=lambda _: ends.append(time.perf_counter()))
    epoch = ends[-1] - ends[-2] if iterations else 0.0
    rest = time.perf_counter() - ends[0] - epoch * (len(ends) - 1)
    return Trial(made, epoch / steps * iterations, max(0.0, rest) / len(real.class_ids))


def training_seconds(made: CondensedSet, test: ImageSet, s: Settings) -> float:
    """Seconds that one image of a set costs when ``s.nets`` networks train on it for ``s.epochs``.

    Measured with two epochs of a network on at most a mini-batch.
    """
    make = make_net(s, test.shape)
    begun = time.perf_counter()
    x, y = (part[:256].to(s.device) for part in made.decode())
    few = test.only(test.class_ids[:1])
    training, labels = replace(training_for(s), epochs=2), y * 0 + few.class_ids[0]
    score(x, labels, few, make_net=make, training=training, networks=1, keys=(0,))
    return (time.perf_counter() - begun) / 2 / len(x) * s.epochs * s.nets
