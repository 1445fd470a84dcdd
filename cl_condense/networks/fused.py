"""The published ConvNet in channels-last order on a CPU, written for torch.compile.

Under torch's autocast the products are bfloat16 and their results are kept so; norms compute in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_condense.networks.winograd import TILE, conv3x3

_EPS = 1e-5  # of torch's norms


class Block(NamedTuple):
    """Weights of a block: 3x3 convolution, instance norm, ReLU, 2x2 average pooling.

    The bias of its convolution has no part in it: the norm takes the mean away.
    """

    weight: Tensor
    scale: Tensor
    shift: Tensor


class Maps(NamedTuple):
    """What a block computes of n images, each ``[n, c, h, w]``: the convolution without bias, ReLU, pooling."""

    conv: Tensor
    relu: Tensor
    pooled: Tensor


def blocks(x: Tensor, weights: Sequence[Block], padding: int) -> list[Maps]:
    """Maps of every block for images ``[n, c, h, w]``; ``padding`` is the first convolution's."""
    x, found = x.permute(0, 2, 3, 1), []
    for i, (weight, scale, shift) in enumerate(weights):
        conv = _conv(x, weight) if i else _first(x, weight, padding)
        conv = conv.float() if conv.dtype == torch.bfloat16 else conv
        relu = F.relu(_norm(conv, scale, shift))
        x = _halve(relu)
        found.append(Maps(*(each.permute(0, 3, 1, 2) for each in (conv, relu, x))))
    return found


def _conv(x: Tensor, weight: Tensor) -> Tensor:
    """A convolution inside the network; under autocast torch's own, whose products are cheap in bfloat16."""
    reduced = torch.is_autocast_enabled("cpu")
    if not (reduced or x.shape[1] % TILE or x.shape[2] % TILE):
        return conv3x3(x, weight)
    if reduced:
        weight = weight.contiguous(memory_format=torch.channels_last)  # as the maps are: no copies inside
    return F.conv2d(x.permute(0, 3, 1, 2), weight, padding=1).permute(0, 2, 3, 1)


def _first(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """The convolution of few channels, as one matrix product of patches."""
    x = F.pad(x, (0, 0, *[padding] * 4))
    h, w = x.shape[1] - 2, x.shape[2] - 2
    patches = torch.cat([x[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], 3)
    return patches @ weight.permute(2, 3, 1, 0).flatten(0, 2)


def _norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Instance norm, as a factor and a summand of each map."""
    mean = x.mean((1, 2), keepdim=True)
    # The gradient through this mean is 0, since deviations add up to 0: without it a pass less.
    variance = (x - mean.detach()).square().mean((1, 2), keepdim=True)
    factor = scale * torch.rsqrt(variance + _EPS)
    return x * factor + (shift - mean * factor)


def _halve(x: Tensor) -> Tensor:
    """2x2 average pooling of ``[n, h, w, c]``."""
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))
    return (x[:, :, 0, :, 0] + x[:, :, 0, :, 1] + x[:, :, 1, :, 0] + x[:, :, 1, :, 1]) * 0.25
