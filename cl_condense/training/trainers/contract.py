"""What a trainer decides, and the job that its networks get after a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from cl_condense.networks.contract import MakeNetwork
from cl_condense.training.evaluate import fresh_networks, places
from cl_condense.training.protocol import Training
from cl_condense.training.train import TrainJob

DEFAULT = "gdumb"
"""The trainer where nothing is said."""


class Trainer(Protocol):
    """How networks are trained on a memory after each step of a stream; on the memory alone."""

    @property
    def goes_on(self) -> bool:
        """Whether a step's training begins with the networks of the step before."""

    def training(self, usual: Training, strategy: str) -> Training:
        """The protocol, from that of the evaluation and the words of the data set's augmentation."""

    def outputs(self, known: Sequence[int], seen: Sequence[int]) -> tuple[int, ...]:
        """The class of each output: of all classes of the stream, and those so far in order of arrival."""

    def begin(self, net: nn.Module, before: nn.Module) -> nn.Module | None:
        """Prepares a fresh network by that of the step before; returns a frozen teacher, or None."""


def lesson(
    trainer: Trainer,
    images: Tensor,
    labels: Tensor,
    outputs: Sequence[int],
    *,
    make: MakeNetwork,
    networks: int,
    keys: tuple[int, ...],
    before: Sequence[nn.Module] = (),
) -> TrainJob:
    """Networks for a memory and what they are to learn from it.

    Args:
        trainer: decides what they begin with.
        images: the memory ``[n, c, h, w]``, decoded, where the networks are to be.
        labels: ``[n]`` int64, class ids.
        outputs: the class of each output, see ``Trainer.outputs``.
        make: makes a network from a number of outputs.
        networks: how many.
        keys: what their weights are drawn from, with the number of each.
        before: as many, as the step before left them; none at the first step.
    """
    nets = fresh_networks(lambda: make(len(outputs)), networks, keys=keys, device=images.device)
    teachers = [trainer.begin(net, old) for net, old in zip(nets, before, strict=True)] if before else []
    targets = places(labels.to(images.device), outputs)
    return TrainJob(nets, images, targets, keys, teachers=[each for each in teachers if each is not None])
