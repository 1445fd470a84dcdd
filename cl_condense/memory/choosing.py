"""The share of real images in a hybrid memory, chosen on held-out training images of the first classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from cl_condense.common.foreign import shown
from cl_condense.common.kinds import check_kind, check_parts
from cl_condense.common.numbers import finite, whole
from cl_condense.common.plain import Json
from cl_condense.data.held_out import split
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.budgets import Budget
from cl_condense.networks.contract import MakeNetwork
from cl_condense.training.evaluate import score
from cl_condense.training.protocol import Training

_MOST = 200
"""Images of a class that are held out, at most; there are as many in the held-out comparisons of benchmarks."""

Made = Callable[[float, ImageSet], tuple[Tensor, Tensor]]
"""Images and class ids of a memory with a share of real images, made of some images."""


@dataclass(frozen=True)
class ShareChoice:
    """Tries shares of real images, and takes that with the best accuracy on images which no memory has seen.

    A memory is made for each share of a part of the first experience, networks are trained on it, and tested on
    other images of the experience; never on test images. Then the memory is made of all of them. Shares that
    give as many images to each part are tried once, and of equal ones the first is taken.

    Attributes:
        network: makes the networks that are trained.
        training: how.
        networks: how many on each memory.
        shares: that are tried.
        held: share of the images that is held out: of each class as many, of the smallest class this share, at
            most 200.
        classes: that the stream will have shown in the end, of which each part is to hold an image; None: those
            of the first experience.

    Raises:
        ValueError: for shares that are none, and numbers out of range.
    """

    network: MakeNetwork
    training: Training
    networks: int = 3
    shares: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    held: float = 0.2
    classes: int | None = None

    def __post_init__(self) -> None:
        check_kind("training", self.training, Training, "a Training, such as Training(epochs=100)")
        check_parts("shares", self.shares, float | int, "shares, such as (0.3, 0.5)")
        for share in self.shares:
            finite("share", share, above=0, below=1)
        finite("held", self.held, above=0, below=1)
        whole("networks", self.networks)
        if self.classes is not None:
            whole("classes", self.classes)

    def __call__(self, real: ImageSet, budget: Budget, codec: str, make: Made, keys: tuple[int, ...]) -> Json:
        """The share, and what was tried: the accuracies of each, and how many images a class were held out.

        Raises:
            ValueError: for less than two classes, or two images of each, and where no share leaves each part
                an image of every class.
        """
        if len(real.class_ids) < 2:
            raise ValueError(
                "a share is chosen by telling classes apart: show 2 or more at first, or give a share"
            )
        fewest = min(real.counts)
        if fewest < 2:
            raise ValueError(f"a share is chosen on held-out images, and a class has {fewest}: give a share")
        held = min(_MOST, max(1, round(self.held * fewest)))
        fit, test = split(real, fewest - held, held)
        tried: list[tuple[float, list[float]]] = []
        for share in self._differing(real, budget, codec):
            images, ids = make(share, fit)
            how: Json = {"network": self.network, "training": self.training, "networks": self.networks}
            found = score(images.to(test.device), ids, test, **how, keys=keys)
            tried.append((share, found.double().tolist()))
        best, _ = max(tried, key=lambda each: sum(each[1]))
        rows = [{"share": share, "accuracies": accuracies} for share, accuracies in tried]
        return {"share": best, "held_out": held, "tried": rows}

    def _differing(self, real: ImageSet, budget: Budget, codec: str) -> list[float]:
        """The shares that part the budget differently, and leave each part an image of every class."""
        classes, found = max(self.classes or 0, len(real.class_ids)), dict[int, float]()
        for share in self.shares:
            parts = budget.parted(share)
            if min(part.images(classes, codec, real.shape) for part in parts) >= classes:
                found.setdefault(parts[1].amount, share)
        if not found:
            raise ValueError(
                f"shares {shown(self.shares)}: none leaves each part of the memory an image of all {classes} "
                "classes: give a larger budget, or a share"
            )
        return [*found.values()]
