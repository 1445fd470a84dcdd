"""The ConvNet of the condensation papers, with the variants of their ablations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cl_condense.common.suggest import choice
from cl_condense.networks import fused
from cl_condense.networks.contract import Features, Tap, check_sizes

_NORM_LAYERS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "instance": lambda channels, height, width: nn.GroupNorm(channels, channels),
    "batch": lambda channels, height, width: nn.BatchNorm2d(channels),
    "layer": lambda channels, height, width: nn.LayerNorm([channels, height, width]),
    "group": lambda channels, height, width: nn.GroupNorm(4, channels),
    "none": lambda channels, height, width: nn.Identity(),
}
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda x: F.relu(x, inplace=True),  # a norm keeps its input for the gradient, not its output
    "sigmoid": torch.sigmoid,
    "leakyrelu": lambda x: F.leaky_relu(x, 0.01),
    "swish": F.silu,
}


def halve(x: Tensor) -> Tensor:
    """2x2 average pooling of maps ``[n, c, h, w]``.

    On a CPU as sums of rows and columns, several times as fast there as torch's pooling, which takes as long as
    the convolutions; equal but for rounding.
    """
    if x.is_cuda:
        return F.avg_pool2d(x, 2)
    height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    rows = x[:, :, 0:height:2, :width] + x[:, :, 1:height:2, :width]
    return (rows[..., 0::2] + rows[..., 1::2]) * 0.25


_POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "avg": halve,
    "max": lambda x: F.max_pool2d(x, 2),
    "none": lambda x: x,
}
PUBLISHED = ("instance", "relu", "avg")


def norm_layer(norm: str, channels: int, height: int = 1, width: int = 1) -> nn.Module:
    """One of the papers' norms for maps ``[n, channels, height, width]``; only "layer" uses the size."""
    return _NORM_LAYERS[norm](channels, height, width)


class ConvNet(nn.Module):
    """The ConvNet of the condensation papers (Gidaris and Komodakis, CVPR 2018; DC, arXiv:2006.05929).

    Each of ``depth`` blocks is a 3x3 convolution with ``width`` filters, a norm, an activation and 2x2 pooling;
    a linear classifier follows. The papers' own is the default; the others are those of their ablations.
    Instance norm is a group norm with one group per channel and affine parameters, as in the published code:
    the same in training and evaluation. As there, 28-pixel images of one channel are padded to 32.

    Args:
        shape: (channels, height, width) of the images.
        classes: number of outputs.
        width: filters per convolution; 128 in the papers.
        depth: blocks; 3 in the papers at 32 pixels. None: one block per halving down to 4 pixels, so 3 at 32,
            4 at 64, 5 at 128 pixels.
        norm: "instance", "batch", "layer" (over channels and positions), "group" (4 groups) or "none". With
            batch norm the images of a batch depend on one another in training.
        activation: "relu", "sigmoid", "leakyrelu" (slope 0.01) or "swish" (x times its sigmoid).
        pooling: "avg", "max" or "none"; without it every block keeps the size, and the embedding is
            ``width * height * width`` of the (padded) image.

    Raises:
        ValueError: where the images are too small for the depth, and for an option that is not known.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        *,
        width: int = 128,
        depth: int | None = None,
        norm: str = "instance",
        activation: str = "relu",
        pooling: str = "avg",
    ) -> None:
        super().__init__()
        self.variant = (
            choice("norm", norm, _NORM_LAYERS),
            choice("activation", activation, _ACTIVATIONS),
            choice("pooling", pooling, _POOLINGS),
        )
        check_sizes(shape, classes, width=width, **({} if depth is None else {"depth": depth}))
        channels, height, width_px = shape
        self.padding = 3 if shape == (1, 28, 28) else 1
        height, width_px = height + 2 * (self.padding - 1), width_px + 2 * (self.padding - 1)
        side = min(height, width_px)
        if depth is None:
            depth = max(1, int(math.log2(max(side, 4))) - 2)
        halving = pooling != "none"
        if halving and side < 2**depth:
            most = int(math.log2(side))
            raise ValueError(
                f"a ConvNet of depth {depth} does not fit images of {shape[1]}x{shape[2]}, which each block "
                f"halves: {f'give a depth of at most {most}' if most else 'enlarge them'}"
            )
        if norm == "group" and width % 4:
            raise ValueError(f"4 groups do not fit a width of {width}: give a multiple of 4 or norm='instance'")
        sizes = [(height >> i * halving, width_px >> i * halving) for i in range(depth + 1)]
        self.convs = nn.ModuleList(
            nn.Conv2d(width if i else channels, width, 3, padding=1 if i else self.padding)
            for i in range(depth)
        )
        self.norms = nn.ModuleList(norm_layer(norm, width, *size) for size in sizes[:-1])
        self.classifier = nn.Linear(width * math.prod(sizes[-1]), classes)

    def features(self, x: Tensor, taps: frozenset[Tap] = frozenset()) -> Features:
        """Features of images ``[n, c, h, w]``."""
        if torch.compiler.is_compiling() and self._fuses(x):
            return self._fused(x, taps)
        maps, convs = [], []
        kind, activation, pooling = self.variant
        # Images of one channel may come with strides that torch takes for channels-last, whose norm and pooling
        # are five times slower on a CPU (22.8 ms against 4.4 ms for 256 digits).
        x = x.flatten(1).view(x.shape)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = conv(x)
            if "convs" in taps:
                convs.append(x.clone() if kind == "none" else x)  # without a norm ReLU writes into its input
            x = _ACTIVATIONS[activation](norm(x))
            if "maps" in taps:
                maps.append(x)
            x = _POOLINGS[pooling](x)
        embedding = x.flatten(1)
        return Features(embedding, self.classifier(embedding), tuple(maps), tuple(convs), x)

    def _fuses(self, x: Tensor) -> bool:
        """Whether the form for a CPU is faster: in float32, and in bfloat16 where the weights train.

        Where only the images take gradients bfloat16 is faster in torch's own order.
        """
        if x.device.type != "cpu" or self.variant != PUBLISHED:
            return False
        return not torch.is_autocast_enabled("cpu") or self.classifier.weight.requires_grad

    def _fused(self, x: Tensor, taps: frozenset[Tap]) -> Features:
        """The same features with norm, ReLU and pooling as one pass, to be compiled."""
        layers: Any = list(zip(self.convs, self.norms, strict=True))
        blocks = fused.blocks(x, [fused.Block(c.weight, n.weight, n.bias) for c, n in layers], self.padding)
        pooled, maps, convs = blocks[-1].pooled, [], []
        for block, (conv, _) in zip(blocks, layers, strict=True):
            maps += [block.relu] if "maps" in taps else []
            convs += [block.conv + conv.bias[:, None, None]] if "convs" in taps else []
        embedding = pooled.flatten(1)
        return Features(embedding, self.classifier(embedding), tuple(maps), tuple(convs), pooled)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[n, classes]``."""
        return self.features(x).logits


@dataclass(frozen=True)
class MakeConvNet:
    """The papers' ConvNet for images of one shape, as a ``MakeNetwork`` that can be pickled."""

    shape: tuple[int, int, int]
    width: int = 128
    depth: int | None = None
    norm: str = "instance"
    activation: str = "relu"
    pooling: str = "avg"

    def __post_init__(self) -> None:
        check_sizes(self.shape, width=self.width, **({} if self.depth is None else {"depth": self.depth}))

    def __call__(self, classes: int) -> ConvNet:
        return ConvNet(classes=classes, **vars(self))
