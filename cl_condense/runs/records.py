"""The records of a run: one JSON object a line, each on the disk before the next piece of work starts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Hashable
from pathlib import Path
from typing import NamedTuple

from cl_condense.common.files import atomic
from cl_condense.common.numbers import finite, whole
from cl_condense.common.plain import Json

Record = Json

_KEYS = ("method", "classes_seen", "accuracies", "condense_seconds")


class Unit(NamedTuple):
    """One piece of work: a method's memory after a step of a class order."""

    order: int
    method: str
    step: int


def append(path: Path, record: Record) -> None:
    """Adds a record to a file, for good."""
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def append_once(path: Path, record: Record) -> None:
    """Adds a record to a file, unless its very line is there."""
    there = path.read_bytes().splitlines() if path.exists() else []
    if json.dumps(record).encode() not in there:
        append(path, record)


def mend(path: Path) -> None:
    """Takes a last line that was cut off by a crash out of a file, if there is one; for its writer alone."""
    data = path.read_bytes() if path.exists() else b""
    whole_lines = data[: data.rfind(b"\n") + 1]
    if len(whole_lines) < len(data):
        with atomic(path) as temporary:
            temporary.write_bytes(whole_lines)


def read(path: Path) -> list[Record]:
    """The records of a run in a file, each piece of work once; errors as ``lines``."""
    return lines(path, _of_a_run, _KEYS)


def lines(
    path: Path,
    identity: Callable[[Record], Hashable],
    keys: Collection[str],
    on_fault: Callable[[int, str], None] | None = None,
) -> list[Record]:
    """The records in the whole lines of a file; a last line that is cut off may be in the making.

    Two with one identity and the same accuracies, which two processes may have written, are one.

    Args:
        path: of the file; one that is not there has none.
        identity: what a record is of; a KeyError, TypeError or ValueError says that it is none.
        keys: that a record has; ``accuracies`` are numbers from 0 to 1.
        on_fault: called with the number of a line that is no record and what it lacks; the line is left out.

    Raises:
        ValueError: for a line that is no such record, and for two of one identity whose accuracies differ.
    """
    found: dict[Hashable, tuple[int, Record]] = {}
    data = path.read_bytes() if path.exists() else b""
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            record = _record(json.loads(line), keys)
            own = identity(record)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if on_fault:
                on_fault(number, _fault(error))
                continue
            fault = f"is damaged in line {number} ({_fault(error)})"
            raise ValueError(f"{path} {fault}: take the line out, or give another --out") from None
        before, first = found.setdefault(own, (number, record))
        if first["accuracies"] != record["accuracies"]:
            raise ValueError(
                f"{path} has other accuracies in line {number} than in line {before}, which is of the same: "
                "take one of the two lines out"
            )
    return [record for _, record in found.values()]


def _of_a_run(record: Record) -> Unit:
    return Unit(whole("order", record["order"], 0), str(record["method"]), whole("step", record["step"]))


def _record(value: object, keys: Collection[str]) -> Record:
    if not isinstance(value, dict):
        raise TypeError("no object")
    for key in keys:
        if key not in value:
            raise KeyError(key)
    if not value["accuracies"]:
        raise ValueError("no accuracies")
    accuracies = [finite("accuracy", a, at_least=0, at_most=1) for a in value["accuracies"]]
    return {**value, "accuracies": accuracies}


def _fault(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no {error.args[0]!r}"
    unread = isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError)
    return "no JSON" if unread else str(error)
