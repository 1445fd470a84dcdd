"""Which classes go through the network together, so that memory stays bounded."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cl_condense.imageset import ImageSet


class Chunk(NamedTuple):
    """Classes with the same number of real images each.

    Attributes:
        images: real images of each class.
        rows: positions of the classes in the set, ``[k]``.
        class_ids: their labels.
    """

    images: int
    rows: Tensor
    class_ids: tuple[int, ...]


def chunks(
    real: ImageSet, real_per_class: int, stored: int, *, size: int | None = None, joint: bool = False
) -> list[Chunk]:
    """Splits the classes: ``size`` at a time, or as many as fit the device, or all where they are ``joint``.

    Args:
        real: the images.
        real_per_class: real images in a step, or all of a class that has fewer.
        stored: synthetic images of a class that go through the network with them.
        size: classes of a chunk; None: about 640 images on a CPU, a quarter of the free memory elsewhere.
        joint: one chunk, every class with as many images as the largest has.
    """
    batches = [_batch(n, real_per_class) for n in real.counts]
    if joint:
        batches, size = [max(batches)] * len(batches), len(batches)
    size = size or _fitting(real, max(batches) + stored)
    found = []
    for images in sorted(set(batches)):
        rows = [i for i, n in enumerate(batches) if n == images]
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            ids = tuple(real.class_ids[i] for i in part)
            found.append(Chunk(images, torch.tensor(part, device=real.device), ids))
    return found


def _batch(count: int, real_per_class: int) -> int:
    """Real images a step of a class of ``count``: of a small class all, from 65 on up to 15 of them twice.

    So classes of about one size share a forward pass, and yet the number depends on the class alone.
    """
    return min(real_per_class, count if count <= 64 else -(-count // 16) * 16)


def _fitting(real: ImageSet, images: int) -> int:
    if real.device.type == "cpu":
        return max(1, 640 // images)
    # An image of the papers' ConvNet: the first block's convolution, norm and pooling, 128 filters, and half
    # as much again for the others.
    per_image = 4 * 128 * real.shape[1] * real.shape[2] * 4
    free = torch.cuda.mem_get_info(real.device)[0] if real.device.type == "cuda" else 2**32
    return max(1, int(free / 4 // (images * per_image)))
