"""A memory as a file: a condensed set with what is needed to go on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet, read_header


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
        try:
            seen = {int(c): int(n) for c, n in extra.pop("seen")}
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"{path} is a condensed set but not a saved memory: use CondensedSet.load"
            ) from None
        experiences = extra.pop("experiences", None)
        if type(experiences) is not int or experiences < 1:
            raise ValueError(
                f"{path} is of a version in which all experiences drew the same random numbers: "
                "make the memory again"
            )
        return Saved(condensed, seen, experiences, extra)
