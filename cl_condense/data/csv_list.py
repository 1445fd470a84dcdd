"""Images listed in a CSV file: a column of paths, of labels and, where there is a test part, of parts."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from cl_condense.common.foreign import MOST_TEXT, one_line, reading, shown
from cl_condense.data.layout import TEST, TRAIN, Classes, Layout

PATHS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path")
LABELS = ("label", "class", "class_name", "category", "target")
PARTS = ("split", "part", "set", "subset")
"""What the columns may be called, in any case."""

_REMEDY = "give a CSV file whose first line names a column path and a column label"


def csv_layout(table: Path) -> Layout:
    """The layout that a CSV file tells; its first line names the columns, in any order.

    Paths are relative to the file's folder, labels the names of classes, numbers or not. A third column says
    train or test (or val) of each image; empty is train. Commas, semicolons or tabs separate.

    Raises:
        ValueError: for a file without these columns or without rows, an image that comes twice with different
            labels or in both parts, and a class in one part only.
    """
    with reading(table, "a CSV file", _REMEDY, MOST_TEXT):
        text = table.read_text("utf-8-sig")
        head, _, _ = text.partition("\n")
        rows = [*csv.reader(text.splitlines(), delimiter=max(",;\t", key=head.count))]
    columns = _columns(table, rows[0] if rows else [])
    found: dict[Path, tuple[str, bool]] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        file, said = _of(table, number, row, columns)
        if found.setdefault(file, said) != said:
            raise one_line(f"{table}: line {number}: {file} is there already, with another label or part")
    if not found:
        raise one_line(f"{table} lists no images: {_REMEDY}")
    train, test = (_classes(found, part) for part in (False, True))
    if not test:
        return Layout(train)
    for name in sorted(train.keys() ^ test.keys()):
        part = "test" if name in train else "train"
        raise one_line(f"{table}: class {name!r} has no {part} images: each class needs both")
    return Layout(train, test, "test")


def is_list(path: Path) -> bool:
    """Whether a path is that of a list of images."""
    return path.suffix.lower() == ".csv"


def _columns(table: Path, head: Sequence[str]) -> tuple[int, int, int | None]:
    """Where paths, labels and parts are."""
    names = [name.strip().casefold() for name in head]
    path, label, part = (
        next((names.index(name) for name in known if name in names), None) for known in (PATHS, LABELS, PARTS)
    )
    if path is None or label is None:
        lacks, known = ("path", PATHS) if path is None else ("label", LABELS)
        has = shown(", ".join(head)) or "nothing"
        raise one_line(
            f"{table} has no column {lacks}, its first line has {has}: call it one of {', '.join(known)}"
        )
    return path, label, part


def _of(
    table: Path, number: int, row: Sequence[str], columns: tuple[int, int, int | None]
) -> tuple[Path, tuple[str, bool]]:
    """The file of a row, its label and whether it is for testing."""
    path, label, part = (
        "" if column is None or column >= len(row) else row[column].strip() for column in columns
    )
    if not path or not label or "\0" in path:
        lacks = "label" if path else "path"
        raise one_line(f"{table}: line {number} has no {lacks}: complete it or take it out")
    if part and part.casefold() not in TRAIN + TEST:
        raise one_line(f"{table}: line {number} is of part {shown(part)!r}: write train, test or val")
    return table.parent / path, (label, part.casefold() in TEST)


def _classes(found: dict[Path, tuple[str, bool]], test: bool) -> Classes:
    """The files of each class of a part; numbers in their order, else names."""
    classes: dict[str, list[Path]] = defaultdict(list)
    for file, (label, part) in found.items():
        if part is test:
            classes[label].append(file)
    numbers = all(label.isdecimal() for label, _ in found.values())
    bare = {name: name.lstrip("0") if numbers else "" for name in classes}  # numbers of any length
    return {name: classes[name] for name in sorted(classes, key=lambda n: (len(bare[n]), bare[n], n))}
