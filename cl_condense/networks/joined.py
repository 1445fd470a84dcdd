"""Several ConvNets run side by side as one network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cl_condense.networks.convnet import PUBLISHED, ConvNet, halve


def joinable(nets: Sequence[nn.Module], x: Tensor) -> bool:
    """Whether networks run faster joined into one, ``forward_joined``, than one after another.

    So do ConvNets of the default variant where operations are small against their launch: for images of at most
    16 pixels on a CPU, and on a GPU.
    """
    small = x.is_cuda or x.shape[-1] * x.shape[-2] <= 16 * 16
    # A subclass may have a forward of its own.
    return len(nets) > 1 and small and all(type(net) is ConvNet and net.variant == PUBLISHED for net in nets)


class Layer(NamedTuple):
    """Weight and bias of a layer of all networks, one after the other."""

    weight: Tensor
    bias: Tensor


class SideBySide(NamedTuple):
    """The parameters of r ConvNets as those of one.

    Attributes:
        convs, norms: of each block, with r times as many channels.
        classifier: ``[r, classes, d]`` and ``[r, classes]``.
        padding: of the first convolution.
    """

    convs: tuple[Layer, ...]
    norms: tuple[Layer, ...]
    classifier: Layer
    padding: int


Forward = Callable[[Tensor, SideBySide], Tensor]
"""Logits ``[r, m, classes]`` of images ``[r, m, c, h, w]``."""


def forward(x: Tensor, nets: SideBySide) -> Tensor:
    """As a ``Forward``; a function of tensors alone, which can be compiled once for all networks."""
    r, m = x.shape[:2]
    x = x.transpose(0, 1).flatten(1, 2)
    for i, (conv, norm) in enumerate(zip(nets.convs, nets.norms, strict=True)):
        x = F.conv2d(x, *conv, padding=1 if i else nets.padding, groups=r)
        x = F.group_norm(x, x.shape[1], *norm)
        x = halve(F.relu(x, inplace=True))
    embedding = x.reshape(m, r, -1).transpose(0, 1)
    return torch.baddbmm(nets.classifier.bias[:, None], embedding, nets.classifier.weight.transpose(1, 2))


def forward_joined(networks: Sequence[nn.Module], x: Tensor, through: Forward = forward) -> Tensor:
    """Logits ``[r, m, classes]`` of r ConvNets of one architecture, each on its own images ``x[r]``.

    Gradients reach each network as if it had been run alone: their convolutions are groups of one.
    ``through`` is ``forward``, or its compiled form.
    """
    return through(x, _side_by_side(cast("Sequence[ConvNet]", networks)))


def _side_by_side(nets: Sequence[ConvNet]) -> SideBySide:
    def layers(kind: str) -> tuple[Layer, ...]:
        own = [getattr(net, kind) for net in nets]
        return tuple(
            Layer(torch.cat([layer.weight for layer in of_all]), torch.cat([layer.bias for layer in of_all]))
            for of_all in zip(*own, strict=True)
        )

    weights, biases = zip(*((net.classifier.weight, net.classifier.bias) for net in nets), strict=True)
    classifier = Layer(torch.stack(weights), torch.stack(biases))
    return SideBySide(layers("convs"), layers("norms"), classifier, nets[0].padding)
