"""The records of a run: one JSON object a line, each on the disk before the next piece of work starts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from cl_condense.files import atomic

Record = dict[str, Any]


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


def read(path: Path, mend: bool = True) -> list[Record]:
    """The whole lines of a record file; a last line that was cut off by a crash is taken out of the file.

    Without ``mend`` the file stays as it is: a run may be writing in it.

    Raises:
        ValueError: for a line that is no record.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if mend and len(whole) < len(data):
        with atomic(path) as temporary:
            temporary.write_bytes(whole)
    records = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            record = json.loads(line)
            Unit(record["order"], record["method"], record["step"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{path} is damaged in line {number}: take the line out, or give another --out"
            ) from None
        records.append(record)
    return records
