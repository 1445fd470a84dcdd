"""Mixing the images of a mini-batch with one another, for many networks at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_condense.common.rng import Key, Purpose, permutation, uniform


class Cut(NamedTuple):
    """What CutMix draws for the mini-batches of networks.

    Attributes:
        partner: of each image the one whose pixels it takes, int64 ``[..., r, m]``.
        box: where it does, bool ``[..., r, h, w]``; nowhere in rows that are not mixed.
        share: of the pixels that are an image's own, float ``[..., r]``.
    """

    partner: Tensor
    box: Tensor
    share: Tensor


def cuts(m: int, like: Tensor, probability: float, *keys: Key, rows: Tensor) -> Cut:
    """What CutMix draws (Yun et al., ICCV 2019, arXiv:1905.04899) for mini-batches of m images.

    A row is the mini-batch of one network. With the given probability its images take the pixels of one
    box from their partners, a random order of the same images. The box has ``sqrt(1 - lambda)`` of the
    image's sides with lambda ~ U(0, 1), which is the paper's Beta(1, 1); its centre is uniform over the pixels
    and the borders cut it off. As in the authors' code a side is a whole number of pixels and half of it,
    rounded down, lies on either side of the centre. What a row draws depends on the keys and its number alone,
    and nothing waits for the device.

    The share is that of the pixels that are left after the borders have cut the box, as in IDC's code, and not
    lambda.

    Args:
        m: images of a mini-batch.
        like: an image ``[..., h, w]``, of the type and on the device of the images.
        probability: of a row to be mixed.
        keys: what is drawn from: integers, or ``[..., r, 1]``, one for each row.
        rows: numbers of the rows, ``[r, 1]``.
    """
    number = torch.arange(4, device=like.device)
    partner = permutation(m, Purpose.MIX, *keys, 0, rows, device=like.device)
    coin, lam, *centre = uniform(Purpose.MIX, *keys, 1, rows, number)[..., None].unbind(-2)
    inside = []
    for size, u in zip(like.shape[-2:], centre, strict=True):
        half = ((1 - lam).sqrt() * size).floor() // 2
        offset = torch.arange(size, device=like.device) - (u * size).floor()
        inside.append((offset >= -half) & (offset < half))
    box = (inside[0] & (coin < probability))[..., None] & inside[1][..., None, :]
    return Cut(partner, box, 1 - box.to(like.dtype).mean((-2, -1)))


def cutmix(x: Tensor, cut: Cut) -> Tensor:
    """Images ``[r, m, c, h, w]`` with a box of their partners' pixels in each.

    The loss is ``share * CE(y) + (1 - share) * CE(y[partner])``.
    """
    place = torch.arange(len(x), device=x.device)[:, None]
    return torch.where(cut.box[:, None, None], x[place, cut.partner], x)


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
