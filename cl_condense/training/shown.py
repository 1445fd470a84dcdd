"""What networks are shown in training: tensors of images, or a set of which every mini-batch is gathered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from cl_condense.data.ahead import Ahead, Batch
from cl_condense.data.imageset import ImageSet

Shown = Tensor | ImageSet
"""Network inputs ``[n, c, h, w]``, or images that become such batch by batch."""


def shape_of(images: Shown) -> tuple[int, ...]:
    """(n, c, h, w)."""
    return tuple(images.shape) if isinstance(images, Tensor) else (len(images), *images.shape)


def example(images: Shown) -> Tensor:
    """A network input ``[1, c, h, w]`` of them."""
    return images[:1] if isinstance(images, Tensor) else images.take(images.every()[:1])


def some(real: ImageSet, rows: Tensor) -> ImageSet:
    """Images at ``rows`` of a set, in that order, to be shown: as if they were of one class."""
    store = real.store.picked(rows)
    return replace(real, store=store, class_ids=(0,), counts=(len(rows),), names=(), weights=None)


class Inputs(Protocol):
    """Mini-batches of networks side by side, an epoch after another."""

    def begin(self, order: Tensor, size: int) -> None:
        """An epoch, whose order of images ``[r, n]`` each network has, and the images of a mini-batch."""
        ...

    def taken(self, batch: int, job: Tensor) -> Tensor:
        """Network inputs ``[r, m, c, h, w]`` of a mini-batch; ``job`` ``[r, 1]`` is that of each network."""
        ...


def inputs(images: Sequence[Shown]) -> Inputs:
    """Those of jobs: tensors of one shape, or a single set."""
    first = images[0]
    if isinstance(first, ImageSet):
        return _Gathered(first)
    tensors = [each for each in images if isinstance(each, Tensor)]
    return _Stacked(torch.stack(tensors) if len(tensors) > 1 else first[None])  # which is no copy


class _Stacked:
    def __init__(self, images: Tensor) -> None:
        self._images, self._order = images, tuple[Tensor, ...]()

    def begin(self, order: Tensor, size: int) -> None:
        self._order = order.split(size, dim=1)

    def taken(self, batch: int, job: Tensor) -> Tensor:
        return self._images[job, self._order[batch]]


class _Gathered:
    def __init__(self, images: ImageSet) -> None:
        self._images, self._ahead, self._order, self._epoch = images, Ahead(images), tuple[Tensor, ...](), 0

    def begin(self, order: Tensor, size: int) -> None:
        self._order, self._epoch = order.to(self._images.store.home).split(size, dim=1), self._epoch + 1

    def taken(self, batch: int, job: Tensor) -> Tensor:
        return self._ahead.take(self._batch(batch), lambda: self._next(batch))

    def _batch(self, number: int) -> Batch:
        return Batch((self._epoch, number), self._order[number])

    def _next(self, batch: int) -> Batch | None:
        return self._batch(batch + 1) if batch + 1 < len(self._order) else None
