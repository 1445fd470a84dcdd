"""How synthetic images are stored while they are optimised: as they are, or several in one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_condense.common.numbers import check_whole
from cl_condense.common.rng import Purpose, normal
from cl_condense.common.suggest import choice
from cl_condense.data.imageset import ImageSet

Resize = Literal["bilinear", "nearest"]


class Synthetic(Protocol):
    """Storage of synthetic images: pixels ``[k, ipc, c, h, w]`` and the images that they decode to."""

    @property
    def factor(self) -> int:
        """Each stored image decodes to factor * factor images."""
        ...

    def start(self, real: ImageSet, ipc: int, seed: int) -> Tensor:
        """First pixels ``[k, ipc, c, h, w]``, float32."""
        ...


@runtime_checkable
class Keeping(Synthetic, Protocol):
    """Storage of which some images stay as they start."""

    def kept(self, real: ImageSet, ipc: int) -> Tensor:
        """Which ones ``[k, ipc]``, on the host."""
        ...


@dataclass(frozen=True)
class Pixels:
    """Each stored image is one image, started at a random real one or at noise (DC's start).

    Raises:
        ValueError: for another start.
    """

    init: Literal["real", "noise"] = "real"

    def __post_init__(self) -> None:
        choice("start of pixels", self.init, ("real", "noise"))

    @property
    def factor(self) -> int:
        return 1

    def start(self, real: ImageSet, ipc: int, seed: int) -> Tensor:
        if self.init == "real":
            return real.take(real.draw(ipc, Purpose.START, seed, distinct=True))
        ids = torch.tensor(real.class_ids, device=real.device)[:, None]
        slots = torch.arange(ipc * math.prod(real.shape), device=real.device)
        return normal(Purpose.START, seed, ids, slots).view(len(ids), ipc, *real.shape)


@dataclass(frozen=True)
class RealImages:
    """Each stored image is a random real one, and stays it; what is learned is its label."""

    @property
    def factor(self) -> int:
        return 1

    def start(self, real: ImageSet, ipc: int, seed: int) -> Tensor:
        return Pixels().start(real, ipc, seed)

    def kept(self, real: ImageSet, ipc: int) -> Tensor:
        return torch.ones(len(real.class_ids), ipc, dtype=torch.bool)


@dataclass(frozen=True)
class Partition:
    """Each stored image holds factor x factor smaller ones, which are enlarged for use (IDC; IDM, eq. 5).

    It starts as a mosaic of that many different real images, made smaller by ``resize``: bilinear interpolation
    as in IDM's code, or the nearest pixel as in IDC's.

    Raises:
        ValueError: where the factor is below 1, or does not divide the images' sides; for another ``resize``.
    """

    factor: int = 2
    resize: Resize = "bilinear"

    def __post_init__(self) -> None:
        check_whole(self, "factor")
        choice("resize", self.resize, get_args(Resize))

    def start(self, real: ImageSet, ipc: int, seed: int) -> Tensor:
        f = self.factor
        _, h, w = real.shape
        check_factor(f, real.shape)
        x = real.take(real.draw(ipc * f * f, Purpose.START, seed, distinct=True))
        small = F.interpolate(x.flatten(0, 1), size=(h // f, w // f), mode=self.resize)
        cells = small.view(len(x), ipc, f, f, *small.shape[1:])
        return cells.permute(0, 1, 4, 2, 5, 3, 6).reshape(len(x), ipc, *real.shape)


def kept(storage: Synthetic, real: ImageSet, ipc: int) -> Tensor:
    """Which images ``[k, ipc]`` of a storage stay as they start, on the host."""
    if isinstance(storage, Keeping):
        return storage.kept(real, ipc)
    return torch.zeros(len(real.class_ids), ipc, dtype=torch.bool)


def check_factor(factor: int, shape: tuple[int, int, int]) -> None:
    """Raises ValueError for a factor that does not divide the sides of images (channels, height, width)."""
    _, h, w = shape
    if h % factor or w % factor:
        raise ValueError(f"partition factor {factor} does not divide images of {h}x{w}: choose one that does")


def decode(pixels: Tensor, factor: int) -> Tensor:
    """The images ``[..., ipc * factor^2, c, h, w]`` that stored pixels ``[..., ipc, c, h, w]`` stand for.

    Cells are cut out column by column (top left, bottom left, ...) and enlarged by bilinear interpolation;
    the decoded images of one class are ordered cell by cell, as in IDM's code.
    """
    if factor == 1:
        return pixels
    *lead, ipc, c, h, w = pixels.shape
    cells = pixels.reshape(-1, ipc, c, factor, h // factor, factor, w // factor)
    cells = cells.permute(0, 5, 3, 1, 2, 4, 6)  # [k, column, row, ipc, c, h/f, w/f]
    images = F.interpolate(cells.flatten(0, 3), size=(h, w), mode="bilinear", align_corners=False)
    return images.view(*lead, factor * factor * ipc, c, h, w)
