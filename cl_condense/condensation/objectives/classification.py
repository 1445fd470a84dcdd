"""Terms that ask for images a classifier can tell apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_condense.condensation.view import View


def class_aware_regularisation(real: View, syn: View) -> Tensor:
    """Mean cross-entropy of each class's synthetic images, times the network's accuracy (IDM, eq. 4).

    Summed over classes. The accuracy is in percent, 0 to 100, as in the authors' code: the published weights
    belong to that scale.
    """
    if syn.accuracy is None:
        raise ValueError("class-aware regularisation weighs by a network's accuracy: give it a ModelQueue")
    targets = syn.targets[:, None].expand(syn.logits.shape[:2])
    losses = F.cross_entropy(syn.logits.transpose(1, 2), targets, reduction="none")
    return 100 * syn.accuracy * losses.mean(1).sum()


def trained_classification(real: View, syn: View) -> Tensor:
    """Mean cross-entropy of each class's synthetic images under the trained end of the network (DANCE).

    Summed over classes; the networks are those of a ``BlendedPool``.
    """
    logits = syn.of_trained.logits
    targets = syn.targets[:, None].expand(logits.shape[:2])
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(1).sum()


def discrimination(real: View, syn: View) -> Tensor:
    """Cross-entropy of real images classified by the synthetic class means (CAFE, arXiv:2203.01531).

    The logits of a real image are its inner products with the mean synthetic embedding of every class in the
    view; averaged over the images of a class and summed over classes. The authors' code sums over 256 images of
    each.
    """
    centres = syn.embedding.mean(1)
    logits = real.embedding @ centres.T
    targets = torch.arange(len(centres), device=logits.device)[:, None].expand(logits.shape[:2])
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(1).sum()
