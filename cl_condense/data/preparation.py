"""What is taken of a data set and in which form: sizes, channels, classes, the test part, damaged files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor

from cl_condense.common.foreign import MOST_TEXT, one_line, reading
from cl_condense.common.kinds import check_kind
from cl_condense.common.numbers import finite, whole
from cl_condense.common.plain import Json
from cl_condense.data.class_names import ClassBook, listed
from cl_condense.data.imageset import ImageSet
from cl_condense.data.shaping import CHANNELS, Size, as_size, fitted_tensor, in_channels

SHARE = 0.2
"""Of each class for testing, where a data set has no test part."""

Pair = tuple[ImageSet, ImageSet]
"""Training and test images."""


class Note(NamedTuple):
    """Something to know of how a data set was read.

    Attributes:
        about: what: images held out for testing, a file that was skipped, files that were not looked at.
        said: the reason or the sentence, for people.
        file: that was skipped.
    """

    about: Literal["held out", "skipped", "left out"]
    said: str
    file: Path | None = None

    def record(self) -> Json:
        """What a record says of a file that was skipped."""
        return {"file": str(self.file), "reason": self.said.removeprefix(f"{self.file} ")}


PREPARED = ("size", "channels", "test_share", "skip_damaged", "classes")
"""What ``load`` takes to prepare a data set, by name; options of the command line as well."""

OnNote = Callable[[Note], None]


@dataclass(frozen=True)
class Preparation:
    """How a data set is taken; what is None or empty stays as it is. ``of`` makes it of what people give.

    Attributes:
        size: (height, width) to which every image is scaled and cut, see ``shaping.fitted``.
        channels: 1, grey, or 3.
        test_share: of each class for testing, where the data set has no test part.
        skip_damaged: files that cannot be read are left out.
        classes: names of those that are taken; their labels count from 0, in the order of the data set.
    """

    size: Size | None = None
    channels: int | None = None
    test_share: float | None = None
    skip_damaged: bool = False
    classes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        size: int | Sequence[int] | str | None = None,
        channels: int | None = None,
        test_share: float | None = None,
        skip_damaged: bool = False,
        classes: Sequence[str] | str | Path | None = None,
    ) -> Preparation:
        """Of plain values: ``64``, ``"48x64"``; ``"cat,dog"``, a list of names, a .txt file with a name a line.

        Raises:
            ValueError: for a value that is none of these, or out of its range.
        """
        check_kind("skip_damaged", skip_damaged, bool, "True or False")
        if channels is not None and whole("channels", channels) not in CHANNELS:
            raise ValueError(f"channels {channels}: give 1 (grey) or 3")
        return cls(
            size=None if size is None else as_size(size),
            channels=channels,
            test_share=None if test_share is None else finite("test_share", test_share, above=0, below=1),
            skip_damaged=skip_damaged,
            classes=() if classes is None else _names(classes),
        )

    def options(self) -> Json:
        """What ``of`` makes it of again, without what stays as it is; for files and records."""
        said: Json = {"size": self.size and "x".join(map(str, self.size)), "channels": self.channels}
        said |= {"test_share": self.test_share, "skip_damaged": self.skip_damaged or None}
        said["classes"] = [*self.classes] or None
        return {key: value for key, value in said.items() if value is not None}

    def given(self) -> Json:
        """What ``load`` takes, without what stays as it is."""
        found = {key: getattr(self, key) for key in PREPARED}
        return {key: value for key, value in found.items() if value}

    def applied(self, both: Pair) -> Pair:
        """Training and test images of a known data set, prepared.

        Raises:
            ValueError: for a class that the data set has not.
        """
        train, test = both
        if self.classes:
            ids = chosen(self.classes, dict(zip(train.class_ids, train.names, strict=True)))
            train, test = (_counted(part.only(ids)) for part in (train, test))
        found = train, test
        if self.channels is not None and self.channels != train.shape[0]:
            # constants of the other channels say nothing of these
            images = [in_channels(part.images, self.channels) for part in found]
            own = ImageSet.of(images[0], train.labels)
            found = _with(train, images[0], own), _with(test, images[1], own)
        if self.size is not None:
            found = (
                _with(found[0], fitted_tensor(found[0].images, self.size)),
                _with(found[1], fitted_tensor(found[1].images, self.size)),
            )
        return found


def read_as(preparation: Preparation, notes: Sequence[Note]) -> Json:
    """What a record says of how a data set was read; nothing where it was read as it is."""
    skipped = [note.record() for note in notes if note.about == "skipped"]
    found: Json = {"preparation": preparation.options(), "skipped": skipped}
    return {key: value for key, value in found.items() if value}


def chosen(names: Sequence[str], classes: dict[int, str]) -> list[int]:
    """The labels of some classes, in the order of the labels.

    Raises:
        ValueError: for a class that is not there, may be several, or is named twice.
    """
    book = ClassBook(classes)
    found: dict[int, str] = {}
    for name in names:
        options = book.options(name)
        if not options:
            raise book.unknown(f"class {name!r}", name, "name some of them")
        if len(options) > 1:
            raise one_line(f"class {name!r} may be {listed(classes, options)}: only one of them has to have it")
        if options[0] in found:
            raise one_line(f"classes {found[options[0]]!r} and {name!r} are one: name it once")
        found[options[0]] = name
    return sorted(found)


def share_of(preparation: Preparation) -> float:
    """The part of each class that is held out where there is no test part."""
    return SHARE if preparation.test_share is None else preparation.test_share


def no_share(preparation: Preparation, of: object, part: str = "a test part of its own") -> None:
    """Raises ValueError for a share to be held out of what has a test part."""
    if preparation.test_share is not None:
        raise one_line(f"test share {preparation.test_share:g}: {of} has {part}: leave it out")


def no_skipping(name: str, preparation: Preparation) -> None:
    """Raises ValueError where damaged files are to be skipped of a data set that has no loose ones."""
    if preparation.skip_damaged:
        raise one_line(f"skip damaged: {name} is its official files or none: leave it out")


def _names(classes: Sequence[str] | str | Path) -> tuple[str, ...]:
    if isinstance(classes, Path) or (isinstance(classes, str) and classes.endswith(".txt")):
        with reading(classes, "a list of classes", "write a name on each line", MOST_TEXT):
            found = Path(classes).read_text("utf-8-sig").splitlines()
    elif isinstance(classes, str):
        found = _apart(classes)
    else:
        check_kind("classes", classes, Sequence, "names such as 'cat,dog', or a .txt file of them")
        for name in classes:
            check_kind("class", name, str, "a name")
        found = list(classes)
    names = tuple(name.strip() for name in found if name.strip())
    if not names:
        raise ValueError(f"classes {str(classes)!r}: name at least one")
    return names


def _apart(classes: str) -> list[str]:
    """The names in a text; one that has a comma is in double quotes."""
    try:
        return next(csv.reader([classes], skipinitialspace=True), [])
    except csv.Error as error:  # a name of more than 128 KiB, or what is no text
        raise one_line(f"classes {classes[:80]!r}: {error}: give names such as cat,dog") from None


def in_one(names: Iterable[str]) -> str:
    """Class names as one text, which ``classes`` takes: a comma between them, quoted where one has a comma."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue()


def _counted(images: ImageSet) -> ImageSet:
    """With labels from 0."""
    return replace(images, class_ids=tuple(range(len(images.class_ids))))


def _with(part: ImageSet, images: Tensor, constants: ImageSet | None = None) -> ImageSet:
    of = constants or part
    return part.with_images(images, (of.mean, of.std))
