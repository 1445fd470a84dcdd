"""What a network returns and how objectives look at it.

Dimension letters of this code base: k classes, m images per class, n = k * m images, c h w an image or a
map, d the embedding, r the rows of a batch of networks. Batches are class-major: all images of the first
class, then all of the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

Tap = Literal["maps", "convs"]


class Features(NamedTuple):
    """One forward pass over n images.

    Attributes:
        embedding: ``[n, d]``, the last block's pooled maps, flattened: what the classifier sees.
        logits: ``[n, classes]``.
        maps: of each block the maps after ReLU and before pooling, ``[n, c, h, w]``; empty unless asked for.
        convs: of each block the convolution's output before the norm; empty unless asked for.
    """

    embedding: Tensor
    logits: Tensor
    maps: tuple[Tensor, ...] = ()
    convs: tuple[Tensor, ...] = ()


class FeatureNet(Protocol):
    """A network that condensation can look into, for example :class:`cl_condense.networks.ConvNet`."""

    def features(self, x: Tensor, taps: frozenset[Tap] = frozenset()) -> Features:
        """Features of normalised images ``[n, c, h, w]``, with the maps that ``taps`` names."""
        ...


@dataclass(frozen=True)
class View:
    """A class-major batch of k classes as one network sees it."""

    features: Features
    classes: int

    def by_class(self, x: Tensor) -> Tensor:
        """``[k * m, ...]`` as ``[k, m, ...]``."""
        return x.unflatten(0, (self.classes, -1))

    @property
    def embedding(self) -> Tensor:
        """``[k, m, d]``."""
        return self.by_class(self.features.embedding)
