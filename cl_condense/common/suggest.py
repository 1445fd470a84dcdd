"""One of several known names, or what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def choice(what: str, value: str, known: Iterable[str]) -> str:
    """``value``, where it is a known one.

    Raises:
        ValueError: where it is not, with the nearest one.
    """
    known = [*known]
    if value in known:
        return value
    near = difflib.get_close_matches(str(value).lower(), known, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown {what} {value!r}: {hint}known are {', '.join(known)}")
