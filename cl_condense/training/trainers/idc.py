"""IDC's trainer: networks go on from step to step, and remember what they answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import nn

from cl_condense.training.protocol import Training, mixed_training


@dataclass(frozen=True)
class IDC:
    """IDC's class-incremental training (Kim et al., ICML 2022, fig. 7; continual-learning/ of their code).

    A step's networks begin with the weights of the step before. The classifier grows: the rows of old classes
    are kept, new ones are drawn as a constructor draws them. Every image is augmented, half of the mini-batches
    are mixed (``mixed_training``), the rate falls to a fifth after 60 and 80 % of the epochs. From the second
    step on the networks of the step before are teachers (``distillation``).

    Their code has SGD with 1000 epochs in batches of 64; ``training`` takes the evaluation's epochs.
    """

    goes_on: bool = True

    def training(self, usual: Training, strategy: str) -> Training:
        falls = (Fraction(3, 5), Fraction(4, 5))
        own = replace(mixed_training(usual.epochs, strategy), milestones=falls)
        return replace(own, precision=usual.precision, compiled=usual.compiled)

    def outputs(self, known: Sequence[int], seen: Sequence[int]) -> tuple[int, ...]:
        return tuple(seen)

    @torch.no_grad()
    def begin(self, net: nn.Module, before: nn.Module) -> nn.Module:
        own = net.state_dict()
        for name, value in before.state_dict().items():
            # The rows of old classes come first; all else has its shape.
            (own[name][: len(value)] if value.ndim else own[name]).copy_(value)
        return before.eval().requires_grad_(False)
