"""What condensation asks of a network: a number of classes makes it, and its features can be looked at.

Dimension letters of this code base: k classes, m images per class, n = k * m images, c h w an image or a
map, d the embedding, r the rows of a batch of networks. Batches are class-major: all images of the first
class, then all of the second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from cl_condense.common.kinds import check_kind, described
from cl_condense.common.numbers import whole
from cl_condense.common.rng import Purpose, isolated

Tap = Literal["maps", "convs"]
Precision = Literal["float32", "bfloat16"]

MakeNetwork = Callable[[int], nn.Module]
"""Makes an untrained network for a number of classes."""

_ACROSS_IMAGES = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


class Features(NamedTuple):
    """One forward pass over n images.

    Attributes:
        embedding: ``[n, d]``, the last block's pooled maps, flattened: what the classifier sees.
        logits: ``[n, classes]``.
        maps: of each block the maps after ReLU and before pooling, ``[n, c, h, w]``; empty unless asked for.
        convs: of each block the convolution's output before the norm; empty unless asked for.
        pooled: ``[n, c, h, w]``, the embedding before it is flattened; None where it has no positions.
    """

    embedding: Tensor
    logits: Tensor
    maps: tuple[Tensor, ...] = ()
    convs: tuple[Tensor, ...] = ()
    pooled: Tensor | None = None


class FeatureNet(Protocol):
    """A network that condensation can look into, for example ``ConvNet``."""

    def features(self, x: Tensor, taps: frozenset[Tap] = frozenset()) -> Features:
        """Features of normalised images ``[n, c, h, w]``, with the maps that ``taps`` names."""
        ...


def check_sizes(shape: object, classes: object = 1, **numbers: object) -> None:
    """Raises ValueError for what is no shape of images, no number of classes or no whole number by name."""
    if not isinstance(shape, tuple | list) or len(shape) != 3:
        raise ValueError(f"shape {shape!r}: give (channels, height, width)")
    for side, value in zip(("channels", "height", "width"), shape, strict=True):
        whole(f"{side} of shape {tuple(shape)}", value)
    whole("classes", classes)
    for name, value in numbers.items():
        whole(name, value)


def check_network(network: object, shape: tuple[int, int, int] | None = None) -> None:
    """Raises ValueError for what makes no networks, or makes them for images of another shape."""
    if network is None:
        return
    if not callable(network) or isinstance(network, nn.Module):
        give = "give what makes one for a number of classes, such as MakeConvNet(shape)"
        raise ValueError(f"network {described(network)}: {give}")
    own = getattr(network, "shape", shape)
    if shape is not None and own != shape:
        raise ValueError(f"network for images of shape {own}: give one for these, of shape {shape}")


def features_of(net: nn.Module, x: Tensor, taps: frozenset[Tap] = frozenset()) -> Features:
    """What a ``FeatureNet`` makes of images ``[n, c, h, w]``."""
    return cast(FeatureNet, net).features(x, taps)


def check_taps(network: str, taps: frozenset[Tap], known: tuple[Tap, ...] = ()) -> None:
    """Refuses what a network cannot be asked for.

    Raises:
        ValueError: for a tap that is not among the known ones.
    """
    has = f'only "{known[0]}"' if known else "nor any other"
    for tap in sorted(taps.difference(known)):
        raise ValueError(f'{network} has no tap "{tap}", {has}: an objective on "{tap}" takes ConvNet')


def make_feature_net(network: MakeNetwork, classes: int, device: torch.device) -> nn.Module:
    """A network that objectives can look into, made without touching the global generators.

    Raises:
        ValueError: for one without a ``features`` method.
    """
    with isolated(Purpose.NETWORK, device=device):  # torch's constructors draw weights
        net = network(classes)
        check_kind("what network makes,", net, nn.Module, "a torch.nn.Module with features, such as ConvNet")
        net = net.to(device).train()
    if not hasattr(net, "features"):
        raise ValueError(
            f"{type(net).__name__} has no features method: condensation looks at embeddings and maps, "
            "as ConvNet.features gives them"
        )
    return net


def at_once(net: nn.Module, images: Tensor, *, training: bool = False) -> int:
    """Micro-batch size for images ``[n, c, h, w]``: what fits the CPU's caches; everything on a GPU.

    Twice that where the network trains: a part has costs of its own there, and larger maps the allocator gives
    back and asks for anew every time. Where images of a batch depend on one another it is all of them.
    """
    if images.device.type != "cpu" or across_images(net):
        return len(images)
    return max(8, (32 if training else 16) * 1024 // images[0, 0].numel())


def across_images(net: nn.Module) -> nn.Module | None:
    """A module through which images of a batch depend on one another, or None."""
    return next((m for m in net.modules() if m.training and isinstance(m, _ACROSS_IMAGES)), None)
