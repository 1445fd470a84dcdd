"""Curves as a CSV file, a point a line: what every tool reads, and needs no package."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import ClassVar

from PIL.Image import Image

from cl_condense.common.files import writable
from cl_condense.common.foreign import MOST_TEXT, reading
from cl_condense.common.paths import path_of

_COLUMNS = ("run", "curve", "step", "value")
_HEAD = ",".join(_COLUMNS) + "\n"


class CsvFile:
    """Lines ``run,curve,step,value``, added to a file that several runs may share; pictures are left out."""

    place: ClassVar = "FILE"
    package: ClassVar = ""

    def __init__(self, place: str, run: str) -> None:
        self._path, self._run = Path(place), run
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a+", encoding="utf-8", newline="")
        self._mend()

    @staticmethod
    def check(place: str, option: str) -> None:
        writable(path_of(option, place), option, ours=_ours)

    def last(self) -> dict[str, int]:
        found: dict[str, int] = {}
        with reading(self._path, "curves", "give another file", MOST_TEXT):
            for row in csv.DictReader(io.StringIO(self._path.read_text(encoding="utf-8"))):
                if row["run"] == self._run:
                    found[row["curve"]] = max(int(row["step"]), found.get(row["curve"], -1))
        return found

    def scalar(self, curve: str, value: float, step: int) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow((self._run, curve, step, repr(value)))
        self._file.write(line.getvalue())
        self._file.flush()

    def picture(self, name: str, image: Image, step: int) -> None:
        pass

    def close(self) -> None:
        self._file.close()

    def _mend(self) -> None:
        """Takes away a last line that a crash cut off; gives a new file its head."""
        data = self._path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self._path, whole)
        if whole == 0:
            self._file.write(_HEAD)
            self._file.flush()


def _ours(path: Path) -> bool:
    """Whether a file has curves: its first line says so, or it would, had it not been cut off."""
    with path.open("rb") as file:
        head = file.read(len(_HEAD))
    return _HEAD.encode().startswith(head)
