"""Squared distances of what is seen of real and of synthetic images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def squares(real: Tensor, syn: Tensor) -> Tensor:
    """(real - syn)^2 of each number: one operation, and one backwards; a difference and a power are six."""
    return F.mse_loss(syn, real, reduction="none")


def block_gaps(real: Sequence[Tensor], syn: Sequence[Tensor], *, averaged: bool = False) -> Tensor:
    """``[blocks]``: the sum of the squares of each block, or of their means over the last dimension.

    Blocks of one shape are taken together, in a few operations whatever their number.
    """
    alike = all(x.shape == real[0].shape for x in real)
    both = [torch.stack([*real])] if alike else [x[None] for x in real]
    found = []
    for r, s in zip(both, [torch.stack([*syn])] if alike else [x[None] for x in syn], strict=True):
        gaps = squares(r, s)
        found.append((gaps.mean(-1) if averaged else gaps).flatten(1).sum(1))
    return found[0] if alike else torch.cat(found)
