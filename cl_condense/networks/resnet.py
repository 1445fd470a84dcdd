"""The condensation papers' ResNets, on which condensed images are cross-examined, and ResNetAP-10."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from cl_condense.common.suggest import choice
from cl_condense.networks.contract import Features, Tap, check_taps
from cl_condense.networks.convnet import norm_layer

Blocks = tuple[int, int, int, int]
"""Basic blocks of each stage."""

_STEMS = {"small": (3, 1), "mid": (3, 2), "large": (7, 4)}
"""Of each stem the side of its convolution and of its average pooling."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them (He et al., CVPR 2016), with a norm after each.

    ``[n, inputs, h, w]`` becomes ``[n, width, h / stride, w / stride]``: rounded up where the convolutions have
    strides, and down with ``halving="pool"``, where average pooling does their part: after the first ReLU, and
    between the convolution and the norm of the shortcut.
    """

    def __init__(
        self, inputs: int, width: int, stride: int, *, norm: str = "instance", halving: str = "stride"
    ) -> None:
        super().__init__()
        step = stride if halving == "stride" else 1
        pools = [nn.AvgPool2d(stride)] if step < stride else []
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=step, padding=1, bias=False)
        self.norm1 = norm_layer(norm, width)
        self.pool = nn.Sequential(*pools)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = norm_layer(norm, width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            conv = nn.Conv2d(inputs, width, 1, stride=step, bias=False)
            self.shortcut = nn.Sequential(conv, *pools, norm_layer(norm, width))

    def forward(self, x: Tensor) -> Tensor:
        """The block's maps after ReLU."""
        y = self.pool(F.relu(self.norm1(self.conv1(x)), inplace=True))
        # The sum is a tensor of its own, so that the ReLU in place leaves x, which may be a tap, as it was.
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """The ResNets of the condensation papers; by default DC's ResNet-18 (arXiv:2006.05929).

    A stem and four stages of basic blocks with ``width`` times 1, 2, 4, 8 channels and strides 1, 2, 2, 2, then
    global average pooling and a linear classifier. Instance norm is the ConvNet's: one group per channel with
    affine parameters, the same in training and evaluation. The published ResNet-18 pools by 4 instead of
    globally. At 32 pixels that is the same; at 64 it leaves 2x2, so 2048 features for a classifier of 512, and
    copies of that code crash or are patched to 2048. Here the embedding is ``8 * width`` at any size.

    The others: ResNet18_AP of DC's code has ``halving="pool", head="flat"``. IDC (arXiv:2205.14959) and M3D
    evaluate CIFAR on a ResNet-10 of ``width=32, blocks=(1, 1, 1, 1), norm="batch"``, and condense larger images
    with ResNetAP-10: ``blocks=(1, 1, 1, 1), halving="pool", stem="auto"``. IDC's code draws the convolutions of
    both from N(0, 2 / (k * k * filters)) with k the kernel's side; here as everywhere torch's distributions are
    drawn (see ``Initialiser``).

    Args:
        shape: (channels, height, width) of the images; with the small stem at least 16 pixels, and 8 with batch
            norm, with the others 2 and 4 times as many.
        classes: number of outputs.
        width: channels of the first stage; 64 in the papers.
        blocks: basic blocks of each stage; two each make the 18 layers.
        norm: "instance" or "batch".
        halving: what halves the maps: "stride" or average pooling, "pool".
        stem: "small", a 3x3 convolution; "mid", which then pools by 2; "large", 7x7 and pools by 4; or "auto",
            IDC's choice: small up to 64 pixels, mid up to 128, then large.
        head: "mean" over positions, or "flat": the classifier sees every position of the last maps.

    Raises:
        ValueError: where the images are too small, the network has an empty stage or an option is not known.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        *,
        width: int = 64,
        blocks: Blocks = (2, 2, 2, 2),
        norm: str = "instance",
        halving: str = "stride",
        stem: str = "small",
        head: str = "mean",
    ) -> None:
        super().__init__()
        if width < 1 or len(blocks) != 4 or min(blocks) < 1:
            raise ValueError(
                f"a ResNet cannot have width {width} and blocks {blocks}: it takes a width of at least 1 and "
                "four stages of at least 1 block, for example width=64, blocks=(2, 2, 2, 2)"
            )
        choice("norm of a ResNet", norm, ("instance", "batch"))
        choice("halving", halving, ("stride", "pool"))
        self.flat = choice("head", head, ("mean", "flat")) == "flat"
        side = min(shape[1:])
        if choice("stem", stem, (*_STEMS, "auto")) == "auto":
            stem = "small" if side <= 64 else "mid" if side <= 128 else "large"
        kernel, pool = _STEMS[stem]
        least = pool * (16 if norm == "instance" else 8)
        if side < least:  # at 16 the last maps are 2x2
            raise ValueError(
                f"a ResNet does not fit images of {shape[1]}x{shape[2]}: with {norm} norm and the {stem} stem "
                f"it takes {least}x{least} or more (instance norm makes zeros of the 1x1 maps in which small "
                "images end); enlarge them or take ConvNet"
            )
        conv = nn.Conv2d(shape[0], width, kernel, padding=kernel // 2, bias=False)
        self.stem = nn.Sequential(conv, norm_layer(norm, width), nn.ReLU(inplace=True))
        self.pool = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        self.stages = nn.ModuleList()
        widths = (width, width, 2 * width, 4 * width, 8 * width)
        for count, (before, after) in zip(blocks, pairwise(widths), strict=True):
            strides = [after // before, *[1] * (count - 1)]  # 2 where the channels double
            inputs = [before, *[after] * (count - 1)]
            each = (
                BasicBlock(i, after, stride, norm=norm, halving=halving)
                for i, stride in zip(inputs, strides, strict=True)
            )
            self.stages.append(nn.Sequential(*each))
        last = [s // pool // 8 if halving == "pool" else -(-(s // pool) // 8) for s in shape[1:]]
        self.classifier = nn.Linear(8 * width * (last[0] * last[1] if self.flat else 1), classes)

    def features(self, x: Tensor, taps: frozenset[Tap] = frozenset()) -> Features:
        """Features of images ``[n, c, h, w]``; the embedding is ``[n, 8 * width]``, flat times the positions.

        The maps are those after ReLU of the stem and of the first two stages, the three that DDM's
        ``ResNet18_style`` compares; the last two stages give none.

        Raises:
            ValueError: for the tap "convs".
        """
        check_taps("a ResNet", taps, ("maps",))
        maps = []
        for i, stage in enumerate((self.stem, *self.stages)):
            x = stage(x)
            if "maps" in taps and i < 3:
                maps.append(x)
            if i == 0:
                x = self.pool(x)
        embedding = x.flatten(1) if self.flat else x.mean((2, 3))
        return Features(embedding, self.classifier(embedding), tuple(maps), pooled=x if self.flat else None)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[n, classes]``."""
        return self.features(x).logits


@dataclass(frozen=True)
class MakeResNet:
    """One of the papers' ResNets for images of one shape, as a ``MakeNetwork`` that can be pickled."""

    shape: tuple[int, int, int]
    width: int = 64
    blocks: Blocks = (2, 2, 2, 2)
    norm: str = "instance"
    halving: str = "stride"
    stem: str = "small"
    head: str = "mean"

    def __call__(self, classes: int) -> ResNet:
        return ResNet(classes=classes, **vars(self))
