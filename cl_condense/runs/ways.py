"""How the methods of some settings condense, in lines for people."""

from __future__ import annotations

from collections.abc import Sequence

from cl_condense.condensation.recipe import Recipe
from cl_condense.methods.economy import lacking, numbers_of, why_not
from cl_condense.runs.incremental import method_for
from cl_condense.runs.settings import DEFAULTS, Settings

_GIVEN = ("iterations", "real_per_class", "reuse")
PAPERS = "the papers' settings"


def ways(s: Settings) -> list[str]:
    """A line for each way to condense, with its methods and numbers, and one for what has no economy.

    Methods that select real images have none. Nor has a line numbers that depend on a budget which is shared.
    """
    recipes = [m for m in (method_for(name, s) for name in s.methods) if isinstance(m, Recipe)]
    lines: dict[tuple[str, str], list[Recipe]] = {}
    for recipe in recipes:
        why = why_not(recipe) if s.economy else ""
        lines.setdefault((why, numbers(recipe, s)), []).append(recipe)
    return [_line(own, s, why, said) for (why, said), own in lines.items()]


def numbers(recipe: Recipe, s: Settings) -> str:
    """The numbers of a recipe with these settings; empty where they depend on a budget that is shared."""
    budgets = [s.ipc] if s.ipc else [1, 10_000]
    found = {numbers_of(recipe.settled(ipc).settings()) for ipc in budgets}
    return found.pop() if len(found) == 1 else ""


def _line(recipes: Sequence[Recipe], s: Settings, why: str, said: str) -> str:
    names = ", ".join(recipe.name for recipe in recipes)
    if why:
        takes = "it takes" if len(recipes) == 1 else "they take"
        of_whom = f"{takes} {PAPERS}" if _whose(s) == PAPERS else ""
        return f"{lacking(recipes)[0]}; {': '.join(filter(None, [of_whom, said]))}"
    head = ", ".join(filter(None, [names, "economy" if s.economy else _whose(s)]))
    return f"{head}: {said}" if said else head


def _whose(s: Settings) -> str:
    """Whose the numbers are, where they are not economy's: the papers', a data set's own, or the user's."""
    given = {k: getattr(s, k) for k in _GIVEN}
    if given["iterations"] is given["real_per_class"] is None and given["reuse"] in (None, 1):
        return PAPERS
    own = {k: v for k, v in DEFAULTS.get(s.dataset, {}).items() if k in _GIVEN}
    return f"the settings for {s.dataset}" if own and given == {"reuse": None, **own} else ""
