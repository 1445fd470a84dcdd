"""Class names: compared, looked up, and written as names of folders."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping

from cl_condense.data.imageset import ImageSet

Classes = Mapping[int, str]  # label: name, empty where a class has none

_EXPORTED = re.compile("([0-9]+)-(.*)", re.DOTALL)
_SHOWN = 12  # classes in a message


def classes_of(real: ImageSet) -> Classes:
    """Labels and names of the classes of a data set."""
    return dict(zip(real.class_ids, real.names or ("",) * len(real.class_ids), strict=True))


def safe(name: str) -> str:
    """A class name as a part of a folder's name: all but letters, digits, ``-`` and ``_`` becomes ``_``."""
    # some file systems give names back with letters and accents apart
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in unicodedata.normalize("NFC", name))


class ClassBook:
    """Classes to be looked up by name."""

    def __init__(self, classes: Classes) -> None:
        self._classes = classes
        self._named: dict[str, list[int]] = defaultdict(list)
        self._safe: dict[str, list[int]] = defaultdict(list)
        for label, name in classes.items():
            if name:
                self._named[_fold(name)].append(label)
                self._safe[_fold(safe(name))].append(label)

    def options(self, name: str) -> list[int]:
        """The classes of exactly this name, or else all that may be meant."""
        every = self._every(name)
        return [label for label in every if self._classes[label] == name] or every

    def named(self, folder: str) -> int | None:
        """The one class of this name."""
        options = self.options(folder)
        return options[0] if len(options) == 1 else None

    def numbered(self, folder: str) -> int | None:
        """The class of a folder ``NUMBER-NAME``, where the name is that of the number."""
        parts = _EXPORTED.fullmatch(folder)
        return int(parts[1]) if parts and int(parts[1]) in self._every(parts[2]) else None

    def certain(self, folder: str, named: int | None, numbered: int | None) -> int:
        """The class of a folder, of its two readings.

        Raises:
            ValueError: where there is none, or they differ.
        """
        found = {label for label in (named, numbered) if label is not None}
        if len(found) == 1:
            return found.pop()
        owner, parts = f"folder {folder!r}", _EXPORTED.fullmatch(folder)
        options = sorted(found) or self.options(folder)
        if options:
            several = listed(self._classes, options)
            raise ValueError(f"{owner} may be {several}: call all folders NUMBER-NAME, as an export does")
        options = self._every(parts[2]) if parts else []
        if parts and options:
            says = f"{owner} says {int(parts[1])}, but {parts[2]!r} is {listed(self._classes, options)}"
            raise ValueError(f"{says}: take the number out, or give the right one")
        raise self.unknown(owner, folder, "call folders as the classes, or all of them by plain numbers")

    def unknown(self, owner: str, name: str, remedy: str) -> ValueError:
        """What to say of a name that no class has."""
        bare = re.sub(r"^[\W\d_]+", "", name)
        near = self._every(bare) or [
            label
            for key in difflib.get_close_matches(_fold(bare or name), list(self._named), 1)
            for label in self._named[key]
        ]
        hint = f"did you mean {self._classes[near[0]]!r}? " if near else ""
        return ValueError(
            f"{owner} is no class of the data set: {hint}known are {listed(self._classes)}: {remedy}"
        )

    def _every(self, name: str) -> list[int]:
        """All classes that may be meant: of this name, or where one of both is the other made safe."""
        key = _fold(name)
        found = self._named.get(key, []), self._safe.get(key, []), self._named.get(_fold(safe(name)), [])
        return list(dict.fromkeys(label for labels in found for label in labels))


def listed(classes: Classes, labels: Iterable[int] | None = None) -> str:
    """Some classes, by number and name."""
    chosen = list(classes if labels is None else labels)
    shown = ", ".join(
        f"{label} {classes[label]!r}" if classes[label] else str(label) for label in chosen[:_SHOWN]
    )
    more = f", ... ({len(chosen)} in all)" if len(chosen) > _SHOWN else ""
    return ("" if labels is None else "class " if len(chosen) == 1 else "one of ") + shown + more


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
