"""Data sets as commands read them: how they are prepared, and what was held out or skipped, on the terminal."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from cl_condense.cli.console import count
from cl_condense.common.files import atomic
from cl_condense.common.plain import Json

if TYPE_CHECKING:
    from cl_condense.data.imageset import ImageSet
    from cl_condense.data.preparation import Note, Preparation

_SHOWN = 3  # skipped files that are named


class Real(NamedTuple):
    """A data set as a command has read it."""

    train: ImageSet
    test: ImageSet
    preparation: Preparation
    notes: tuple[Note, ...]


def read(dataset: str, data: Path | None, given: Json, domains: Json | None = None) -> Real:
    """A data set with a bar; takes out of the options of a command those that say how it is read.

    Where ``domains`` is there, it is one of several domains, and it has what ``load_domains`` takes besides.

    Raises:
        ValueError: as ``load``.
    """
    from cl_condense.common.progress_bar import ProgressBar  # noqa: PLC0415
    from cl_condense.data import datasets  # noqa: PLC0415 - it takes seconds, and --help should not
    from cl_condense.data.domains import load_domains  # noqa: PLC0415

    wanted = preparation(given)
    notes: list[Note] = []
    bar = ProgressBar(dataset)
    how: Json = {"download": given.pop("download"), "on_progress": bar, "on_note": notes.append}
    try:
        if domains is None:
            train, test = datasets.load(dataset, data, **wanted.given(), **how)
        else:
            train, test = load_domains(dataset, data, **domains, **wanted.given(), **how)
    finally:
        bar.close()  # before anything is said of what ended it
    return Real(train, test, wanted, tuple(notes))


def preparation(given: Json) -> Preparation:
    """Takes out of the options of a command those that prepare a data set.

    Raises:
        ValueError: for a list of classes that cannot be read.
    """
    from cl_condense.data.preparation import PREPARED, Preparation  # noqa: PLC0415

    return Preparation.of(**{key: given.pop(key) for key in PREPARED})


def lines(notes: Sequence[Note], kept: object = "") -> list[str]:
    """What was held out, not looked at or skipped; ``kept`` is where the list of skipped files is."""
    skipped = [note for note in notes if note.about == "skipped"]
    found = [note.said for note in notes if note.about != "skipped"]
    found += [f"skipped: {note.said}" for note in skipped[:_SHOWN]]
    if len(skipped) > _SHOWN or (skipped and kept):
        found.append(f"{count(len(skipped), 'file')} skipped{kept and f', listed in {kept}'}")
    return found


def say(notes: Sequence[Note], kept: object = "") -> None:
    """Says that on stderr."""
    for line in lines(notes, kept):
        click.echo(line, err=True)


def write_skipped(notes: Sequence[Note], folder: Path) -> Path:
    """The list of skipped files in a folder of results, written where there are any."""
    path, rows = folder / "skipped.csv", [note.record() for note in notes if note.about == "skipped"]
    if rows:
        with atomic(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return path
