"""GDumb's trainer: from scratch after every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from cl_condense.training.protocol import Training


@dataclass(frozen=True)
class GDumb:
    """Fresh networks after every step, as the condensation papers evaluate memories (Prabhu et al., ECCV 2020).

    They have an output for every class of the stream, in the order of the class ids.
    """

    goes_on: bool = False

    def training(self, usual: Training, strategy: str) -> Training:
        return usual

    def outputs(self, known: Sequence[int], seen: Sequence[int]) -> tuple[int, ...]:
        return tuple(known)

    def begin(self, net: nn.Module, before: nn.Module) -> None:
        return None
