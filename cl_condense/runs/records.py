"""The records of a run: one JSON object a line, each on the disk before the next piece of work starts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Hashable
from contextlib import suppress
from errno import ENOENT
from pathlib import Path
from typing import NamedTuple

from cl_condense.common.files import atomic, unwritable
from cl_condense.common.foreign import MOST_TEXT, one_line, parse_object, reading, reason
from cl_condense.common.plain import Json, Values
from cl_condense.runs.record_values import checked
from cl_condense.training.trainers.contract import DEFAULT

Record = Json

_KEYS = tuple(
    "order method step dataset classes_seen accuracies stored_images stored_bytes condense_seconds "
    "train_seconds".split()
)


class Unit(NamedTuple):
    """One piece of work: networks of a trainer on a method's memory after a step of a class order."""

    order: int
    method: str
    step: int
    trainer: str = DEFAULT

    @staticmethod
    def of(record: Record) -> Unit:
        """What a record is of; those of before there were trainers do not say it."""
        return Unit(record["order"], record["method"], record["step"], record.get("trainer", DEFAULT))


def row_name(record: Values) -> str:
    """What rows and curves are called: a method, with the trainer where it is not the usual one."""
    way = record.get("trainer", DEFAULT)
    return str(record["method"]) if way == DEFAULT else f"{record['method']} ({way})"


def seen_in(record: Values) -> tuple[int, str]:
    """How much of its stream a record has seen, and what of: domains where it says them, else classes."""
    of = "domain" if record.get("domains_seen") else "class"
    return record["domains_seen" if of == "domain" else "classes_seen"], of


def several(noun: str) -> str:
    """Its plural: domains, classes."""
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def append(path: Path, record: Record) -> None:
    """Adds a record to a file, for good, on a line of its own; after an error the file is what it was.

    A record at its end that was cut off by a crash goes away.
    """
    line = (json.dumps(record) + "\n").encode()
    _end_line(path)
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            while line:
                line = line[file.write(line) :]  # a disk that gets full takes a part
            os.fsync(file.fileno())
        except BaseException as error:
            with suppress(OSError):
                file.truncate(before)
            if isinstance(error, OSError):
                raise unwritable(path, error) from None
            raise


def append_once(path: Path, record: Record) -> None:
    """Adds a record to a file, unless its very line is there."""
    there = path.read_bytes().splitlines() if path.exists() else []
    if json.dumps(record).encode() not in there:
        append(path, record)


def mend(path: Path) -> None:
    """Takes a last line that was cut off by a crash out of a file, if there is one; for its writer alone."""
    data = _bytes(path)
    whole_lines = data[: data.rfind(b"\n") + 1]
    if len(whole_lines) < len(data):
        with atomic(path) as temporary:
            temporary.write_bytes(whole_lines)


def read(path: Path) -> list[Record]:
    """The records of a run in a file, each piece of work once; errors as ``lines``."""
    return lines(path, Unit.of, _KEYS)


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


def _end_line(path: Path) -> None:
    """Makes a file end with a whole line, if it is there and does not."""
    with suppress(FileNotFoundError), path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if file.read() in (b"", b"\n"):
            return
        file.seek(0)
        rest = file.read().rpartition(b"\n")[2]
        torn = False
        if rest.startswith(b"{"):
            try:
                parse_object(rest)
            except ValueError:
                torn = True
        file.seek(size)
        if torn:
            file.truncate(size - len(rest))
        else:  # the last line of somebody else
            file.write(b"\n")


def _bytes(path: Path) -> bytes:
    """What is in a file; nothing where it is not there."""
    if not os.path.lexists(path):
        return b""
    with reading(path, "records", "give another --out", MOST_TEXT):
        return path.read_bytes()
