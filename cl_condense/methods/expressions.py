"""Method expressions taken apart: ``NAME+MODIFIER@SETTING=VALUE,SETTING=VALUE``, such as ``idm+sm@ce=0.1``."""

from __future__ import annotations

import re
from typing import NamedTuple

Value = int | float | str

_WHOLE, _NUMBER, _WORD = r"-?\d{1,30}", r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", r"[a-z][a-z0-9_-]*"
_LONGEST = 100  # characters of settings: file names have them


class Expression(NamedTuple):
    """What an expression says, not whether it makes sense.

    Attributes:
        base: a method.
        modifiers: in their order.
        settings: by name, in their order.
    """

    base: str
    modifiers: tuple[str, ...]
    settings: dict[str, Value]


def parse(text: str) -> Expression:
    """The parts of an expression.

    Raises:
        ValueError: for settings that are none.
    """
    names, at, said = text.partition("@")
    base, *modifiers = names.split("+")
    return Expression(base, tuple(modifiers), _settings(text, said) if at else {})


def names_of(text: str) -> list[str]:
    """The base and the modifiers of what may be an expression, its settings left out."""
    return text.partition("@")[0].split("+")


def value_of(setting: str, text: str) -> Value:
    """The number or word that a setting has in an expression.

    Raises:
        ValueError: for what is neither.
    """
    if re.fullmatch(_WHOLE, text):
        return int(text)
    if re.fullmatch(_NUMBER, text):
        return float(text)
    if re.fullmatch(_WORD, text):
        return text
    raise ValueError(f"{setting} {text[:60]!r}: give a number such as 0.5, or a word")


def _settings(text: str, said: str) -> dict[str, Value]:
    if len(said) > _LONGEST:
        raise ValueError(f"{text[:60]}...: give settings of at most {_LONGEST} characters")
    found: dict[str, Value] = {}
    for pair in said.split(","):
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise ValueError(f"setting {pair!r} in {text!r}: give SETTING=VALUE, such as dm@lr=0.5")
        if re.search(r"\+[a-z]|@", value):
            raise ValueError(f"{text!r}: give modifiers first and settings after one @, such as dm+sm@lr=0.5")
        if name in found:
            raise ValueError(f"{text!r} has {name} twice: give it once")
        found[name] = value_of(name, value)
    return found
