"""Networks that go on from experience to experience, as a trainer takes them."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from cl_condense.training.evaluate import places
from cl_condense.training.train import TrainJob


class Outputs(nn.Module):
    """Some outputs of a network, in an order: those of the labels that a stream has shown."""

    def __init__(self, net: nn.Module, labels: Sequence[int]) -> None:
        super().__init__()
        self.net, self.labels = net, [*labels]

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[n, labels]``."""
        logits: Tensor = self.net(x)
        return logits[:, self.labels]


def going_on(
    nets: Sequence[nn.Module],
    images: Tensor,
    labels: Tensor,
    *,
    before: Sequence[int],
    seen: Sequence[int],
    keys: tuple[int, ...],
) -> TrainJob:
    """What networks are to learn that know the labels ``before``, of the memory of the labels ``seen``.

    They are their own teachers, as they are now. Both are labels in order of arrival.
    """
    teachers = [Outputs(copy.deepcopy(net).eval().requires_grad_(False), before) for net in nets if before]
    own = [Outputs(net, seen) for net in nets]
    return TrainJob(own, images, places(labels, seen), keys, teachers=teachers)


def arrived(labels: Sequence[int]) -> tuple[int, ...]:
    """Each label once, in order of arrival."""
    return tuple(dict.fromkeys(labels))
