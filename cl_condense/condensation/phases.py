"""A noisy start and a quiet end: the stretches of a condensation, each with its real images and its rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cl_condense.common.numbers import check_whole, finite
from cl_condense.condensation.paper_settings import Tuned


@dataclass(frozen=True)
class Quiet:
    """The last iterations of a condensation, with less noise: a lower rate and more real images.

    Attributes:
        share: of the iterations, above 0 and below 1, rounded to whole iterations.
        rate: what the learning rate is multiplied by, above 0 and at most 1.
        real_per_class: real images in a step there, or all of a class that has fewer.

    Raises:
        ValueError: for a number out of its range.
    """

    share: float
    rate: float
    real_per_class: int | Tuned

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", finite("share of the quiet end", self.share, above=0, below=1))
        object.__setattr__(self, "rate", finite("rate of the quiet end", self.rate, above=0, at_most=1))
        check_whole(self, "real_per_class")

    def start(self, iterations: int) -> int:
        """The first of its iterations, from 0."""
        return iterations - round(self.share * iterations)


class Phase(NamedTuple):
    """Iterations from ``start`` until before ``stop``, which share their number of real images and their rate.

    Attributes:
        rate: what the recipe's rate is multiplied by.
    """

    start: int
    stop: int
    real_per_class: int
    rate: float = 1.0
