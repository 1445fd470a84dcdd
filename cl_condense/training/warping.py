"""The operations of augmentation, each done once for all rows that drew it or another of its kind."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_condense.common.devices import upload


class Ratios(Protocol):
    """How far operations go, as ``DSA`` has it."""

    @property
    def prob_flip(self) -> float: ...
    @property
    def ratio_scale(self) -> float: ...
    @property
    def ratio_rotate(self) -> float: ...
    @property
    def ratio_crop_pad(self) -> float: ...
    @property
    def ratio_cutout(self) -> float: ...
    @property
    def brightness(self) -> float: ...
    @property
    def saturation(self) -> float: ...
    @property
    def contrast(self) -> float: ...


class Operations(NamedTuple):
    """What a draw does to r rows of images of one size, all worked out but for the images themselves.

    Attributes:
        order: the rows, by kind.
        sizes: how many of them each kind has, where there are any.
        numbers: by name, one set a row or an image (1 or m). Nearest and bilinear rows: ``across``
            ``[rows, 1 or m, w, 2]`` and ``down`` ``[rows, 1 or m, h, 2]``, whose sums are the places (x, y)
            that pixels are taken from, -1 to 1 as in grid_sample. Color: ``[rows, 1 or m, 4]``, factors of
            the pixel, of its mean over channels and of the image's mean, and a summand. Cutout: ``kept``
            ``[rows, 1 or m, 1, h, w]``, 0 in the hole and 1 elsewhere.
    """

    order: list[int]
    sizes: dict[str, int]
    numbers: dict[str, Tensor]


def settle(ratios: Ratios, groups: Sequence[str], u: Tensor, like: Tensor) -> Operations:
    """Works out one operation group a row from uniform numbers ``[r, 1 or m, 3]``, for images such as ``like``.

    Where the numbers are on the host and the images are not, what is worked out goes up together.
    """
    counts = Counter(groups)
    names = sorted(counts, key=lambda name: (_KINDS.index(GROUPS[name]), name))
    order = [i for name in names for i, group in enumerate(groups) if group == name]
    rows = _ordered(u, order).split([counts[name] for name in names])
    own, numbers = dict(zip(names, rows, strict=True)), {}
    if affine := [_AFFINE[name](ratios, own[name], like) for name in names if name in _AFFINE]:
        by_x, by_y, shift = torch.cat(affine)[..., None, :].unbind(2)
        numbers["across"] = _centres(like, -1, by_x.device)[:, None] * by_x
        numbers["down"] = _centres(like, -2, by_y.device)[:, None] * by_y + shift
    if "color" in own:
        numbers["color"] = _color_numbers(ratios, own["color"].to(like.dtype))
    if "cutout" in own:
        for i in (0, 1):
            numbers[f"kept {i}"] = _kept(ratios, own["cutout"][..., i, None], like.shape[i - 2]).to(like.dtype)
    numbers = _together(numbers, like.device)
    if "cutout" in own:
        one, other = numbers.pop("kept 0")[..., None], numbers.pop("kept 1")[..., None, :]
        numbers["kept"] = torch.maximum(one, other)[:, :, None]
    kinds = {kind: sum(counts[name] for name in names if GROUPS[name] == kind) for kind in _KINDS}
    return Operations(order, {kind: n for kind, n in kinds.items() if n}, numbers)


def apply(x: Tensor, operations: Operations) -> Tensor:
    """Images ``[r, m, c, h, w]`` through their operations."""
    order, sizes, numbers = operations
    parts = dict(zip(sizes, _ordered(x, order).split([*sizes.values()]), strict=True))
    sampled = {kind: part for kind, part in parts.items() if kind in ("nearest", "bilinear")}
    done = _sampled(sampled, numbers["across"], numbers["down"]) if sampled else []
    if "color" in parts:
        done.append(_color(parts["color"], numbers["color"]))
    if "cutout" in parts:
        done.append(parts["cutout"] * numbers["kept"])
    if order == [*range(len(order))]:
        return torch.cat(done) if len(done) > 1 else done[0]
    after = [*x.unbind()]
    for i, row in zip(order, (row for part in done for row in part.unbind()), strict=True):
        after[i] = row
    return torch.stack(after)


def _ordered(x: Tensor, order: list[int]) -> Tensor:
    """Rows in an order: a stack of views, for which no index goes up, and backwards it is a stack as well."""
    if order == [*range(len(order))]:
        return x
    rows = x.unbind()
    return torch.stack([rows[i] for i in order])


def _together(tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Tensors of one type on a device, by one copy."""
    if all(x.device == device for x in tensors.values()):
        return tensors
    flat = upload(torch.cat([x.flatten() for x in tensors.values()]), device)
    parts = flat.split([x.numel() for x in tensors.values()])
    return {name: part.view(x.shape) for (name, x), part in zip(tensors.items(), parts, strict=True)}


