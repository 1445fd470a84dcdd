"""Mixing the images of a mini-batch with one another, for many networks at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_condense.common.rng import Key, Purpose, permutation, uniform


def cutmix(
    x: Tensor, probability: float, *keys: Key, rows: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """CutMix: pastes a box of another image over each image (Yun et al., ICCV 2019, arXiv:1905.04899).

    A row of x is the mini-batch of one network. With the given probability its images take the pixels of one
    box from their partners, a random order of the same images. The box has ``sqrt(1 - lambda)`` of the
    image's sides with lambda ~ U(0, 1), which is the paper's Beta(1, 1); its centre is uniform over the pixels
    and the borders cut it off. As in the authors' code a side is a whole number of pixels and half of it,
    rounded down, lies on either side of the centre. What a row draws depends on the keys and its number alone,
    and nothing waits for the device.

    The loss is ``share * CE(y) + (1 - share) * CE(y[partner])``, with the share of pixels that are left after
    the borders have cut the box, as in IDC's code, and not with lambda.

    Args:
        x: ``[r, m, c, h, w]``.
        probability: of a row to be mixed.
        keys: what is drawn from: integers, or ``[r, 1]``, one for each row.
        rows: numbers of the rows, ``[r, 1]``; None: 0 to r - 1.

    Returns:
        the images, like x; the partner of each, int64 ``[r, m]``; the share of pixels that are an image's own,
        ``[r]`` of x's type: 1 for rows that are not mixed.
    """
    r, m, _, *sides = x.shape
    place, number = torch.arange(r, device=x.device)[:, None], torch.arange(4, device=x.device)
    rows = place if rows is None else rows
    partner = permutation(m, Purpose.MIX, *keys, 0, rows, device=x.device)
    coin, lam, *centre = uniform(Purpose.MIX, *keys, 1, rows, number)[..., None].unbind(1)
    inside = []
    for size, u in zip(sides, centre, strict=True):
        half = ((1 - lam).sqrt() * size).floor() // 2
        offset = torch.arange(size, device=x.device) - (u * size).floor()
        inside.append((offset >= -half) & (offset < half))
    box = (inside[0] & (coin < probability))[:, :, None] & inside[1][:, None, :]
    mixed = torch.where(box[:, None, None], x[place, partner], x)
    return mixed, partner, 1 - box.to(x.dtype).mean((1, 2))


Mixed = tuple[Tensor, Tensor]
"""Labels of what is mixed in, as of a mini-batch, and the share of pixels that are an image's own, ``[r]``."""


def mixed_loss(logits: Tensor, y: Tensor, mixed: Mixed | None) -> Tensor:
    """Mean cross-entropy of each network's images, summed over networks."""
    if mixed is None:
        # A mean over all would divide every network's gradient by their number.
        return F.cross_entropy(logits.flatten(0, 1), y.flatten(0, 1)) * len(logits)
    (other, share), each = mixed, logits.transpose(1, 2)
    targets = (y, other) if y.ndim == 2 else (y.transpose(1, 2), other.transpose(1, 2))
    own, others = (F.cross_entropy(each, t, reduction="none").mean(1) for t in targets)
    return (share * own + (1 - share) * others).sum()
