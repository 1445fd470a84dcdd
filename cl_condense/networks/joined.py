"""Several ConvNets run side by side as one network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cl_condense.networks.convnet import PUBLISHED, ConvNet, halve


def joinable(nets: Sequence[nn.Module], x: Tensor) -> bool:
    """Whether networks run faster joined into one, ``forward_joined``, than one after another.

    So do ConvNets of the default variant where operations are small against their launch: for images of at most
    16 pixels on a CPU, and on a GPU (not measured there).
    """
    small = x.is_cuda or x.shape[-1] * x.shape[-2] <= 16 * 16
    # A subclass may have a forward of its own.
    return len(nets) > 1 and small and all(type(net) is ConvNet and net.variant == PUBLISHED for net in nets)


def forward_joined(networks: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Logits ``[r, m, classes]`` of r ConvNets of one architecture, each on its own images ``x[r]``.

    Gradients reach each network as if it had been run alone: their convolutions are groups of one.
    """
    nets = cast("Sequence[ConvNet]", networks)
    r, m = x.shape[:2]
    x = x.transpose(0, 1).flatten(1, 2)

    def joined(kind: str, i: int, what: str) -> Tensor:
        return torch.cat([getattr(getattr(net, kind)[i], what) for net in nets])

    for i in range(len(nets[0].convs)):
        padding = 1 if i else nets[0].padding
        x = F.conv2d(x, joined("convs", i, "weight"), joined("convs", i, "bias"), padding=padding, groups=r)
        x = F.group_norm(x, x.shape[1], joined("norms", i, "weight"), joined("norms", i, "bias"))
        x = halve(F.relu(x, inplace=True))
    embedding = x.reshape(m, r, -1).transpose(0, 1)
    weight = torch.stack([net.classifier.weight for net in nets])
    bias = torch.stack([net.classifier.bias for net in nets])
    return torch.baddbmm(bias[:, None], embedding, weight.transpose(1, 2))
