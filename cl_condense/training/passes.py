"""Passes of images through networks that train or are tested: compiled, in parts, in reduced precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from cl_condense.networks.convnet import ConvNet
from cl_condense.training.compiling import compiled_logits, plain_logits
from cl_condense.training.distillation import distillation
from cl_condense.training.protocol import Training

Forward = Callable[[nn.Module, Tensor], Tensor]
"""Logits ``[n, classes]`` of a network for images ``[n, c, h, w]``."""


def forward_of(nets: Sequence[nn.Module], compiled: bool) -> Forward:
    """How logits of networks are computed: through torch.compile where it is wanted and all are ConvNets."""
    return compiled_logits() if compiled and all(type(net) is ConvNet for net in nets) else plain_logits


def parts(x: Tensor, most: int) -> Iterator[tuple[slice, Tensor]]:
    """Images ``[m, c, h, w]`` in parts of one size, for which a compiled network has one form.

    The last part, if it is short, is filled up with the first images, whose logits are to be cut off.
    """
    size = -(-len(x) // -(-len(x) // most))
    for start in range(0, len(x), size):
        part = x[start : start + size]
        short = size - len(part)
        yield slice(start, start + len(part)), torch.cat([part, x[:short]]) if short else part


def logits_of(net: Callable[[Tensor], Tensor], x: Tensor, training: Training) -> Tensor:
    """Logits of images, in float32, computed at the protocol's precision."""
    if training.precision == "float32":
        return net(x)
    with torch.autocast(x.device.type, torch.bfloat16):
        return net(x).float()


def taught(logits: Tensor, teachers: Callable[[Tensor], Tensor], x: Tensor, training: Training) -> Tensor:
    """The distillation loss of logits ``[r, m, classes]``; of the images some may be filling at the end."""
    with torch.no_grad():
        theirs = logits_of(teachers, x, training)
    theirs = theirs.view(len(logits), -1, theirs.shape[-1])[:, : logits.shape[1]]
    return distillation(logits, theirs, training.temperature)
