"""One rule for the numbers that people give, in the library and on the command line."""

from __future__ import annotations

import math
import operator
import re
from typing import SupportsFloat, SupportsIndex, cast

SEED_MAX = 2**32 - 1
"""The largest seed that numpy's RandomState takes, which draws class orders."""

MOST = {
    "orders": 10_000,
    "networks": 1_000,
    "repetitions": 1_000,
    "width": 16_384,
    "depth": 16,
    "threads": 1_024,
    "iterations": 10**9,
    "epochs": 10**6,
    "reuse": 10**6,
    "real_per_class": 10**8,
    "syn_per_class": 10**8,
    "batch_size": 10**8,
    "batch": 10**8,
    "enough": 10**9,
    "classes": 10**6,
    "ipc": 10**6,
    "per_class": 10**6,
    "budget": 10**9,
    "max_size": 10**9,
    "bytes": 2**50,
    "max_bytes": 2**50,
    "size": 16_384,
    "factor": 64,
    "num_workers": 4_096,
}
"""By name what numbers may be at most: above, they are slips, and time or memory would never suffice."""


def whole(name: str, value: object, at_least: int = 1, at_most: int | None = None) -> int:
    """The value as an int: a whole number of Python, or a scalar of numpy or torch, from ``at_least`` on.

    Without ``at_most`` the most is what ``MOST`` has for the name, which may be that of an option.

    Raises:
        ValueError: for anything else: True, 1.5, 2.0, NaN, text, and what is out of range.
    """
    if at_most is None:
        at_most = MOST.get(name.removeprefix("--").replace("-", "_"))
    allowed = f"from {at_least}" if at_most is None else f"from {at_least} to {at_most}"
    try:
        found = None if _is_bool(value) else operator.index(cast(SupportsIndex, value))
    except (TypeError, ValueError):  # torch says the second of a tensor of several numbers
        found = None
    if found is None or found < at_least or (at_most is not None and found > at_most):
        raise ValueError(f"{name} {_shown(value)}: give a whole number {allowed}")
    return found


def check_whole(settings: object, *names: str, at_least: int = 1) -> None:
    """Makes these fields of frozen settings whole numbers; one that is tuned stays for later.

    Raises:
        ValueError: as ``whole``.
    """
    for name in names:
        value = getattr(settings, name)
        if not hasattr(value, "rows"):
            object.__setattr__(settings, name, whole(name, value, at_least))


def finite(
    name: str,
    value: object,
    *,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
) -> float:
    """The value as a finite float within the bounds; ``above`` and ``below`` exclude theirs.

    Raises:
        ValueError: for True, NaN, infinities, text, and what is out of range.
    """
    bounds = {"of at least": at_least, "above": above, "at most": at_most, "below": below}
    said = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound))
    try:
        found = (
            math.nan if _is_bool(value) or isinstance(value, str | bytes) else float(cast(SupportsFloat, value))
        )
    except (TypeError, ValueError, OverflowError, RuntimeError):
        found = math.nan
    inside = at_least <= found <= at_most and above < found < below
    if not (inside and math.isfinite(found)):
        raise ValueError(f"{name} {_shown(value)}: give a finite number{said and ' '}{said}")
    return found


def seed(value: object, name: str = "seed") -> int:
    """A seed as an int: a whole number from 0 to 4294967295.

    Raises:
        ValueError: as ``whole``.
    """
    return whole(name, value, 0, SEED_MAX)


def digits(text: str) -> int | str:
    """The whole number that plain digits are, else the text: `` 5``, ``1_000`` and ``+5`` are no numbers."""
    return int(text) if re.fullmatch("-?[0-9]{1,4000}", text) else text  # Python reads no longer ones


def _is_bool(value: object) -> bool:
    return isinstance(value, bool) or "bool" in str(getattr(value, "dtype", ""))


def _shown(value: object) -> str:
    """The value on one line; a number of thousands of digits is more than Python writes out."""
    try:
        text = repr(value) if isinstance(value, str | bytes) else " ".join(str(value).split())
    except ValueError:
        return "with thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."
