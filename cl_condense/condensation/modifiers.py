"""What a name after a plus sign does to a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cl_condense.common.kinds import check_parts
from cl_condense.condensation.objectives import Objective
from cl_condense.condensation.recipe import Recipe, Term

Modifier = Callable[[Recipe], Recipe]
"""What ``+name`` does to a recipe; raises ValueError where it makes no sense."""


@dataclass(frozen=True)
class Adding:
    """A modifier that adds terms, unless one of them is there.

    Attributes:
        terms: their weights are settings under the modifier's name.
        lacks: why they make no sense in a recipe; empty where they do.
    """

    terms: tuple[Term, ...]
    lacks: Callable[[Recipe], str] = lambda recipe: ""

    def __post_init__(self) -> None:
        check_parts("terms", self.terms, Term, "Terms")

    def __call__(self, recipe: Recipe) -> Recipe:
        if why := self.lacks(recipe):
            raise ValueError(why)
        if {*self.terms} & {*recipe.terms}:
            raise ValueError("it, or a part of it, is there already; leave it out")
        return replace(recipe, terms=recipe.terms + self.terms)


def adding(*terms: Term) -> Adding:
    """A modifier that adds terms, unless one of them is there."""
    return Adding(terms)


@dataclass(frozen=True)
class Replacing:
    """A modifier that puts a term in the place of that of an objective; ``example`` is a name where it fits."""

    objective: Objective
    term: Term
    example: str

    @property
    def terms(self) -> tuple[Term, ...]:
        """What it puts there, as ``Adding`` has them."""
        return (self.term,)

    def __call__(self, recipe: Recipe) -> Recipe:
        if not any(own.objective is self.objective for own in recipe.terms):
            what = self.objective.__name__.replace("_", " ")
            raise ValueError(f"it has no {what} to be replaced; put it after dm, such as {self.example}")
        kept = (self.term if own.objective is self.objective else own for own in recipe.terms)
        return replace(recipe, terms=tuple(kept))
