"""What networks are to answer as their teachers do."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def distillation(logits: Tensor, theirs: Tensor, temperature: float) -> Tensor:
    """Distance of networks' answers for old classes from their teachers', summed over networks.

    ``T^2 * KL(softmax(theirs / T) || softmax(own / T))``, a mean over images, where ``own`` are the logits of
    the old classes alone (Hinton et al., arXiv:1503.02531; IDC's class-incremental code, whose mean over
    elements times the number of old classes is this).

    Args:
        logits: of the networks, ``[r, m, classes]``, old classes first.
        theirs: of their teachers for the same images, ``[r, m, old]``.
        temperature: T.
    """
    own = F.log_softmax(logits[..., : theirs.shape[-1]] / temperature, -1)
    kl = F.kl_div(own, F.log_softmax(theirs / temperature, -1), reduction="none", log_target=True)
    return temperature**2 * kl.sum(-1).mean(1).sum()
