"""Whether something was condensed by the numbers that its options stand for today: economy's may change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from cl_condense.common.files import atomic
from cl_condense.common.foreign import read_object, reading, shown
from cl_condense.common.plain import Json, Values
from cl_condense.condensation.recipe import Recipe
from cl_condense.runs.build import method_for
from cl_condense.runs.config import CondenseConfig

_MAY_DIFFER = ("compiled", "after")  # rounding, and which of the sets of one condensation it is


def numbers_today(c: CondenseConfig) -> Json:
    """The settings of a condensation's method by name, such as ``terms.gram``."""
    method = method_for(c)
    settings = method.settled(c.ipc or 1).settings() if isinstance(method, Recipe) else method.settings()
    return _by_name(settings)


def other_numbers(recipe: Values, c: CondenseConfig) -> str:
    """What a recorded recipe has otherwise than today's, as ``terms.gram 1 (today 0.5)``; empty: nothing."""
    then, now = _by_name(recipe), numbers_today(c)
    changed = [name for name in {**then, **now} if then.get(name) != now.get(name) and name not in _MAY_DIFFER]
    return ", ".join(f"{name} {_shown(then.get(name))} (today {_shown(now.get(name))})" for name in changed)


def leave(path: Path, configs: Sequence[CondenseConfig]) -> None:
    """Writes the numbers of each method into a file, which is there for ``agree`` and for people."""
    with atomic(path) as temporary:
        found = {c.method: numbers_today(c) for c in configs}
        temporary.write_text(json.dumps(found, indent=2) + "\n")


def agree(path: Path, configs: Sequence[CondenseConfig]) -> None:
    """Raises ValueError where a file that ``leave`` wrote has other numbers than today; it may be missing."""
    if not path.exists():
        return
    what = "the numbers of a run", "give another --out"
    theirs = read_object(path, *what)
    for c in configs:
        with reading(path, *what):
            other = shown(other_numbers(theirs[c.method], c))
        if other:
            raise ValueError(
                f"{path.parent} holds a run by other numbers than {c.method} has today: {other}; "
                "give another --out, or the version that began it"
            )


def _by_name(settings: Values) -> Json:
    return dict(_leaves(json.loads(json.dumps(settings))))


def _leaves(part: object, name: str = "") -> Iterator[tuple[str, object]]:
    if not isinstance(part, dict):
        yield name, part
        return
    for key, value in part.items():
        yield from _leaves(value, f"{name}.{key}" if name else key)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
