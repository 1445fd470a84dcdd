"""Networks that a queue starts from: a few that were trained before, each going on in a way of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cl_condense.common.rng import Purpose, fold, uniform
from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.condensation.sources.pool import TrainedPool
from cl_condense.condensation.sources.pooled import Pooled


class Pretrained:
    """A pool at work for a queue: what its pushed networks are copies of, and how each trains on.

    What is drawn for a pushed network depends on the seed and its number alone.
    """

    def __init__(self, pool: TrainedPool, subset: float, context: SourceContext) -> None:
        self._pool, self._seed = Pooled(pool, context, blended=False), context.seed
        self._classes = len(context.real.class_ids)
        self._some = min(self._classes, max(2, math.ceil(subset * self._classes)))
        self.prepare, self.state, self.restore = self._pool.prepare, self._pool.state, self._pool.restore

    def drawn(self, number: int) -> nn.Module:
        """What a pushed network is a copy of."""
        return self._pool.members[fold(Purpose.QUEUE, self._seed, number, 0) % len(self._pool.members)]

    def rate(self, number: int) -> float:
        """What its learning rate is multiplied by: 0.9 to 1.1."""
        return 0.9 + 0.2 * float(uniform(Purpose.QUEUE, self._seed, number, 1))

    def rows(self, number: int) -> Tensor:
        """Positions ``[k]``, on the host and ascending, of the classes that it goes on with."""
        drawn = uniform(Purpose.QUEUE, self._seed, number, 2, torch.arange(self._classes))
        return drawn.argsort()[: self._some].sort().values
