"""Iterations after which the set of a condensation is kept too: ``--checkpoints 100,1000,50%``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cl_condense.common.foreign import shown
from cl_condense.common.numbers import MOST
from cl_condense.condensation.paper_settings import settled
from cl_condense.condensation.recipe import Recipe
from cl_condense.runs.build import method_for
from cl_condense.runs.config import CondenseConfig


def moments(name: str, text: str) -> tuple[str, ...]:
    """Numbers of iterations, and shares of all such as ``50%``, with commas between them; each once.

    Raises:
        ValueError: for something else; ``name`` is what the numbers are called in it.
    """
    found = tuple(dict.fromkeys(text.split(",")))
    for each in found:
        share = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)%", each, re.ASCII)
        number = re.fullmatch(r"\d{1,12}", each, re.ASCII)
        if share and 0 < float(share[1]) <= 100:
            continue
        if not (number and 1 <= int(each) <= MOST["iterations"]):
            raise ValueError(
                f"{name} {shown(repr(each))}: give iterations or shares of them, such as 100,1000,50%"
            )
    return found


def reached(moment: str, iterations: int) -> int:
    """The iterations that are done at a moment of so many; at least 1."""
    if moment.endswith("%"):
        return max(1, round(float(moment[:-1]) / 100 * iterations))
    return int(moment)


def checkpoints(config: CondenseConfig, wanted: Sequence[str]) -> tuple[int, ...]:
    """The iterations of a condensation's moments, ascending; those of the end are the set's own and none here.

    Raises:
        ValueError: for a method that selects real images, and a moment after its end.
    """
    if not wanted:
        return ()
    total = iterations_of(config)
    found = {reached(each, total): each for each in wanted}
    if found and max(found) > total:
        raise ValueError(
            f"{config.method} has {total:,} iterations here, and {max(found):,} are more: give fewer"
        )
    return tuple(sorted(n for n in found if n < total))


def iterations_of(config: CondenseConfig) -> int:
    """The iterations of a condensation in all; error as ``checkpoints``."""
    method = method_for(config)
    if not isinstance(method, Recipe):
        raise ValueError(f"{config.method} selects real images, so that there are no sets on the way")
    return settled(method.settled(config.ipc or 1).iterations)


def path_after(path: Path, iteration: int) -> Path:
    """The file of the set after so many iterations, beside that of the end."""
    return path.with_name(f"{path.stem}-after{iteration}{path.suffix}")
