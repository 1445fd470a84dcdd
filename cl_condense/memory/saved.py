"""A memory as a file: a condensed set with what is needed to go on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cl_condense.common.foreign import reading
from cl_condense.common.numbers import whole
from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet, read_header

_MOST = 2**53  # images and experiences: what a float counts


class Saved(NamedTuple):
    """What the file of a memory says.

    Attributes:
        condensed: the images.
        seen: images seen of each class, in order of arrival.
        experiences: how many were taken in.
        extra: entries of whoever saved it.
    """

    condensed: CondensedSet
    seen: dict[int, int]
    experiences: int
    extra: Json

    def write(self, path: str | Path) -> None:
        """Writes the file in one step."""
        seen = [[c, n] for c, n in self.seen.items()]
        self.condensed.save(path, seen=seen, experiences=self.experiences, **self.extra)

    @staticmethod
    def read(path: str | Path) -> Saved:
        """Reads what ``write`` wrote.

        Raises:
            ValueError: for a file that is absent, damaged, not a memory, or of an early version.
        """
        condensed, extra = CondensedSet.load(path), read_header(path)
        if "seen" not in extra:
            raise ValueError(f"{path} is a condensed set but not a saved memory: use CondensedSet.load")
        if "experiences" not in extra:
            raise ValueError(
                f"{path} is of a version in which all experiences drew the same random numbers: "
                "make the memory again"
            )
        with reading(path, "a saved memory", "remove it, or make the memory again"):
            listed = [(whole("class", c, 0), whole("images seen", n, 1, _MOST)) for c, n in extra.pop("seen")]
            seen = dict(listed)
            if len(seen) < len(listed) or not set(condensed.class_ids) <= seen.keys():
                raise ValueError("its classes are not those it has seen")
            return Saved(condensed, seen, whole("experiences", extra.pop("experiences"), 1, _MOST), extra)
