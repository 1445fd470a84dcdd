"""ZCA whitening, in which some condensed sets are made: fitted on training images, done to test images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

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
    _there: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(train: ImageSet) -> Whitening:
        """That of training images: ``U (S + EPS)^-1/2 U'`` of their covariance ``U S U'``, divided by n - 1.

        Raises:
            ValueError: for a single image, and where the covariance fits no memory.
        """
        n, size = len(train), math.prod(train.shape)
        if n < 2:
            raise ValueError("whitening of 1 training image: give 2 or more")
        check_room(4 * 8 * size**2, f"whitening of {size:,} values an image")
        mean = sum((part.double().sum(0) for part in _flat(train)), torch.zeros(())) / n
        cov = torch.zeros(size, size, dtype=torch.float64)
        for part in _flat(train):
            x = (part.double() - mean).float()
            cov += (x.T @ x).double()
        values, vectors = torch.linalg.eigh(cov / (n - 1))
        matrix = vectors * (values.clamp_min(0) + EPS).rsqrt() @ vectors.T
        return Whitening(mean.float(), matrix.float())

    def __call__(self, x: Tensor) -> Tensor:
        """Of pixels ``[..., values]`` from 0 to 1."""
        mean, matrix = self._there.setdefault(x.device, (self.mean, self.matrix))
        if mean.device != x.device:
            mean, matrix = self._there[x.device] = mean.to(x.device), matrix.to(x.device)
        return (x - mean) @ matrix

    def of_set(self, images: ImageSet) -> ImageSet:
        """The same images, each whitened when it is taken: what a network gets."""
        return replace(images, whitening=self)


def _flat(images: ImageSet) -> Iterator[Tensor]:
    """Images ``[n, values]`` from 0 to 1, on the CPU, some at a time."""
    for part in images.every().split(_AT_ONCE):
        yield images.unit(images.store.gather(part)).cpu().flatten(1)
