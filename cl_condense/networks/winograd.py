"""3x3 convolutions by Winograd's algorithm F(4x4, 3x3) (Lavin and Gray, arXiv:1509.09308), to be compiled.

A quarter of the multiplications of a plain convolution, forwards and backwards, for images in channels-last
order. The transforms are sums of neighbouring rows and columns, written as such, so that torch.compile makes
one pass of each; between them lies a batched matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 4
"""Rows and columns of the output that are computed together."""

_SIDE = TILE + 2  # of the input that they depend on

Matrix = Sequence[Sequence[float]]

_INPUT: Matrix = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_WEIGHT: Matrix = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT: Matrix = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)
_INPUT_T, _OUTPUT_T = tuple(zip(*_INPUT, strict=True)), tuple(zip(*_OUTPUT, strict=True))


def conv3x3(x: Tensor, weight: Tensor) -> Tensor:
    """A convolution with a border of one zero and without bias.

    Args:
        x: ``[n, h, w, c]``, height and width multiples of ``TILE``.
        weight: ``[filters, c, 3, 3]``, as torch has it.

    Returns:
        ``[n, h, w, filters]``, equal to torch's but for rounding: below 1e-4 of the largest in float32.
    """
    found: Tensor = _Conv.apply(x, weight)
    return found


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        spectrum = _by_tile(x)
        filters = _weights(weight)
        ctx.save_for_backward(spectrum, filters)
        ctx.size = x.shape[1:3]
        return _from_tiles(torch.bmm(spectrum, filters), *ctx.size)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (spectrum, filters), (height, width) = ctx.saved_tensors, ctx.size
        products, of_x, of_weight = _to_tiles(gradients[0]), None, None
        if ctx.needs_input_grad[1]:
            of_weight = _weights_back(torch.bmm(spectrum.transpose(1, 2), products))
        if ctx.needs_input_grad[0]:
            of_x = _by_tile_back(torch.bmm(products, filters.transpose(1, 2)), height, width)
        return of_x, of_weight


def _sums(parts: Sequence[Tensor], matrix: Matrix) -> list[Tensor]:
    """For each row of a matrix the sum of the parts with its numbers."""
    found = []
    for row in matrix:
        terms = [part if m == 1 else m * part for m, part in zip(row, parts, strict=True) if m]
        found.append(sum(terms[1:], terms[0]))
    return found


def _by_tile(x: Tensor) -> Tensor:
    """Transformed tiles ``[36, tiles, c]`` of ``[n, h, w, c]``: 6 x 6 pixels of each, which overlap."""
    n, h, w, c = x.shape
    x = F.pad(x, (0, 0, 1, 1, 1, 1))
    rows = torch.stack(_sums([x[:, i : i + h - 3 : TILE] for i in range(_SIDE)], _INPUT))
    both = _sums([rows[:, :, :, j : j + w - 3 : TILE] for j in range(_SIDE)], _INPUT)
    return torch.stack(both, 1).view(_SIDE**2, n * h * w // TILE**2, c)


def _by_tile_back(tiles: Tensor, h: int, w: int) -> Tensor:
    """The gradient of ``_by_tile``: ``[36, tiles, c]`` -> ``[n, h, w, c]``, overlaps added up."""
    down, across, c = h // TILE, w // TILE, tiles.shape[2]
    tiles = tiles.view(_SIDE, _SIDE, -1, down, across, c)
    columns = _sums(tiles.unbind(1), _INPUT_T)
    joined = torch.stack([_overlap(columns, j, (0, 0)) for j in range(TILE)], 4)
    joined = joined.flatten(3, 4)[:, :, :, 1 : w + 1]
    rows = _sums(joined.unbind(0), _INPUT_T)
    return torch.stack([_overlap(rows, i, (0, 0, 0, 0)) for i in range(TILE)], 2).flatten(1, 2)[:, 1 : h + 1]


def _overlap(parts: Sequence[Tensor], i: int, before: tuple[int, ...]) -> Tensor:
    """Row i of all tiles, one more of them than there are, with what reaches into it from the tile before."""
    own = F.pad(parts[i], (*before, 0, 1))
    return own + F.pad(parts[i + TILE], (*before, 1, 0)) if i + TILE < _SIDE else own


def _from_tiles(products: Tensor, h: int, w: int) -> Tensor:
    """Images ``[n, h, w, filters]`` of products ``[36, tiles, filters]``."""
    products = products.view(_SIDE, _SIDE, -1, h // TILE, w // TILE, products.shape[2])
    columns = torch.stack(_sums(products.unbind(1), _OUTPUT), 4)
    return torch.stack(_sums(columns.unbind(0), _OUTPUT), 2).flatten(3, 4).flatten(1, 2)


def _to_tiles(gradient: Tensor) -> Tensor:
    """The gradient of ``_from_tiles``: ``[n, h, w, filters]`` -> ``[36, tiles, filters]``."""
    n, h, w, filters = gradient.shape
    rows = torch.stack(_sums(gradient.unflatten(1, (-1, TILE)).unbind(2), _OUTPUT_T))
    both = _sums(rows.unflatten(3, (-1, TILE)).unbind(4), _OUTPUT_T)
    return torch.stack(both, 1).view(_SIDE**2, n * h * w // TILE**2, filters)


def _weights(weight: Tensor) -> Tensor:
    """``[filters, c, 3, 3]`` -> ``[36, c, filters]``."""
    filters, c = weight.shape[:2]
    return (_both(weight) @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(-1, c, filters)


def _weights_back(gradient: Tensor) -> Tensor:
    """The gradient of ``_weights``: ``[36, c, filters]`` -> ``[filters, c, 3, 3]``."""
    rest = gradient.shape[1:]
    return (_both(gradient).T @ gradient.flatten(1)).view(3, 3, *rest).permute(3, 2, 0, 1)


def _both(like: Tensor) -> Tensor:
    """The matrix ``[36, 9]`` that transforms rows and columns of a weight at once."""
    one = torch.tensor(_WEIGHT, dtype=like.dtype, device=like.device)
    return torch.kron(one, one)
