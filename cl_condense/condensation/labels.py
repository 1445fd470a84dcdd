"""Labels that are learned beside the images: probabilities of all classes for each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cl_condense.common.checkpoint import State
from cl_condense.common.numbers import finite
from cl_condense.condensation.paper_settings import Tuned, settled_number


@dataclass(frozen=True)
class LearnedLabels:
    """The softmax of numbers that SGD moves beside the pixels, and that start alike for a class.

    Attributes:
        lr, momentum: of SGD on the numbers.
        certainty: what an image's label gives its own class at first; the others share the rest.

    Raises:
        ValueError: for numbers out of their range.
    """

    lr: float | Tuned = 1.0
    momentum: float = 0.9
    certainty: float = 0.9

    def __post_init__(self) -> None:
        if not isinstance(self.lr, Tuned):
            object.__setattr__(self, "lr", finite("labels.lr", self.lr, above=0))
        object.__setattr__(self, "momentum", finite("labels.momentum", self.momentum, at_least=0, below=1))
        object.__setattr__(self, "certainty", finite("certainty", self.certainty, above=0, below=1))

    def start(self, classes: int, ipc: int, device: torch.device) -> Tensor:
        """First numbers ``[k, ipc, k]``."""
        own = math.log(self.certainty * max(1, classes - 1) / (1 - self.certainty))
        return own * torch.eye(classes, device=device)[:, None].repeat(1, ipc, 1)


class LabelStep:
    """One optimiser step on the numbers ``[k, ipc, classes]`` behind learned labels, from ``gradient``."""

    def __init__(self, labels: LearnedLabels, numbers: Tensor) -> None:
        self.numbers = numbers
        self.gradient = numbers.grad = torch.zeros_like(numbers)
        self._lr = settled_number(labels.lr)
        self._sgd = torch.optim.SGD([numbers], self._lr, labels.momentum, fused=numbers.is_cuda)

    def __call__(self, rate: float) -> None:
        """Takes it, at ``rate`` times the rate of the labels."""
        self._sgd.param_groups[0]["lr"] = self._lr * rate
        self._sgd.step()

    def state(self) -> State:
        buffer = self._sgd.state[self.numbers].get("momentum_buffer")
        return {"labels": self.numbers} | ({} if buffer is None else {"labels_momentum": buffer})

    def restore(self, state: State) -> None:
        self.numbers.copy_(state["labels"])
        if "labels_momentum" in state:
            buffer = state["labels_momentum"].to(self.numbers, copy=True)
            self._sgd.state[self.numbers]["momentum_buffer"] = buffer


def probabilities(numbers: Tensor, factor: int) -> Tensor:
    """Labels ``[k, ipc * factor^2, classes]`` of the images that stored ones decode to."""
    return numbers.softmax(-1).repeat(1, factor**2, 1)


def check_classes(class_ids: tuple[int, ...]) -> None:
    """Raises ValueError for classes whose learned labels a set could not say.

    A set's soft labels are probabilities of the classes 0, 1, ...
    """
    if class_ids != tuple(range(len(class_ids))):
        absent = next(i for i, c in enumerate((*class_ids, -1)) if i != c)
        raise ValueError(
            f"learned labels are of classes 0, 1, ... and the data have no class {absent}: give all classes, "
            "or labels from 0, or a method with hard labels, such as frepo"
        )
