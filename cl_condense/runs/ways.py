"""How methods condense, in lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cl_condense.condensation.recipe import Recipe
from cl_condense.data.domain_names import base_of
from cl_condense.methods.economy import lacking, numbers_of, other_weights, why_not
from cl_condense.methods.hybrid import made_of
from cl_condense.methods.registry import build
from cl_condense.runs.build import method_for
from cl_condense.runs.config import CondenseConfig
from cl_condense.runs.defaults import own_numbers

_GIVEN = ("iterations", "real_per_class", "reuse")
PAPERS = "the papers' settings"


def ways(configs: Iterable[CondenseConfig]) -> list[str]:
    """A line for each way to condense, with its methods and numbers, and one for what has no economy.

    Methods that select real images have none. Nor has a line numbers that depend on a budget which is shared.
    """
    lines: dict[tuple[str, str, str], list[Recipe]] = {}
    for c in configs:
        recipe = method_for(c)
        if isinstance(recipe, Recipe):
            why = why_not(recipe) if c.economy else ""
            whose = "economy" if c.economy and not why else "" if recipe.chosen else _whose(c)
            lines.setdefault((why, whose, numbers(recipe, c)), []).append(recipe)
    return [_line(own, *said) for said, own in lines.items()]


def numbers(recipe: Recipe, c: CondenseConfig) -> str:
    """The numbers of a recipe for a condensation; empty where they depend on a budget that is shared."""
    found = {_numbers(recipe.settled(ipc), c, ipc) for ipc in ([c.ipc] if c.ipc else [1, 10_000])}
    return found.pop() if len(found) == 1 else ""


def _numbers(settled: Recipe, c: CondenseConfig, ipc: int) -> str:
    """The numbers, and weights that economy has made others."""
    own = build(made_of(c.method), base_of(c.dataset))
    weights = other_weights(settled, own.settled(ipc)) if c.economical and isinstance(own, Recipe) else []
    return ", ".join([numbers_of(settled.settings()), *weights])


def _line(recipes: Sequence[Recipe], why: str, whose: str, said: str) -> str:
    if why:
        takes = "it takes" if len(recipes) == 1 else "they take"
        of_whom = f"{takes} {PAPERS}" if whose == PAPERS else ""
        return f"{lacking(recipes)[0]}; {': '.join(filter(None, [of_whom, said]))}"
    head = ", ".join(filter(None, [*(recipe.name for recipe in recipes), whose]))
    return f"{head}: {said}" if said else head


def _whose(c: CondenseConfig) -> str:
    """Whose the numbers are, where they are not economy's: the papers', a data set's own, or the user's."""
    given = {k: getattr(c, k) for k in _GIVEN}
    if given["iterations"] is given["real_per_class"] is None and given["reuse"] in (None, 1):
        return PAPERS
    own = {k: v for k, v in own_numbers(c.dataset).items() if k in _GIVEN}
    return f"the settings for {c.dataset}" if own and given == {"reuse": None, **own} else ""
