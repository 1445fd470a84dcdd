"""A data set as a stream: a few new classes at each step, in a class order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cl_condense.data.imageset import ImageSet


@dataclass(frozen=True)
class ClassStream:
    """The steps of one class order; all orders share the images.

    Attributes:
        train, test: of all classes.
        steps: the classes that each step shows for the first time, by their labels.
    """

    train: ImageSet
    test: ImageSet
    steps: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(train: ImageSet, test: ImageSet, sizes: list[int], order: Sequence[int]) -> ClassStream:
        """``sizes`` new classes a step, in an order of the classes' positions in ``train.class_ids``."""
        parts = np.split(np.asarray(order), np.cumsum(sizes)[:-1])
        return ClassStream(train, test, tuple(tuple(train.class_ids[i] for i in part) for part in parts))

    def experience(self, step: int) -> ImageSet:
        """The training images of a step, which count from 1."""
        return self.train.only(self.steps[step - 1])

    def test_rows(self, step: int) -> Tensor:
        """Where the test images of a step's classes are in ``test``."""
        own = torch.tensor(self.steps[step - 1], device=self.test.device)
        return torch.isin(self.test.labels, own).nonzero()[:, 0]


def drawn_order(classes: int, seed: int) -> list[int]:
    """Numpy's order of so many classes for a seed, as in the published runs; iCaRL and many since have 1993."""
    return [int(i) for i in np.random.RandomState(seed).permutation(classes)]


def step_sizes(classes: int, steps: int) -> list[int]:
    """Number of new classes of each step; those that do not divide evenly go to the first ones."""
    share, rest = divmod(classes, steps)
    return [share + (i < rest) for i in range(steps)]
