"""DataDAM's spatial attention (arXiv:2310.00093)."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_condense.condensation.objectives.gaps import squares
from cl_condense.condensation.view import Statistic, View, reading


def _attention(maps: Tensor, power: int) -> Tensor:
    """Class means ``[k, h * w]``; the maps ``[k, m, c, h, w]`` are not negative."""
    maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
    return F.normalize(maps.pow(power).sum(2).flatten(2), dim=2).mean(1)


ATTENTION = Statistic("maps", functools.partial(_attention, power=4))
PLAIN_ATTENTION = Statistic("maps", functools.partial(_attention, power=1))


@reading(ATTENTION)
def attention_matching(real: View, syn: View) -> Tensor:
    """Squared distance of the class-mean attention maps of all blocks but the last (DataDAM).

    An image's attention is the sum over channels of |map|^4 after ReLU, flattened and divided by its L2 norm.
    Summed over classes, blocks and positions. The exponent 4 is the paper's; its code has 1:
    ``plain_attention_matching``.

    Raises:
        ValueError: where the network's last block alone is read, of several.
    """
    return _gap(real, syn, ATTENTION)


@reading(PLAIN_ATTENTION)
def plain_attention_matching(real: View, syn: View) -> Tensor:
    """The same with exponent 1, as in the authors' code."""
    return _gap(real, syn, PLAIN_ATTENTION)


def _gap(real: View, syn: View, attention: Statistic) -> Tensor:
    last, pairs = real.last_of(attention), zip(real.blocks(attention), syn.blocks(attention), strict=True)
    gaps = [squares(r, s).sum() for place, (r, s) in enumerate(pairs) if place != last]
    if not gaps and real.chooses:
        raise ValueError("attention is of all blocks but the last: choose one before it, such as blocks=1")
    # a network of one block has no earlier ones
    return torch.stack(gaps).sum() if gaps else real.embedding.new_zeros(())
