"""Data sets in Ray's object store, which units read where they lie, without a copy of their own."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cl_condense.data.imageset import ImageSet
from cl_condense.data.store import Store

if TYPE_CHECKING:
    from ray import ObjectRef

    from cl_condense.runs.tasks import Data


@dataclass(frozen=True)
class Stored:
    """Train and test images in the store: put there once, and given wherever this is called."""

    ref: ObjectRef

    @classmethod
    def of(cls, data: Data) -> Stored:
        """Puts them there."""
        import ray  # noqa: PLC0415

        return cls(ray.put([_Packed.of(images) for images in data]))

    def __call__(self) -> Data:
        import ray  # noqa: PLC0415

        train, test = (packed.images() for packed in ray.get(self.ref))
        return train, test


class _Packed(NamedTuple):
    """An image set whose tensors are arrays: the store gives those without a copy."""

    rest: ImageSet
    pixels: np.ndarray
    weights: np.ndarray | None

    @classmethod
    def of(cls, images: ImageSet) -> _Packed:
        rest = replace(images, store=Store(torch.empty(0, 1, 1, 1)), weights=None)
        weights = None if images.weights is None else images.weights.cpu().numpy()
        return cls(rest, images.images.cpu().numpy(), weights)

    def images(self) -> ImageSet:
        weights = None if self.weights is None else _tensor(self.weights)
        return replace(self.rest, store=Store(_tensor(self.pixels)), weights=weights)


def _tensor(values: np.ndarray) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*not writable.*")  # nor does anything write real images
        return torch.from_numpy(values)
