"""What lies below a folder of results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cl_condense.common.plain import Json
from cl_condense.reports.html.parts import Section
from cl_condense.runs.records import read_one

FAULTS = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OSError,
    RecursionError,
    ArithmeticError,
)
REMEDY = "name the folder that holds what table, run or condense wrote"


@dataclass
class Results:
    """What lies below a folder: files of sets, folders of runs and of tables, and what could not be read."""

    folder: Path
    sets: list[Path] = field(default_factory=list)
    runs: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def find(folder: Path) -> Results:
        """Looks for results at any depth.

        Raises:
            ValueError: for a folder that is not there, or holds none.
        """
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder: {REMEDY}")
        files = sorted(p for p in folder.rglob("*") if not p.name.startswith(".") and p.is_file())
        runs = [p.parent for p in files if p.name == "settings.json" and (p.parent / "records.jsonl").is_file()]
        memories = {run / "memory" for run in runs}
        sets = [p for p in files if p.suffix == ".safetensors" and p.parent not in memories]
        streams = [run.parent.parent for run in runs if run.parent.name == "streams" and run.parent != folder]
        tables = [p.parent for p in files if p.name == "scores.jsonl"]
        if not (runs or sets or tables):
            raise ValueError(f"{folder} holds no scores.jsonl, run or .safetensors set: {REMEDY}")
        return Results(folder, sets, runs, [*dict.fromkeys([*tables, *streams])])

    def name(self, path: Path) -> str:
        """A path from beside the folder."""
        return str(Path(self.folder.resolve().name) / path.relative_to(self.folder))

    def sections(self, paths: Sequence[Path], make: Callable[[Results, Path], list[Section]]) -> list[Section]:
        """The sections of all that can be read; the reasons of the rest are kept."""
        made: list[Section] = []
        for path in paths:
            try:
                made += make(self, path)
            except FAULTS as error:
                self.fault(path, error)
        return made

    def fault(self, path: Path, error: BaseException) -> None:
        """Keeps why a file could not be read; where its folder lies does not matter."""
        self.faults[self.name(path)] = reason(error).replace(f"{self.folder}/", "")


def read_json(path: Path) -> Json:
    """A record or settings, for a report."""
    try:
        return read_one(path, "make it again")
    except FileNotFoundError:
        raise ValueError(f"{path.name} is not there") from None


def reason(error: BaseException) -> str:
    """An error in a line; of those that Python words for programmers, with what they are."""
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {text}"
