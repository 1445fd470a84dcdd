"""Which class of a data set each class of a set is: by name wherever both have names, else by number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cl_condense.data.class_names import ClassBook, Classes, listed

_NUMBER = re.compile("([0-9]+)")
_EITHER = re.compile("([0-9]+)(-.*)?", re.DOTALL)
_LARGEST = 2**63 - 1  # labels are int64


@dataclass(frozen=True)
class Match:
    """The label of each class, in the order in which they were asked for, and what it goes by."""

    labels: tuple[int, ...]
    by: Literal["name", "number", "order"]


def match_labels(labels: Sequence[int], names: Sequence[str], classes: Classes) -> Match:
    """The classes of a set that has labels of its own and names, or none.

    Names are equal where they differ in case alone, or one is what ``safe`` makes
    of the other. Of several classes with one name the label chooses. Where the set or the data set has no
    names, labels stay as they are.

    Raises:
        ValueError: for a class that the data set has not, for one that may be several, for two that are one.
    """
    if not names or not any(classes.values()):
        return Match(tuple(_of(classes, label, f"class {label}") for label in labels), "number")
    book, found = ClassBook(classes), []
    for label, name in zip(labels, names, strict=True):
        options = book.options(name)
        if len(options) > 1 and label not in options:
            raise ValueError(f"class {name!r} may be {listed(classes, options)}: give it one of these labels")
        if not options:
            raise book.unknown(f"class {name!r}", name, "name the data set that it is of")
        found.append(label if label in options else options[0])
    return Match(_distinct(found, [f"class {name!r}" for name in names], classes), "name")


def match_folders(folders: Sequence[str], classes: Classes | None) -> Match:
    """The classes of folders called ``NAME``, or ``NUMBER-NAME`` as an export writes them, or by plain numbers.

    A folder called like a class is that class, whatever its place (names compared as in ``match_labels``);
    a number before the name must be the label. Only where no folder has the name of a class and all are plain
    numbers are these the labels.

    Args:
        folders: their names, all different.
        classes: those of the data set. Without them labels are the numbers that all folders begin with, else
            the places of the folders.

    Raises:
        ValueError: for a folder that is no class for certain, and for two that are one class.
    """
    owners = [f"folder {folder!r}" for folder in folders]
    if classes is None:
        numbers = [_EITHER.fullmatch(folder) for folder in folders]
        if not all(numbers):
            return Match(tuple(range(len(folders))), "order")
        return Match(_distinct([int(n[1]) for n in numbers if n], owners, None), "number")
    book = ClassBook(classes)
    nameless = not any(classes.values())
    if nameless or not any(map(book.options, folders)):
        numbers = [(_EITHER if nameless else _NUMBER).fullmatch(folder) for folder in folders]
        if all(numbers):
            labels = [_of(classes, int(n[1]), owner) for n, owner in zip(numbers, owners, strict=True) if n]
            return Match(_distinct(labels, owners, classes), "number")
    ways = [book.named(folder) for folder in folders], [book.numbered(folder) for folder in folders]
    found = [[label for label in way if label is not None] for way in ways]
    whole = {tuple(labels) for labels in found if len(set(labels)) == len(folders)}
    if len(whole) != 1:  # folders one by one
        whole = {tuple(book.certain(*each) for each in zip(folders, *ways, strict=True))}
    return Match(_distinct(whole.pop(), owners, classes), "name")


def _of(classes: Classes, label: int, owner: str) -> int:
    """The label, if the data set has it."""
    if label not in classes:
        raise ValueError(f"{owner} is no class of the data set: known are {listed(classes)}")
    return label


def _distinct(labels: Sequence[int], owners: Sequence[str], classes: Classes | None) -> tuple[int, ...]:
    """The labels, where no class has two owners."""
    first: dict[int, str] = {}
    for label, owner in zip(labels, owners, strict=True):
        if label > _LARGEST:
            raise ValueError(f"{owner}: its number is too large for a label: give one of at most {_LARGEST}")
        if label in first:
            which = listed(classes, [label]) if classes else f"class {label}"
            raise ValueError(f"{first[label]} and {owner} are both {which}: keep one of them")
        first[label] = owner
    return tuple(labels)