def _color_numbers(ratios: Ratios, u: Tensor) -> Tensor:
    shift, s, k = u.unbind(-1)
    shift, s, k = (shift - 0.5) * ratios.brightness, s * ratios.saturation, k + ratios.contrast
    # Brightness moves both means with the pixels, and saturation leaves the image's mean as it is.
    return torch.stack([k * s, k - k * s, 1 - k, shift], -1)


def _color(x: Tensor, numbers: Tensor) -> Tensor:
    pixel, of_grey, of_mean, shift = numbers[..., None, None, None, :].unbind(-1)
    grey = x.mean(2, keepdim=True)
    rest = grey * of_grey + (grey.mean((3, 4), keepdim=True) * of_mean + shift)
    return torch.addcmul(rest, x, pixel)


def _kept(ratios: Ratios, u: Tensor, size: int) -> Tensor:
    hole = int(size * ratios.ratio_cutout + 0.5)
    first = (u * (size + 1 - hole % 2)).floor() - hole // 2
    at = torch.arange(size, device=u.device)
    return (at < first) | (at >= first + hole)


def _centres(x: Tensor, axis: int, device: torch.device) -> Tensor:
    """Pixel centres on an axis, in grid_sample's -1 to 1 (align_corners=False)."""
    at = torch.arange(x.shape[axis], device=device)
    return (2 * at + 1).to(x.dtype) / x.shape[axis] - 1


def _sampled(parts: dict[str, Tensor], across: Tensor, down: Tensor) -> list[Tensor]:
    """Images at their places, by mode; not affine_grid, whose bmm may run in TF32."""
    some = next(iter(parts.values()))
    # With one grid a row, its images are channels. On CUDA a thread takes a grid point and goes through the
    # channels one after another, so there each image gets a grid of its own.
    if some.is_cuda:
        across, down = (each.expand(-1, some.shape[1], -1, -1) for each in (across, down))
    grids = (across[:, :, None] + down[:, :, :, None]).split([len(x) for x in parts.values()])
    found = []
    for (mode, x), grid in zip(parts.items(), grids, strict=True):
        flat = x.reshape(len(x) * grid.shape[1], -1, *x.shape[-2:])
        moved = F.grid_sample(flat, grid.flatten(0, 1), mode, padding_mode="zeros", align_corners=False)
        found.append(moved.view(x.shape))
    return found


def _affine(*numbers: Tensor | float, like: Tensor) -> Tensor:
    """``[rows, 1 or m, 3, 2]``: (x, y) of the place for each x of the pixel, for each y, and a shift."""
    fixed = {x: like.new_full((), x) for x in numbers if not isinstance(x, Tensor)}
    each = [x if isinstance(x, Tensor) else fixed[x].expand(like.shape) for x in numbers]
    return torch.stack(each, -1).unflatten(-1, (3, 2))


def _crop(ratios: Ratios, u: Tensor, like: Tensor) -> Tensor:
    # Nearest neighbour on whole-pixel shifts copies pixels exactly, and on a CPU it was the fastest of the ways
    # that were tried: padding and one or two gathers, index tensors, strided windows.
    h, w = like.shape[-2:]
    axes = [int(size * ratios.ratio_crop_pad + 0.5) for size in (h, w)]
    dy, dx = ((u[..., i] * (2 * s + 1)).floor().to(like.dtype) - s for i, s in enumerate(axes))
    return _affine(1.0, 0.0, 0.0, 1.0, dx * (2 / w), dy * (2 / h), like=dx)


def _flip(ratios: Ratios, u: Tensor, like: Tensor) -> Tensor:
    sign = 1 - 2 * (u[..., 0] < ratios.prob_flip).to(like.dtype)
    return _affine(sign, 0.0, 0.0, 1.0, 0.0, 0.0, like=sign)


def _scale(ratios: Ratios, u: Tensor, like: Tensor) -> Tensor:
    low = 1 / ratios.ratio_scale
    sx, sy = (low + (ratios.ratio_scale - low) * u.to(like.dtype)[..., :2]).unbind(-1)
    return _affine(sx, 0.0, 0.0, sy, 0.0, 0.0, like=sx)


def _rotate(ratios: Ratios, u: Tensor, like: Tensor) -> Tensor:
    angle = (u[..., 0].to(like.dtype) * 2 - 1) * math.radians(ratios.ratio_rotate)
    cos, sin = angle.cos(), angle.sin()
    return _affine(cos, sin, -sin, cos, 0.0, 0.0, like=cos)


_AFFINE: dict[str, Callable[[Ratios, Tensor, Tensor], Tensor]] = {
    "crop": _crop,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
}

GROUPS = {
    "color": "color",
    "crop": "nearest",
    "cutout": "cutout",
    "flip": "nearest",
    "scale": "bilinear",
    "rotate": "bilinear",
}
"""Operation groups, and the kind of operation that each is done by."""

_KINDS = ("nearest", "bilinear", "color", "cutout")
