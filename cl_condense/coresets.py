"""Methods that keep real images: the coresets that condensation is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cl_condense.condensed import CondensedSet
from cl_condense.draws import Purpose
from cl_condense.engine import OnStep, Progress, as_condensed, check_ipc
from cl_condense.evaluate import Training, train
from cl_condense.imageset import ImageSet
from cl_condense.networks import Initialiser, MakeNet, make_feature_net

Embed = Callable[[], Tensor]
"""Trains a network and gives the embedding ``[n, d]`` of every image."""

Select = Callable[[ImageSet, int, int, Embed], Tensor]
"""(real, ipc, seed, embed) -> indices ``[k, ipc]``, best first."""


@dataclass(frozen=True)
class Coreset:
    """A selection of real images as a method.

    Attributes:
        iterations: training steps of the network whose embeddings are looked at; 0 where none is needed.
    """

    name: str
    select: Select
    iterations: int = 0

    def settings(self) -> dict[str, Any]:
        return {"name": self.name, "iterations": self.iterations}

    def __call__(
        self, real: ImageSet, *, ipc: int, make_net: MakeNet, seed: int = 0, on_step: OnStep | None = None
    ) -> CondensedSet:
        check_ipc(ipc, real)
        index = self.select(real, ipc, seed, lambda: self._embedding(real, make_net, seed, on_step))
        return as_condensed(real, real.take(index), self.settings(), seed)

    def _embedding(self, real: ImageSet, make_net: MakeNet, seed: int, on_step: OnStep | None) -> Tensor:
        net = make_feature_net(make_net, len(real.class_ids), real.device)
        Initialiser(net)(Purpose.SELECT, seed)
        images = real.take(torch.arange(len(real), device=real.device))
        targets = torch.searchsorted(torch.tensor(real.class_ids, device=real.device), real.labels)
        steps = -(-len(real) // 256)
        epochs = -(-self.iterations // steps)

        def report(epoch: int, _: int) -> None:
            if on_step:
                on_step(Progress(min(epoch * steps, self.iterations), self.iterations))

        training = Training(epochs=epochs, augment=None)
        train([net], images, targets, training, keys=(Purpose.SELECT, seed), on_epoch=report)
        with torch.no_grad():
            net.eval()
            return torch.cat([net.features(part).embedding for part in images.split(256)])  # type: ignore[operator]


def random(real: ImageSet, ipc: int, seed: int, embed: Embed) -> Tensor:
    """Images drawn from each class uniformly, or in proportion to weights where there are any; none twice."""
    return real.draw(ipc, Purpose.SELECT, seed, distinct=True)


def herding(real: ImageSet, ipc: int, seed: int, embed: Embed) -> Tensor:
    """Images whose running mean embedding follows that of the class (iCaRL, arXiv:1611.07725, algorithm 4).

    Greedy, without replacement: the next image minimises |(j + 1) mu - S_j - x|, S_j the sum of those chosen.
    Embeddings come from a network trained on these classes for ``iterations`` steps of 256 images without
    augmentation; IDC's code does the same with a network trained on all data.
    """
    chosen = []
    for part, start in _by_class(real, embed()):
        weights = torch.ones(len(part), device=part.device)
        if real.weights is not None:
            weights = real.weights[start : start + len(part)]
        mean = (weights[:, None] * part).sum(0) / weights.sum()
        free = torch.zeros(len(part), device=part.device)
        total, picks = torch.zeros_like(mean), []
        for j in range(ipc):
            pick = ((mean * (j + 1) - total - part).square().sum(1) + free).argmin()
            free[pick] = torch.inf
            total = total + part[pick]
            picks.append(pick)
        chosen.append(torch.stack(picks) + start)
    return torch.stack(chosen)


def _by_class(real: ImageSet, values: Tensor) -> list[tuple[Tensor, int]]:
    starts = [sum(real.counts[:i]) for i in range(len(real.counts))]
    return list(zip(values.split(real.counts), starts, strict=True))
