"""A noisy start and a quiet end: the stretches of a condensation, each with its real images and its rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cl_condense.numbers import check_whole, finite
from cl_condense.tuned import Tuned, settled

if TYPE_CHECKING:
    from cl_condense.recipes import Recipe


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


def phases(recipe: Recipe) -> tuple[Phase, ...]:
    """Those of a settled recipe: one, or two where its end is quiet."""
    iterations, real = settled(recipe.iterations), settled(recipe.real_per_class)
    if recipe.quiet is None:
        return (Phase(0, iterations, real),)
    start = recipe.quiet.start(iterations)
    both = (
        Phase(0, start, real),
        Phase(start, iterations, settled(recipe.quiet.real_per_class), recipe.quiet.rate),
    )
    return tuple(phase for phase in both if phase.start < phase.stop)


def phase_of(recipe: Recipe, iteration: int) -> Phase:
    """The phase of an iteration; after the last one the last."""
    every = phases(recipe)
    return next((phase for phase in every if iteration < phase.stop), every[-1])
