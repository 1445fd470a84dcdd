"""Differentiable siamese augmentation, run once per operation on all rows that drew it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_condense.common.devices import upload
from cl_condense.common.kinds import check_flag, check_kind
from cl_condense.common.numbers import finite
from cl_condense.common.rng import Purpose, fold, uniform
from cl_condense.common.suggest import hint

_DRAWS = 3  # the colour group takes three numbers, no other group more
_EVERY = (("flip",), ("color",), ("crop", "scale", "rotate"), ("cutout",))  # in IDC's order

_NUMBERS: dict[str, dict[str, float]] = {
    "prob_flip": {"at_least": 0, "at_most": 1},
    "ratio_scale": {"at_least": 1},
    "ratio_rotate": {"at_least": 0},
    "ratio_crop_pad": {"at_least": 0},
    "ratio_cutout": {"at_least": 0},
    "brightness": {},
    "saturation": {},
    "contrast": {},
}


@dataclass(frozen=True, eq=False)
class Warp:
    """One draw: the operation groups of each row, and the uniform numbers their parameters come from.

    Attributes:
        groups: one word of the strategy a row, or the same number of words joined by ``_`` for every row, which
            its images go through in that order.
        u: float32 in [0, 1), three for each word of a row; ``[r, 1, 3 * words]`` shared by all images of a row,
            or ``[r, m, 3 * words]``, one set an image.
    """

    groups: tuple[str, ...]
    u: Tensor


def _seeds(rows: int, keys: Sequence[int | Sequence[int]]) -> list[int]:
    """Of each row."""
    if not any(isinstance(key, Sequence) for key in keys):
        return [fold(Purpose.AUGMENT, *cast("Sequence[int]", keys))] * rows
    columns = [key if isinstance(key, Sequence) else [key] * rows for key in keys]
    return [fold(Purpose.AUGMENT, *own) for own in zip(*columns, strict=True)]


@dataclass(frozen=True)
class DSA:
    """Differentiable siamese augmentation (Zhao and Bilen, ICML 2021, arXiv:2102.08259).

    Each row draws one operation group of the strategy, all equally likely. In condensation a row is a class,
    and its real and synthetic images share one set of parameters; in evaluation training a row is a network,
    and every image of its mini-batch has its own. With r in [0, 1) drawn anew for each parameter, and zeros
    (the mean colour of normalised images) for what comes from outside the image:

    - ``color``: brightness ``x + (r - .5) * brightness``; then saturation ``(x - m) * r * saturation + m``,
      m a pixel's mean over channels; then contrast ``(x - m) * (r + contrast) + m``, m an image's mean.
    - ``crop``: on each axis a shift by -s..s whole pixels, ``s = int(size * ratio_crop_pad + .5)``.
    - ``cutout``: zeros in ``int(size * ratio_cutout + .5)`` pixels on each axis, cut off at the borders.
    - ``flip``: left to right where ``r < prob_flip``.
    - ``scale``: each axis of the sampling grid times a number in ``[1 / ratio_scale, ratio_scale]``.
    - ``rotate``: by up to ratio_rotate degrees either way, in grid coordinates (-1 to 1 on both axes).

    ``strategy`` joins groups by ``_`` (the authors leave out ``flip`` for MNIST and SVHN); ``none`` alone
    returns the images as they are.

    With ``every``, a row goes through several groups, each with numbers of its own, as in IDC (Kim et al.,
    ICML 2022, arXiv:2205.14959): flip, color, one of crop, scale and rotate, all equally likely, then cutout;
    those that the strategy does not name are left out.

    Unlike the authors' code, which seeds torch from the clock, so that no run can be repeated and two classes
    of one millisecond share a draw, draws are counted (``common.rng``); their distribution is as
    theirs.

    Raises:
        ValueError: for an unknown or repeated word of the strategy, or a ratio out of its range.
    """

    strategy: str = "color_crop_cutout_flip_scale_rotate"
    prob_flip: float = 0.5
    ratio_scale: float = 1.2
    ratio_rotate: float = 15.0
    ratio_crop_pad: float = 0.125
    ratio_cutout: float = 0.5
    brightness: float = 1.0
    saturation: float = 2.0
    contrast: float = 0.5
    every: bool = False  # False: one group a row, as DSA; True: IDC's way

    def __post_init__(self) -> None:
        check_kind("augmentation", self.strategy, str, "words joined by '_', such as crop_flip, or none")
        check_flag("every", self.every)
        words = self.groups
        for word in () if words == ("none",) else words:
            if word not in _OPERATIONS:
                allowed = f"words of {', '.join(_OPERATIONS)} joined by '_', or 'none' alone"
                raise ValueError(f"augmentation {word!r} is unknown: {hint(word, _OPERATIONS)}give {allowed}")
            if words.count(word) > 1:
                raise ValueError(f"augmentation {self.strategy!r} has {word!r} twice: give each word once")
        for name, bounds in _NUMBERS.items():
            object.__setattr__(self, name, finite(name, getattr(self, name), **bounds))

    @property
    def groups(self) -> tuple[str, ...]:
        """The words of the strategy."""
        return tuple(self.strategy.split("_"))

    def draw(
        self,
        rows: Sequence[int],
        *keys: int | Sequence[int],
        images: int | None = None,
        device: torch.device | str = "cpu",
    ) -> Warp:
        """One warp for the rows with these ids; a row's draw depends on the keys and its id alone.

        A key is an integer, or one for each row. ``images`` is the number of images of a row when each has its
        own parameters; without it, all share those of the first. Groups are drawn on the host and the rest on
        the device; neither waits.
        """
        layers, seeds = self._layers(), _seeds(len(rows), keys)
        seed, ids = upload([seeds, [*rows]], device)[..., None, None]
        image = torch.arange(images or 1, device=device)
        number = torch.arange(_DRAWS * len(layers), device=device)
        u = uniform(seed if len({*seeds}) > 1 else seeds[0], ids, image[:, None], number)
        drawn = [fold(s, int(row)) for s, row in zip(seeds, rows, strict=True)]
        return Warp(tuple("_".join(words[n % len(words)] for words in layers) for n in drawn), u)

    def _layers(self) -> tuple[tuple[str, ...], ...]:
        """What a row goes through: one group of each layer."""
        if not self.every or self.strategy == "none":
            return (self.groups,)
        named = (tuple(word for word in layer if word in self.groups) for layer in _EVERY)
        return tuple(layer for layer in named if layer)

    def __call__(self, x: Tensor, warp: Warp) -> Tensor:
        """Augmented x, ``[r, m, c, h, w]`` like x, and differentiable with respect to it.

        x is float32 or float64, and parameters are cast to its type. A shared warp fits any m: real and
        synthetic images of the same rows may differ in number.

        Raises:
            ValueError: when the warp has another number of rows, or of images, than x.
        """
        (r, m), (sets, images) = x.shape[:2], warp.u.shape[:2]
        if sets != r or images not in (1, m):
            raise ValueError(
                f"a warp of {sets} rows, {images} draws each, does not fit x of {r} rows, {m} images each: "
                f"draw it for the rows of x, with images=None (shared) or images={m}"
            )
        if self.strategy == "none":
            return x
        layers = zip(*(row.split("_") for row in warp.groups), strict=True)
        for groups, u in zip(layers, warp.u.split(_DRAWS, dim=-1), strict=True):
            x = self._layer(x, groups, u)
        return x

    def _layer(self, x: Tensor, groups: Sequence[str], u: Tensor) -> Tensor:
        """One operation a row."""
        members: dict[str, list[int]] = {}
        for i, group in enumerate(groups):
            members.setdefault(group, []).append(i)
        if len(members) == 1:
            return _OPERATIONS[groups[0]](self, x, u)
        # Stacks of views, not index tensors: nothing to upload, and the backward pass is a stack as well.
        before, numbers, after = x.unbind(), u.unbind(), list(x.unbind())
        for group, at in members.items():
            part = torch.stack([before[i] for i in at]), torch.stack([numbers[i] for i in at])
            for i, row in zip(at, _OPERATIONS[group](self, *part).unbind(), strict=True):
                after[i] = row
        return torch.stack(after)


def _color(dsa: DSA, x: Tensor, u: Tensor) -> Tensor:
    shift, s, k = u.to(x.dtype)[..., None, None, None, :].unbind(-1)
    shift, s, k = (shift - 0.5) * dsa.brightness, s * dsa.saturation, k + dsa.contrast
    grey = x.mean(2, keepdim=True)
    # Brightness moves both means with the pixels, and saturation leaves the image's mean as it is.
    rest = grey * (k - k * s) + (grey.mean((3, 4), keepdim=True) * (1 - k) + shift)
    return torch.addcmul(rest, x, k * s)


def _crop(dsa: DSA, x: Tensor, u: Tensor) -> Tensor:
    # Nearest neighbour on whole-pixel shifts copies pixels exactly, and on a CPU it was the fastest of the ways
    # that were tried: padding and one or two gathers, index tensors, strided windows.
    axes = [int(size * dsa.ratio_crop_pad + 0.5) for size in x.shape[-2:]]
    dy, dx = ((u[..., i] * (2 * s + 1)).floor() - s for i, s in enumerate(axes))
    return _sample(x, _centres(x, -2, dy)[..., None], _centres(x, -1, dx)[..., None, :], "nearest")


def _cutout(dsa: DSA, x: Tensor, u: Tensor) -> Tensor:
    kept = []
    for i, size in enumerate(x.shape[-2:]):
        hole = int(size * dsa.ratio_cutout + 0.5)
        first = (u[..., i, None] * (size + 1 - hole % 2)).floor() - hole // 2
        at = torch.arange(size, device=x.device)
        kept.append((at < first) | (at >= first + hole))
    return x * (kept[0][..., None] | kept[1][..., None, :])[:, :, None].to(x.dtype)


def _flip(dsa: DSA, x: Tensor, u: Tensor) -> Tensor:
    return torch.where((u[..., 0] < dsa.prob_flip)[..., None, None, None], x.flip(-1), x)


def _scale(dsa: DSA, x: Tensor, u: Tensor) -> Tensor:
    low = 1 / dsa.ratio_scale
    sx, sy = (low + (dsa.ratio_scale - low) * u.to(x.dtype)[..., :2])[..., None, None].unbind(2)
    return _sample(x, sy * _centres(x, -2)[:, None], sx * _centres(x, -1), "bilinear")


def _rotate(dsa: DSA, x: Tensor, u: Tensor) -> Tensor:
    angle = (u[..., 0].to(x.dtype) * 2 - 1)[..., None, None] * math.radians(dsa.ratio_rotate)
    cos, sin, down, across = angle.cos(), angle.sin(), _centres(x, -2)[:, None], _centres(x, -1)
    return _sample(x, sin * across + cos * down, cos * across - sin * down, "bilinear")


def _centres(x: Tensor, axis: int, shift: Tensor | None = None) -> Tensor:
    """Pixel centres on an axis, shifted by whole pixels, in grid_sample's -1 to 1 (align_corners=False)."""
    at = torch.arange(x.shape[axis], device=x.device)
    moved = at if shift is None else at + shift[..., None]
    return (2 * moved + 1).to(x.dtype) / x.shape[axis] - 1


def _sample(x: Tensor, y_at: Tensor, x_at: Tensor, mode: str) -> Tensor:
    """Images at grids that broadcast to ``[r, 1 or m, h, w]``; not affine_grid, whose bmm may run in TF32."""
    grid = torch.stack(torch.broadcast_tensors(x_at, y_at), dim=-1)
    # With one grid a row, its images are channels. On CUDA a thread takes a grid point and goes through the
    # channels one after another, so there each image gets a copy of the grid.
    grid = (grid.expand(-1, x.shape[1], -1, -1, -1) if x.is_cuda else grid).flatten(0, 1)
    flat = x.reshape(len(grid), -1, *x.shape[-2:])
    return F.grid_sample(flat, grid, mode=mode, padding_mode="zeros", align_corners=False).view(x.shape)


_OPERATIONS: dict[str, Callable[[DSA, Tensor, Tensor], Tensor]] = {
    "color": _color,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
}
