"""One of several known names, or what was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

_LONGEST = 80  # letters of a wrong name that are worth showing
_ALIKE = 0.6  # the share of letters that two names have in common, in order, to be near each other


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
    """A question with the nearest of the known names and a space after it, or nothing where none is near.

    Names of other digits are other things, not slips: ``int4`` is no ``uint8``, but ``cifar`` may be
    ``cifar10``. So are names that begin otherwise, unless one is the end of the other, and much longer or
    shorter ones, unless they are begun.
    """
    text = str(value)[:_LONGEST].lower()
    near = [(_alike(text, name), name) for name in known if _may_be(text, name.lower())]
    best = max(near, key=lambda pair: pair[0], default=(0.0, ""))
    return f"did you mean {best[1]!r}? " if best[0] >= _ALIKE else ""


def _alike(text: str, name: str) -> float:
    return SequenceMatcher(None, text, name.lower()).ratio()


def _may_be(text: str, name: str) -> bool:
    typed, meant = ("".join(re.findall("[0-9]", word)) for word in (text, name))
    if not (meant.startswith(typed) or typed.startswith(meant)):
        return False
    if text[:1] != name[:1] and not (text.endswith(name) or name.endswith(text)):
        return False
    return name.startswith(text) or 3 * abs(len(name) - len(text)) <= max(len(name), len(text))
