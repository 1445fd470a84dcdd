"""Class means, and further moments of each dimension, in embedding space and of each block's maps."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_condense.condensation.objectives.gaps import block_gaps, squares
from cl_condense.condensation.view import Statistic, View, reading

MEAN_MAPS = Statistic("maps", lambda maps: maps.mean(1, dtype=torch.promote_types(maps.dtype, torch.float32)))


def mean_matching(real: View, syn: View) -> Tensor:
    """Squared distance of the class means in embedding space, summed over classes and dimensions.

    DM, arXiv:2110.04181; DDM, eq. 3. As in DM's code a plain sum: lr 1.0 belongs to that scale.
    """
    return squares(real.embedding.mean(1), syn.embedding.mean(1)).sum()


def second_moments(real: View, syn: View) -> Tensor:
    """Squared distance of the class variances of each embedding dimension, summed over classes and dimensions.

    The second-order regulariser of M3D's table 1 (arXiv:2312.15927); the paper gives neither its formula nor
    its weight. Biased variances, so that one image per class has one: zero.
    """
    return squares(_central(real.embedding, 2), _central(syn.embedding, 2)).sum()


def third_moments(real: View, syn: View) -> Tensor:
    """The same for third central moments, which two images do not have: its third-order regulariser."""
    return squares(_central(real.embedding, 3), _central(syn.embedding, 3)).sum()


@reading(MEAN_MAPS)
def layer_matching(real: View, syn: View) -> Tensor:
    """Squared distance of the class means of each block's maps after ReLU, summed over classes and positions.

    CAFE's layer-wise alignment (arXiv:2203.01531) with the weights of the authors' code: 1 for the network's
    last block and 0.1 for those before it. Its last layer, the embedding, is matched by ``mean_matching``.
    """
    gaps, last = block_gaps(real.blocks(MEAN_MAPS), syn.blocks(MEAN_MAPS)), real.last_of(MEAN_MAPS)
    every = 0.1 * gaps.sum()
    return every if last is None else every + 0.9 * gaps[last]


def _central(e: Tensor, order: int) -> Tensor:
    return (e - e.mean(1, keepdim=True)).pow(order).mean(1)
