"""Which classes go through the network together, so that memory stays bounded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from cl_condense.common.devices import upload
from cl_condense.common.draws import Draws, how_many
from cl_condense.common.peaks import free_bytes, taken_by
from cl_condense.common.rng import Purpose, bits
from cl_condense.data.imageset import ImageSet


class Chunk(NamedTuple):
    """Classes with the same number of real images each.

    Attributes:
        images: real images of each class.
        rows: positions of the classes in the set, ``[k]``, where the images are.
        places: the same on the host.
        class_ids: their labels.
        own: positions among the classes of this rank, ``[k]``, where the images are.
    """

    images: int
    rows: Tensor
    places: Tensor
    class_ids: tuple[int, ...]
    own: Tensor

    def size(self) -> int:
        """Real images in all."""
        return self.images * len(self.class_ids)


def chunks(
    real: ImageSet, real_per_class: int, size: int, share: range | None = None, *, joint: bool = False
) -> list[Chunk]:
    """Splits the classes, ``size`` at a time, or all together where they are ``joint``.

    Args:
        real: the images.
        real_per_class: real images in a step, or all of a class that has fewer.
        size: classes of a chunk.
        share: positions of the classes of this rank; None: all.
        joint: one chunk, every class with as many images as the largest has.
    """
    batches = [batch_of(n, real_per_class) for n in real.counts]
    if joint:
        batches, size = [max(batches)] * len(batches), len(batches)
    found, share = [], share or range(len(batches))
    for images in sorted(set(batches)):
        rows = [i for i in share if batches[i] == images]
        for start in range(0, len(rows), size):
            places = torch.tensor(rows[start : start + size])
            ids = tuple(real.class_ids[i] for i in rows[start : start + size])
            where = places.to(real.device)
            own = where - share.start if share.start else where
            found.append(Chunk(images, where, places, ids, own))
    return found


def real_batches(real: ImageSet, part: Chunk) -> Draws:
    """Indices ``[k, m]`` of random real images of a chunk, by seed and number of the batch."""

    def draw(seed: int, numbers: Tensor) -> Tensor:
        keys = Purpose.REAL_BATCH, seed, numbers.repeat_interleave(len(part.places))
        index = real.draw(part.images, *keys, rows=part.places.repeat(len(numbers)))
        return index.unflatten(0, (len(numbers), -1))

    return Draws(draw, how_many(len(part.places) * max(real.counts), real.store.home))


def some_of(images: Tensor, part: Chunk, most: int | None, seed: int, iteration: int) -> Tensor:
    """Of a chunk's decoded images ``[k, m, c, h, w]`` those that an iteration looks at, ``most`` of a class."""
    if most is None or images.shape[1] <= most:
        return images
    ids = upload(part.class_ids, images.device)[:, None]
    slots = torch.arange(images.shape[1], device=images.device)
    order = bits(Purpose.SYN_BATCH, seed, iteration, ids, slots).argsort(1)
    return images[torch.arange(len(ids), device=images.device)[:, None], order[:, :most]]


class Memory(Protocol):
    """A device's memory, in bytes."""

    def free(self) -> int:
        """What can still be taken."""
        ...

    def peak(self, work: Callable[[], object]) -> int:
        """What some work takes at most."""
        ...


class CudaMemory:
    """That of a CUDA device; what torch keeps for later counts as free."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def free(self) -> int:
        return free_bytes(self._device)

    def peak(self, work: Callable[[], object]) -> int:
        return taken_by(work, self._device)


def memory_of(device: torch.device) -> Memory | None:
    """None for a device that cannot be asked, and for a CPU, where few images together are the fastest."""
    return CudaMemory(device) if device.type == "cuda" else None


def few(real: ImageSet, real_per_class: int, stored: int) -> int:
    """Classes of about 640 images together, ``stored`` of each synthetic: enough to keep a CPU busy."""
    return max(1, 640 // (max(batch_of(n, real_per_class) for n in real.counts) + stored))


def fitting(work: Callable[[int], object], classes: int, memory: Memory) -> int:
    """How many classes to take at once: 1, 2, 4, ... or all, with about half of the free memory.

    Found by doing the ``work`` for a growing number of them, as long as twice as many would fit. Powers of two,
    so that a little more or less of free memory seldom changes the number, and with it the rounding.

    Raises:
        torch.cuda.OutOfMemoryError: where one class does not fit.
    """
    budget, size = memory.free() // 2, 1
    while size < classes:
        try:
            used = memory.peak(functools.partial(work, size))
        except torch.cuda.OutOfMemoryError:
            if size == 1:
                raise
            return size // 2
        if 2 * used > budget:
            return size
        size *= 2
    return classes


def batch_of(count: int, real_per_class: int) -> int:
    """Real images a step of a class of ``count``: of a small class all, from 65 on up to 15 of them twice.

    So classes of about one size share a forward pass, and yet the number depends on the class alone.
    """
    return min(real_per_class, count if count <= 64 else -(-count // 16) * 16)
