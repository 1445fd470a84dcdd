"""Lengths of time as people write them: ``2h30m``, ``45m``, ``90s``."""

from __future__ import annotations

import math
import re

_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_FORM = re.compile("".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?){unit})?" for unit in _UNITS), re.ASCII)


def duration(name: str, text: str) -> float:
    """Seconds of days, hours, minutes and seconds in that order, any of them left out: ``1d``, ``1.5h``.

    Raises:
        ValueError: for anything else, and for nothing: ``0s``, ``2h30``, ``30m2h``.
    """
    found = _FORM.fullmatch(text.strip().lower())
    seconds = sum(float(found[unit] or 0) * _UNITS[unit] for unit in _UNITS) if found else 0.0
    if not 0 < seconds < math.inf:
        raise ValueError(f"{name} {text!r}: give a length of time, such as 2h30m, 45m or 90s")
    return seconds


def words(seconds: float) -> str:
    """A length of time for people: ``46 h``, ``2 h 30 min``, ``4 min``, ``20 s``."""
    if not math.isfinite(seconds):
        return "an unknown time"
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 99.5:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 10 and rest else f"{round(minutes / 60)} h"
