"""Settings that a paper chooses by data set and images per class, as data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar, cast

from cl_condense.common.kinds import check_parts
from cl_condense.common.numbers import whole
from cl_condense.common.plain import Json

T = TypeVar("T")
Number = float | int


@dataclass(frozen=True, repr=False)
class Tuned:
    """A number with a value for each (data set, images per class) of a table.

    It stands in a recipe where a plain number could stand; ``settle`` puts the number in when both are
    known.
    """

    rows: tuple[tuple[str, int, Number], ...]

    def __post_init__(self) -> None:
        wanted = "rows (data set, images per class, number), at least one"
        check_parts("tuned", self.rows, tuple, wanted)
        if not self.rows or any(len(row) != 3 for row in self.rows):
            raise ValueError(f"tuned {self.rows!r}: give {wanted}")
        for _, ipc, _ in self.rows:
            whole("ipc", ipc)

    def at(self, dataset: str, ipc: int) -> Number:
        """The value of the nearest row: of that data set (the table's first one where it has none), and then
        of the images per class that are fewest times more or fewer (the fewer of two as near).
        """
        known = [name for name, _, _ in self.rows]
        own = [row for row in self.rows if row[0] == (dataset if dataset in known else known[0])]
        return min(own, key=lambda row: (max(ipc, row[1]) / min(ipc, row[1]), row[1]))[2]

    def plus(self, other: Tuned | Number) -> Tuned:
        """The sum with another number, at every row that one of them has."""
        keys = dict.fromkeys(row[:2] for one in (self, other) if isinstance(one, Tuned) for row in one.rows)
        added = (other.at(*key) if isinstance(other, Tuned) else other for key in keys)
        return Tuned(tuple((*key, self.at(*key) + more) for key, more in zip(keys, added, strict=True)))

    def times(self, factor: Number) -> Tuned:
        """With the number of every row multiplied."""
        return Tuned(tuple((name, ipc, factor * value) for name, ipc, value in self.rows))

    def at_most(self, most: Number) -> Tuned:
        """With a smaller number at every row that is above it."""
        return Tuned(tuple((name, ipc, min(value, most)) for name, ipc, value in self.rows))

    def __repr__(self) -> str:
        shown = "; ".join(
            f"{name} " + ", ".join(f"{ipc}: {value:g}" for other, ipc, value in self.rows if other == name)
            for name in dict.fromkeys(name for name, _, _ in self.rows)
        )
        return f"[{shown}]"


def tuned(table: Mapping[tuple[str, int], tuple[Number, ...]]) -> tuple[Tuned, ...]:
    """One Tuned a column of a table whose keys are (data set, images per class)."""
    columns = zip(*table.values(), strict=True)
    return tuple(
        Tuned(tuple((*key, value) for key, value in zip(table, column, strict=True))) for column in columns
    )


def settled(value: Tuned | Number) -> int:
    """A whole number of a recipe, once it has been settled.

    Raises:
        ValueError: where it has not.
    """
    if isinstance(value, Tuned):
        raise ValueError(f"{value}: settle it for a data set and images per class first")
    return int(value)


def settled_number(value: float | Tuned) -> float:
    """A number of a recipe, once it has been settled; errors as ``settled``."""
    if isinstance(value, Tuned):
        raise ValueError(f"{value}: settle it for a data set and images per class first")
    return float(value)


def settle(part: T, dataset: str, ipc: int) -> T:
    """A recipe, or a part of one, with the number of this data set and budget for each Tuned in it."""
    if isinstance(part, Tuned):
        return cast(T, part.at(dataset, ipc))
    if isinstance(part, tuple) and not hasattr(part, "_fields"):
        return cast(T, tuple(settle(x, dataset, ipc) for x in part))
    if is_dataclass(part) and not isinstance(part, type):
        changed: Json = {f.name: settle(getattr(part, f.name), dataset, ipc) for f in fields(part) if f.init}
        return replace(part, **changed)
    return part


def borrowed(recipe: object, dataset: str, ipc: int) -> str:
    """The data set whose settings stand in for those that a recipe has not; empty where all are alike."""
    for table in _tables(recipe):
        known = [*dict.fromkeys(name for name, _, _ in table.rows)]
        if dataset not in known and len({table.at(name, ipc) for name in known}) > 1:
            return known[0]
    return ""


def warn_borrowed(method: Any, dataset: str, ipc: int) -> bool:
    """Warns where settings of another data set stand in for those that a method has not; whether it did."""
    stand_in = borrowed(method, dataset, ipc)
    if stand_in:
        why = f"it has none for {dataset}" if dataset else "give dataset= a name to choose others"
        warnings.warn(f"{method.name} takes its settings for {stand_in}: {why}", stacklevel=3)
    return bool(stand_in)


def _tables(part: object) -> list[Tuned]:
    """All tuned numbers in a recipe, or in a part of one."""
    if isinstance(part, Tuned):
        return [part]
    if isinstance(part, tuple):
        return [table for each in part for table in _tables(each)]
    if is_dataclass(part) and not isinstance(part, type):
        return [table for f in fields(part) if f.init for table in _tables(getattr(part, f.name))]
    return []


def plain(value: object) -> Any:
    """A setting as JSON has it: a Tuned as rows [data set, images per class, number], a part of a recipe as its
    fields with its class as ``kind``, a function by its name.

    A part that is no dataclass, or has more in it than settings, says with a method ``settings`` what they are.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tuned | tuple | list):
        return [plain(x) for x in (value.rows if isinstance(value, Tuned) else value)]
    if isinstance(value, Fraction) or hasattr(value, "item"):  # a scalar of numpy or torch
        return float(value) if isinstance(value, Fraction) else value.item()
    if hasattr(value, "__name__"):
        return value.__name__
    own: Json = {}
    if callable(settings := getattr(value, "settings", None)):
        own = settings()
    elif is_dataclass(value):
        own = {f.name: getattr(value, f.name) for f in fields(value)}
    return {"kind": type(value).__name__, **{k: plain(v) for k, v in own.items()}}
