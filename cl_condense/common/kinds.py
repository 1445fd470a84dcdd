"""One rule for the things that people give: of the right kind, or one line that says what to give."""

from __future__ import annotations

from types import UnionType

_SHOWN = 60  # characters of a value


def check_kind(name: str, value: object, kind: type | UnionType, give: str) -> None:
    """Nothing where a value is of a kind.

    Args:
        name: what it is called in the message.
        value: what was given.
        kind: a class, or several joined by ``|``.
        give: what the message tells to give.

    Raises:
        ValueError: for a value of another kind.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name} {described(value)}: give {give}")


def check_flag(name: str, value: object) -> None:
    """Raises ValueError for what is neither True nor False: a text such as ``no`` would count as true."""
    check_kind(name, value, bool, "True or False")


def check_call(name: str, value: object) -> None:
    """Raises ValueError for what is neither None nor a function, or an object that can be called."""
    if value is not None and not callable(value):
        raise ValueError(f"{name} {described(value)}: give a function, or None")


def check_parts(name: str, value: object, kind: type | UnionType, give: str) -> None:
    """Raises ValueError for what is no tuple of things of a kind."""
    if not isinstance(value, tuple) or not all(isinstance(part, kind) for part in value):
        raise ValueError(f"{name} {described(value)}: give a tuple of {give}")


def described(value: object) -> str:
    """A plain value, or of what kind another one is: what it holds may fill pages."""
    plain = value is None or isinstance(value, str | bytes | int | float | tuple | list | type)
    text = " ".join(repr(value).split()) if plain else ""
    return text if plain and len(text) <= _SHOWN else f"of type {type(value).__name__}"
