"""A data set as a stream: new classes at each step, or the same ones of another domain, in an order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cl_condense.common.foreign import shown
from cl_condense.common.rng import normal, uniform
from cl_condense.data.imageset import ImageSet
from cl_condense.data.parts import label_and_domain, labels_of
from cl_condense.training.trainers import TRAINERS

SCENARIOS = ("class", "task", "domain", "online")
"""What comes at each step: new classes, all classes of a new domain, or either of them in mini-batches. Where
new classes are a task, test images are told which, and have its classes alone to choose from.
"""

NEW_CLASSES = ("class", "task")
"""Those in which a step has new classes, so that a memory may grow with them."""


@dataclass(frozen=True)
class ClassStream:
    """The steps of one order; all orders share the images.

    Attributes:
        train, test: of all classes and domains.
        steps: the classes that each step shows, by their ids in ``train``, see ``data.parts``.
        arrival: ``[n]``, when each training image comes, in steps from 0; None: with its class, in no order.
    """

    train: ImageSet
    test: ImageSet
    steps: tuple[tuple[int, ...], ...]
    arrival: Tensor | None = None

    @staticmethod
    def of(train: ImageSet, test: ImageSet, sizes: list[int], order: Sequence[int]) -> ClassStream:
        """``sizes`` new classes a step, in an order of the classes' positions in ``train.class_ids``."""
        parts = np.split(np.asarray(order), np.cumsum(sizes)[:-1])
        return ClassStream(train, test, tuple(tuple(train.class_ids[i] for i in part) for part in parts))

    @staticmethod
    def of_domains(train: ImageSet, test: ImageSet, order: Sequence[int]) -> ClassStream:
        """A domain a step, in an order of their numbers."""
        parts = {d: tuple(c for c in train.class_ids if label_and_domain(c)[1] == d) for d in order}
        return ClassStream(train, test, tuple(parts.values()))

    def in_order(self, blur: float, *keys: int) -> ClassStream:
        """The same, whose images come at times of their own: within their step, or ``blur`` steps beside.

        ``blur`` is the standard deviation by which they come early or late, so that images of a class come in
        several steps and boundaries are none; what would come before the start or after the end comes there.
        """
        ids, step_of = zip(*((c, i) for i, own in enumerate(self.steps) for c in own), strict=True)
        place = torch.tensor(step_of)[torch.argsort(torch.tensor(ids))]
        rows = torch.arange(len(self.train))
        late = blur * normal(*keys, rows, 1) if blur else 0.0
        times = place[self.train.targets.cpu()] + uniform(*keys, rows, 0) + late
        return replace(self, arrival=times.clamp(0, len(self.steps) - 1e-4))

    def rows(self, step: int) -> Tensor:
        """Where the training images of a step, which count from 1, are in ``train``, in order of arrival."""
        assert self.arrival is not None  # asked of streams in an order alone
        order = self.arrival.argsort()
        times = self.arrival[order]
        return order[(times >= step - 1) & (times < step)]

    def experience(self, step: int) -> ImageSet:
        """The training images of a step, which count from 1."""
        if self.arrival is None:
            return self.train.only(self.steps[step - 1])
        rows = self.rows(step).to(self.train.store.home)
        normalisation = self.train.mean, self.train.std
        return ImageSet.of(self.train.store.gather(rows), self.train.labels[rows], normalisation=normalisation)

    def test_rows(self, step: int) -> Tensor:
        """Where the test images of a step's classes are in ``test``."""
        own = torch.tensor(self.steps[step - 1], device=self.test.device)
        return torch.isin(self.test.labels, own).nonzero()[:, 0]

    def test_labels(self) -> Tensor:
        """The label of each test image."""
        return labels_of(self.test.labels)

    def seen(self, step: int) -> list[int]:
        """The labels that the steps until then have shown, in order of arrival, within a step rising."""
        shown = [label_and_domain(c)[0] for own in self.steps[:step] for c in sorted(own)]
        if self.arrival is not None:  # some came early
            early = self.train.labels.cpu()[self.arrival < step]
            shown += labels_of(early).unique().tolist()
        return [*dict.fromkeys(shown)]

    def labels(self, step: int) -> tuple[int, ...]:
        """The labels of a step's classes, which count from 1."""
        return tuple(label_and_domain(c)[0] for c in self.steps[step - 1])

    def classes(self, step: int) -> int:
        """How many labels the steps until then are of."""
        return len({label_and_domain(c)[0] for own in self.steps[:step] for c in own})


def steps_named(name: str, text: str, steps: int | None = None) -> tuple[int, ...]:
    """Steps with commas between them, or ``last``: rising, each once. None: of any number of steps.

    Raises:
        ValueError: for something else, and for more than there are; ``name`` is what they are called in it.
    """
    each = text.split(",")
    if not all(re.fullmatch(r"last|[1-9][0-9]{0,8}", word) for word in each):
        raise ValueError(f"{name} {shown(text)}: give steps, such as 5,10, or last")
    found = {steps or 1 if word == "last" else int(word) for word in each}
    if steps and max(found) > steps:
        raise ValueError(f"{name} {shown(text)}: the stream has {steps} steps; give 1 to {steps}, or last")
    return tuple(sorted(found))


def trained_after(wanted: Iterable[int], trainers: Sequence[str]) -> tuple[int, ...]:
    """The steps after which networks train where accuracies of some are wanted.

    Those alone, or where networks go on from step to step those before them too.
    """
    steps = {*wanted}
    if steps and any(TRAINERS[name].goes_on for name in trainers):
        steps = {*range(1, max(steps) + 1)}
    return tuple(sorted(steps))


def labels_in(images: ImageSet) -> list[int]:
    """The labels of a set, rising, each once in whatever domains it is."""
    return sorted({label_and_domain(c)[0] for c in images.class_ids})


def domains_in(images: ImageSet) -> list[int]:
    """The numbers of a set's domains, rising."""
    return sorted({label_and_domain(c)[1] for c in images.class_ids})


def drawn_order(classes: int, seed: int) -> list[int]:
    """Numpy's order of so many classes for a seed, as in the published runs; iCaRL and many since have 1993."""
    return [int(i) for i in np.random.RandomState(seed).permutation(classes)]


def step_sizes(classes: int, steps: int) -> list[int]:
    """Number of new classes of each step; those that do not divide evenly go to the first ones."""
    share, rest = divmod(classes, steps)
    return [share + (i < rest) for i in range(steps)]
