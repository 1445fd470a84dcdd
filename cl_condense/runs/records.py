"""The records of a run: one JSON object a line, each on the disk before the next piece of work starts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Hashable
from contextlib import suppress
from errno import ENOENT
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cl_condense.common.files import atomic
from cl_condense.common.foreign import MOST_TEXT, one_line, parse_object, reading, reason, shown
from cl_condense.common.numbers import finite, whole
from cl_condense.common.plain import Json

Record = Json

_KEYS = tuple(
    "order method step dataset classes_seen accuracies stored_images stored_bytes condense_seconds "
    "train_seconds".split()
)


class Unit(NamedTuple):
    """One piece of work: a method's memory after a step of a class order."""

    order: int
    method: str
    step: int


def append(path: Path, record: Record) -> None:
    """Adds a record to a file, for good; after an error the file is what it was."""
    line = (json.dumps(record) + "\n").encode()
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            while line:
                line = line[file.write(line) :]  # a disk that gets full takes a part
            os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                file.truncate(before)
            raise


def mend(path: Path) -> None:
    """Takes a last line that was cut off by a crash out of a file, if there is one; for its writer alone."""
    data = _bytes(path)
    whole_lines = data[: data.rfind(b"\n") + 1]
    if len(whole_lines) < len(data):
        with atomic(path) as temporary:
            temporary.write_bytes(whole_lines)


def read(path: Path) -> list[Record]:
    """The records of a run in a file, each piece of work once; errors as ``lines``."""
    return lines(path, _of_a_run, _KEYS)


def read_one(path: Path, remedy: str) -> Record:
    """The record in a file of its own, such as that of a condensed set.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: for a damaged one.
    """
    if not os.path.lexists(path):
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), str(path))
    with reading(path, "a record", remedy, MOST_TEXT):
        return checked(parse_object(path.read_bytes()), ())


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
    data = _bytes(path)
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            record = checked(parse_object(line), keys)
            own = identity(record)
        except (ValueError, KeyError, TypeError) as error:
            if on_fault:
                on_fault(number, reason(error))
                continue
            fault = f"is damaged in line {number} ({reason(error)})"
            raise one_line(f"{path} {fault}: take the line out, or give another --out") from None
        before, first = found.setdefault(own, (number, record))
        if first["accuracies"] != record["accuracies"]:
            raise ValueError(
                f"{path} has other accuracies in line {number} than in line {before}, which is of the same: "
                "take one of the two lines out"
            )
    return [record for _, record in found.values()]


def checked(record: Record, keys: Collection[str]) -> Record:
    """A record whose numbers are numbers.

    Raises:
        KeyError: for one of the keys that it has not.
        ValueError: for a value of another kind, of any key that records of ours have.
    """
    for key in keys:
        if key not in record:
            raise KeyError(key)
    for key, check in _CHECKS.items():
        if record.get(key) is not None or key in keys:
            check(key, record.get(key))
    if "accuracies" not in record:
        return record
    accuracies = record["accuracies"]
    if not isinstance(accuracies, list) or not accuracies:
        raise ValueError(f"accuracies {shown(accuracies)}: give a list of numbers")
    return {**record, "accuracies": [_share("accuracy", a) for a in accuracies]}


def _of_a_run(record: Record) -> Unit:
    return Unit(record["order"], record["method"], record["step"])


def _share(name: str, value: object) -> float:
    return finite(name, value, at_least=0, at_most=1)


def _kind(kind: type, said: str) -> Callable[[str, object], None]:
    def check(name: str, value: object) -> None:
        if type(value) is not kind:
            raise ValueError(f"{name} {shown(value)}: give {said}")

    return check


_amount = partial(finite, at_least=0)
_count = partial(whole, at_least=0, at_most=2**53)
_CHECKS: dict[str, Callable[[str, object], object]] = {
    **dict.fromkeys("method dataset device commit date codec data".split(), _kind(str, "a text")),
    **dict.fromkeys("recipe versions work".split(), _kind(dict, "an object")),
    **dict.fromkeys("condense_seconds train_seconds seconds".split(), _amount),
    **dict.fromkeys("order seed stored_images stored_bytes images bytes".split(), _count),
    **dict.fromkeys("step classes_seen".split(), partial(_count, at_least=1)),
    "accuracy": _share,
    "losses": _kind(list, "a list"),
}
"""Of what records of ours may have, beside ``accuracies``."""


def _bytes(path: Path) -> bytes:
    """What is in a file; nothing where it is not there."""
    if not os.path.lexists(path):
        return b""
    with reading(path, "records", "give another --out", MOST_TEXT):
        return path.read_bytes()
