"""Sweeps: methods with each of several values of their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cl_condense.common.suggest import choice
from cl_condense.methods.expressions import value_of
from cl_condense.methods.hybrid import Hybrid, made_of
from cl_condense.methods.registry import build, has, settings_of


class Sweep(NamedTuple):
    """Values of a setting.

    Attributes:
        setting: its name in expressions.
        values: as they were written, each once.
    """

    setting: str
    values: tuple[str, ...]

    @staticmethod
    def of(text: str) -> Sweep:
        """Of what is written ``SETTING=VALUE,VALUE``.

        Raises:
            ValueError: for what is no such text.
        """
        setting, _, values = text.partition("=")
        if not setting or not values or "" in values.split(","):
            raise ValueError(f"{text[:60]!r}: give SETTING=VALUE,VALUE, such as lr=0.1,1")
        for value in values.split(","):
            value_of(setting, value)
        return Sweep(setting, tuple(dict.fromkeys(values.split(","))))


def swept(methods: Sequence[str], sweeps: Sequence[Sweep]) -> list[str]:
    """Each method with every combination of the values of the settings that it has, in the order of both.

    Raises:
        ValueError: for a setting that none of them has, and as ``build`` for values.
    """
    found = [*methods]
    for sweep in sweeps:
        if not any(_has(method, sweep.setting) for method in found):
            known = [name for method in found if not Hybrid.of(method) for name in settings_of(method)]
            if not known:
                raise ValueError(f"{', '.join(methods)} has no settings: leave {sweep.setting} out")
            choice(f"setting of {', '.join(methods)}", sweep.setting, known)
        found = [each for method in found for each in _each(method, sweep)]
    for method in found:
        build(made_of(method))
    return found


def passed_over(methods: Sequence[str], sweeps: Sequence[Sweep]) -> list[str]:
    """A line for each sweep that some methods lack the setting of: those stay as they are."""
    lacking = {s.setting: [method for method in methods if not _has(method, s.setting)] for s in sweeps}
    return [
        f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} no {setting} and "
        f"{'stays as it is' if len(names) == 1 else 'stay as they are'}"
        for setting, names in lacking.items()
        if names
    ]


def _has(method: str, setting: str) -> bool:
    """A hybrid memory has none: what it says of its methods is before its share."""
    return not Hybrid.of(method) and has(method, setting)


def _each(method: str, sweep: Sweep) -> list[str]:
    if not _has(method, sweep.setting):
        return [method]
    joined = "," if "@" in method else "@"
    return [f"{method}{joined}{sweep.setting}={value}" for value in sweep.values]
