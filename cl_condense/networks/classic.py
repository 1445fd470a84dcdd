"""MLP, LeNet, AlexNet and VGG-11 as the condensation papers cross-examine with them (DC, arXiv:2006.05929).

The published code takes 32 pixels in colour, or 28 in grey, which all but the MLP pad to 32. Here the
classifier follows from the size of the images.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from cl_condense.common.suggest import choice
from cl_condense.networks.contract import Features, Tap, check_taps
from cl_condense.networks.convnet import norm_layer

Shape = tuple[int, int, int]
_GREY = (1, 28, 28)


class MLP(nn.Module):
    """Two hidden layers of ``width`` units with ReLU; the embedding ``[n, width]`` is the second.

    Raises:
        ValueError: for a width below 1.
    """

    def __init__(self, shape: Shape, classes: int, *, width: int = 128) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"an MLP cannot have width {width}: give at least 1, for example width=128")
        self.hidden = nn.ModuleList([nn.Linear(math.prod(shape), width), nn.Linear(width, width)])
        self.classifier = nn.Linear(width, classes)

    def features(self, x: Tensor, taps: frozenset[Tap] = frozenset()) -> Features:
        """Features of images ``[n, c, h, w]``; ValueError for any tap."""
        check_taps("an MLP", taps)
        x = x.flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        return Features(x, self.classifier(x))

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[n, classes]``."""
        return self.features(x).logits


class LeNet(nn.Module):
    """LeNet-5 with ReLU and max pooling; the embedding ``[n, 84]`` is its last hidden layer.

    Raises:
        ValueError: for images below 16 pixels, of which the second convolution leaves too little to pool.
    """

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        padding = 2 if shape == _GREY else 0
        sides = [((side + 2 * padding - 4) // 2 - 4) // 2 for side in (height, width)]
        if min(sides) < 1:
            raise ValueError(f"a LeNet does not fit images of {height}x{width}: it takes 16x16 or more")
        self.convs = nn.ModuleList([nn.Conv2d(channels, 6, 5, padding=padding), nn.Conv2d(6, 16, 5)])
        self.hidden = nn.ModuleList([nn.Linear(16 * math.prod(sides), 120), nn.Linear(120, 84)])
        self.classifier = nn.Linear(84, classes)

    def features(self, x: Tensor, taps: frozenset[Tap] = frozenset()) -> Features:
        """Features of images ``[n, c, h, w]``; ValueError for any tap."""
        check_taps("a LeNet", taps)
        for conv in self.convs:
            x = F.max_pool2d(F.relu(conv(x)), 2)
        x = x.flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        return Features(x, self.classifier(x))

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[n, classes]``."""
        return self.features(x).logits


class _Row(NamedTuple):
    filters: int
    kernel: int = 3
    pool: bool = False


class _ConvStack(nn.Module):
    """Convolutions that keep the size, each with a norm, ReLU and, some, 2x2 max pooling; then a classifier.

    ``NORMS`` are those that were published; the first of them is the default.
    """

    NAME: str
    ROWS: tuple[_Row, ...]
    NORMS: tuple[str, ...]

    def __init__(self, shape: Shape, classes: int, *, norm: str | None = None) -> None:
        super().__init__()
        norm = choice(f"norm of {self.NAME}", norm or self.NORMS[0], self.NORMS)
        channels, height, width = shape
        padded = 2 if shape == _GREY else 0
        halvings = sum(row.pool for row in self.ROWS)
        sides = [(side + 2 * padded) >> halvings for side in (height, width)]
        if min(sides) < 1:
            raise ValueError(
                f"{self.NAME} does not fit images of {height}x{width}: it halves them {halvings} times and so "
                f"takes {2**halvings}x{2**halvings} or more; enlarge them or take ConvNet"
            )
        convs: list[nn.Module] = []
        norms, inputs = [], channels
        for filters, kernel, _ in self.ROWS:
            convs.append(nn.Conv2d(inputs, filters, kernel, padding=kernel // 2 + (0 if convs else padded)))
            norms.append(norm_layer(norm, filters))
            inputs = filters
        self.convs, self.norms = nn.ModuleList(convs), nn.ModuleList(norms)
        self.classifier = nn.Linear(inputs * math.prod(sides), classes)

    def features(self, x: Tensor, taps: frozenset[Tap] = frozenset()) -> Features:
        """Features of images ``[n, c, h, w]``; the embedding is the last maps after pooling, flattened.

        Raises:
            ValueError: for the tap "convs".
        """
        check_taps(self.NAME, taps, ("maps",))
        rectified, pooled = [], []
        for conv, norm, row in zip(self.convs, self.norms, self.ROWS, strict=True):
            x = F.relu(norm(conv(x)), inplace=True)
            rectified.append(x)
            if row.pool:
                x = F.max_pool2d(x, 2)
                pooled.append(x)
        maps = self._tapped(rectified, pooled) if "maps" in taps else []
        embedding = x.flatten(1)
        return Features(embedding, self.classifier(embedding), tuple(maps), pooled=x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[n, classes]``."""
        return self.features(x).logits

    def _tapped(self, rectified: list[Tensor], pooled: list[Tensor]) -> list[Tensor]:
        return rectified


class AlexNet(_ConvStack):
    """DC's AlexNet: five convolutions, without a norm or with batch norm; 3072 features at 32 pixels.

    The maps are the first two after pooling, those that DDM's ``AlexNet_style`` compares; the other networks
    give maps before pooling.

    Raises:
        ValueError: for images below 8 pixels and norms other than "none" and "batch".
    """

    NAME = "an AlexNet"
    ROWS = (_Row(128, 5, True), _Row(192, 5, True), _Row(256), _Row(192), _Row(192, pool=True))
    NORMS = ("none", "batch")

    def _tapped(self, rectified: list[Tensor], pooled: list[Tensor]) -> list[Tensor]:
        return pooled[:2]


class VGG11(_ConvStack):
    """DC's VGG-11: eight convolutions with instance or batch norm; 512 features at 32 pixels.

    The maps are those of every convolution after ReLU and before pooling, as DDM's ``VGG_style`` lists them
    (its factory makes the plain VGG instead, which gives none).

    Raises:
        ValueError: for images below 32 pixels (28 in grey) and norms other than "instance" and "batch".
    """

    NAME = "a VGG-11"
    ROWS = (
        *(_Row(64, pool=True), _Row(128, pool=True), _Row(256), _Row(256, pool=True)),
        *(_Row(512), _Row(512, pool=True), _Row(512), _Row(512, pool=True)),
    )
    NORMS = ("instance", "batch")
