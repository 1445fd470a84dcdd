"""One of several known names, or what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 80  # letters of a wrong name that are worth showing


def choice(what: str, value: str, known: Iterable[str]) -> str:
    """``value``, where it is a known one.

    Raises:
        ValueError: where it is not, with the nearest one.
    """
    known = [*dict.fromkeys(known)]
    if value in known:
        return value
    shown = repr(value[:_LONGEST] if isinstance(value, str) else value)
    raise ValueError(f"unknown {what} {shown}: {hint(value, known)}known are {', '.join(known)}")


def hint(value: str, known: Iterable[str]) -> str:
    """A question with the nearest of the known names and a space after it, or nothing where none is near."""
    near = difflib.get_close_matches(str(value).lower(), [*known], 1)
    return f"did you mean {near[0]!r}? " if near else ""
