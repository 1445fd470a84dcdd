"""ZCA whitening, in which some condensed sets are made: fitted on training images, done to test images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cl_condense.common.foreign import check_room
from cl_condense.data.imageset import ImageSet

EPS = 0.1
"""Added to the variances; that of MTT and its successors (kornia's ``ZCAWhitening(eps=0.1)``)."""

_AT_ONCE = 4096  # images


@dataclass(frozen=True)
class Whitening:
    """``x -> (x - mean) @ matrix`` of flat pixels from 0 to 1; ``matrix`` is ``(cov + EPS)^-1/2``."""

    mean: Tensor
    matrix: Tensor

    @staticmethod
    def of(train: ImageSet) -> Whitening:
        """That of training images: ``U (S + EPS)^-1/2 U'`` of their covariance ``U S U'``, divided by n - 1.

        Raises:
            ValueError: for a single image, and where the covariance fits no memory.
        """
        n, size = len(train), train.images[0].numel()
        if n < 2:
            raise ValueError("whitening of 1 training image: give 2 or more")
        check_room(4 * 8 * size**2, f"whitening of {size:,} values an image")
        mean = sum((_flat(part, train).double().sum(0) for part in _parts(n)), torch.zeros(())) / n
        cov = torch.zeros(size, size, dtype=torch.float64)
        for part in _parts(n):
            x = (_flat(part, train).double() - mean).float()
            cov += (x.T @ x).double()
        values, vectors = torch.linalg.eigh(cov / (n - 1))
        matrix = vectors * (values.clamp_min(0) + EPS).rsqrt() @ vectors.T
        return Whitening(mean.float(), matrix.float())

    def __call__(self, images: ImageSet) -> ImageSet:
        """The same images as float32, whitened: what a network gets.

        Raises:
            ValueError: where they fit no memory.
        """
        check_room(4 * images.images.numel(), f"{len(images):,} whitened images")
        parts = [(_flat(part, images) - self.mean) @ self.matrix for part in _parts(len(images))]
        found = torch.cat(parts).view(images.images.shape)
        return replace(images, images=found.to(images.device))


def _parts(n: int) -> list[slice]:
    return [slice(start, start + _AT_ONCE) for start in range(0, n, _AT_ONCE)]


def _flat(part: slice, images: ImageSet) -> Tensor:
    """Images ``[n, values]`` from 0 to 1, on the CPU."""
    x = images.images[part].cpu().flatten(1)
    if x.dtype == torch.uint8:
        return x.float() / 255
    mean, std = (
        torch.tensor(v).repeat_interleave(images.images[0, 0].numel()) for v in (images.mean, images.std)
    )
    return x * std + mean
