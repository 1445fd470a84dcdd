"""Which image files a folder has, of which class and part: as torchvision's ImageFolder users lay them out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl_condense.common.foreign import one_line
from cl_condense.data.image_file import SUFFIXES

Classes = dict[str, list[Any]]  # files or rows of each class

TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")
"""What the folders of parts are called; of several for testing the first is taken."""


@dataclass(frozen=True)
class Layout:
    """The files of each class, by part.

    Attributes:
        train: in the order of the class names.
        test: of the same classes; None where nothing says which files are for testing.
        part: what the test part is called.
        unread: what lies there as well and is not looked at, in words.
    """

    train: Classes
    test: Classes | None = None
    part: str = ""
    unread: str = ""


def folder_layout(root: Path) -> Layout:
    """The layout of ``train/CLASS/...`` and ``test/CLASS/...`` (or val), of train alone, or of ``CLASS/...``.

    Below the folder of a class files are looked for at any depth. Names that begin with a dot are passed over.

    Raises:
        ValueError: for a folder of none of these, a class without images, and one in a single part.
    """
    inner = folders(root)
    parts = {f.name.casefold(): f for f in inner if f.name.casefold() in TRAIN + TEST and folders(f)}
    train = next((parts[name] for name in TRAIN if name in parts), None)
    tests = [parts[name] for name in TEST if name in parts]
    if parts and not train and len(parts) == len(inner):
        absent = root / TRAIN[0] / "CLASS"
        raise one_line(f"{root} has class folders in {tests[0].name}, none in train: add {absent}")
    others = [f for f in inner if f.name.casefold() not in TRAIN + TEST]
    if not train or (not tests and others):  # a class may be called train
        return Layout(class_files(root))
    unread = ", ".join(str(each) for each in (*tests[1:], *others))
    if not tests:
        return Layout(class_files(train), unread=unread)
    found = Layout(class_files(train), class_files(tests[0]), tests[0].name, unread)
    check_parts(found, train, tests[0])
    return found


def check_parts(layout: Layout, train: Path | str, test: Path | str) -> None:
    """Raises ValueError for a class in one part only; ``train`` and ``test`` are where the parts are."""
    assert layout.test is not None
    for name in sorted(layout.train.keys() ^ layout.test.keys()):
        there = Path(test if name in layout.train else train) / name
        raise one_line(f"class {name!r} has no folder {there}: each class needs training and test images")


def folders(folder: Path) -> list[Path]:
    """The folders in one, in the order of their names."""
    found = (inner for inner in folder.iterdir() if inner.is_dir() and not inner.name.startswith("."))
    return sorted(found, key=lambda inner: inner.name)


def class_files(folder: Path) -> Classes:
    """The image files of each class folder, at any depth, in the order of their names."""
    classes = {}
    for inner in folders(folder):
        classes[inner.name] = sorted(_images(inner), key=lambda file: file.relative_to(inner).parts)
        if not classes[inner.name]:
            kinds = ", ".join(SUFFIXES)
            raise one_line(
                f"class {inner.name!r}: no images ({kinds}) in {inner}: add some or remove the folder"
            )
    return classes


def _images(folder: Path) -> Iterator[Path]:
    """The image files below a folder; what links lead to comes once."""
    seen = {os.path.realpath(folder)}
    for where, inner, files in os.walk(folder, onerror=_unreadable, followlinks=True):
        real = [(name, os.path.realpath(os.path.join(where, name))) for name in sorted(inner)]
        inner[:] = [name for name, path in real if not name.startswith(".") and path not in seen]
        seen.update(path for _, path in real)
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(where, name)
        # a folder that is called like an image is said to be none when it is read
        yield from (Path(where, name) for name in inner if name.lower().endswith(SUFFIXES))


def _unreadable(error: OSError) -> None:
    raise one_line(f"{error.filename} cannot be read ({error.strerror}): make it readable, or take it out")
