"""The consistency ratio of IDM (arXiv:2307.09742, fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

NEIGHBOURS = (1, 2, 5, 10, 20, 50)
_PART = 64  # images whose distances are computed together


def consistency_ratio(
    syn: Tensor,
    targets: Tensor,
    real: Tensor,
    real_targets: Tensor,
    *,
    neighbours: Sequence[int] = NEIGHBOURS,
    rows: Tensor | None = None,
) -> list[float]:
    """Share of the k nearest real images that are of a synthetic image's class, for each k.

    "The ratio of each synthetic sample's real image neighbours that belong to the same class of the synthetic
    sample in the feature space", by k nearest neighbours in L2 norm (IDM, section 5.3 and fig. 4, on CIFAR-100
    with 10 images per class). The paper leaves open which network makes the features (here the report's
    ``Probe``), how samples are put together (here the mean over all of them),
    whether real images are all training images (here yes, up to 50,000), and whether images that hold several
    are taken apart first (here they are).

    Args:
        syn: embeddings ``[n, d]`` of the synthetic images as networks train on them.
        targets: ``[n]``, the position of the class of each.
        real: embeddings ``[m, d]``.
        real_targets: ``[m]``.
        neighbours: values of k, each at least 1; beyond m they count as m.
        rows: ``[n]``, where ``syn`` are real images themselves the place of each in ``real``, so that none is
            its own neighbour: what as many real images reach belongs beside the ratio of condensed ones.

    Returns:
        a ratio from 0 to 1 for each k.
    """
    most = min(max(neighbours), len(real) - (rows is not None))
    right = []
    for part in torch.arange(len(syn), device=syn.device).split(_PART):
        apart = torch.cdist(syn[part], real)
        if rows is not None:
            apart[torch.arange(len(part), device=syn.device), rows[part]] = torch.inf
        nearest = apart.topk(most, largest=False).indices
        right.append(real_targets[nearest] == targets[part, None])
    same = torch.cat(right).double()
    return [float(same[:, : min(k, most)].mean()) for k in neighbours]
