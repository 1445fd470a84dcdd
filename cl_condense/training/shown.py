"""What networks are shown in training: tensors of images, or a set of which every mini-batch is gathered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cl_condense.data.ahead import Ahead, Batch
from cl_condense.data.imageset import ImageSet


@dataclass(frozen=True, eq=False)
class Some:
    """Images at ``rows`` of a set, in that order."""

    real: ImageSet
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return self.real.shape

    @property
    def device(self) -> torch.device:
        """Where what is taken is."""
        return self.real.device


Shown = Tensor | ImageSet | Some
"""Network inputs ``[n, c, h, w]``, or images that become such batch by batch."""


def shape_of(images: Shown) -> tuple[int, ...]:
    """(n, c, h, w)."""
    return tuple(images.shape) if isinstance(images, Tensor) else (len(images), *images.shape)


def example(images: Shown) -> Tensor:
    """A network input ``[1, c, h, w]`` of them."""
    if isinstance(images, Tensor):
        return images[:1]
    real = images.real if isinstance(images, Some) else images
    return real.take(torch.zeros(1, dtype=torch.int64, device=real.store.home))


class Inputs(Protocol):
    """Mini-batches of networks side by side, an epoch after another."""

    def begin(self, order: Tensor, drawn: Callable[[torch.device], Tensor], size: int) -> None:
        """An epoch: in which order ``[r, n]`` each network sees the images, and images of a mini-batch.

        ``drawn`` gives the order on another device, without a wait.
        """
        ...

    def taken(self, batch: int, job: Tensor) -> Tensor:
        """Network inputs ``[r, m, c, h, w]`` of a mini-batch; ``job`` ``[r, 1]`` is that of each network."""
        ...


def inputs(images: Sequence[Shown]) -> Inputs:
    """Those of jobs: tensors of one shape, or a single set."""
    first = images[0]
    if not isinstance(first, Tensor):
        return _Gathered(first if isinstance(first, Some) else Some(first, first.every()))
    tensors = [each for each in images if isinstance(each, Tensor)]
    return _Stacked(torch.stack(tensors) if len(tensors) > 1 else first[None])  # which is no copy


class _Stacked:
    def __init__(self, images: Tensor) -> None:
        self._images, self._order = images, tuple[Tensor, ...]()

    def begin(self, order: Tensor, drawn: Callable[[torch.device], Tensor], size: int) -> None:
        self._order = order.split(size, dim=1)

    def taken(self, batch: int, job: Tensor) -> Tensor:
        return self._images[job, self._order[batch]]


class _Gathered:
    def __init__(self, images: Some) -> None:
        self._images, self._ahead = images, Ahead(images.real)
        self._order, self._epoch = tuple[Tensor, ...](), 0

    def begin(self, order: Tensor, drawn: Callable[[torch.device], Tensor], size: int) -> None:
        home = self._images.rows.device
        order = order if order.device == home else drawn(home)
        self._order, self._epoch = order.split(size, dim=1), self._epoch + 1

    def taken(self, batch: int, job: Tensor) -> Tensor:
        return self._ahead.take(self._batch(batch), lambda: self._next(batch))

    def _batch(self, number: int) -> Batch:
        return Batch((self._epoch, number), self._images.rows[self._order[number]])

    def _next(self, batch: int) -> Batch | None:
        return self._batch(batch + 1) if batch + 1 < len(self._order) else None
