"""A memory as a file: a condensed set with what is needed to go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from cl_condense.common.foreign import reading
from cl_condense.common.kinds import check_kind
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
        waiting: of an ``OnlineMemory``: for each class, how many of its last images wait, and how many images
            they stand for.
        taken: images that ever waited.
    """

    condensed: CondensedSet
    seen: dict[int, int]
    experiences: int
    extra: Json
    waiting: dict[int, tuple[int, int]] = {}  # noqa: RUF012 - a tuple's default, which nothing changes
    taken: int = 0

    @staticmethod
    def of(condensed: CondensedSet, seen: int | Mapping[int, int]) -> Saved:
        """A set that no memory has made, as if after one experience.

        Args:
            condensed: the set.
            seen: images that each class had, or that classes had by their ids.

        Raises:
            ValueError: for soft labels, and numbers below those of the images.
        """
        check_kind("set", condensed, CondensedSet, "a CondensedSet, such as CondensedSet.load(path)")
        if condensed.soft_labels() is not None:
            raise ValueError("soft labels say nothing of classes to come: take up a set of hard ones")
        counts = dict(zip(condensed.class_ids, condensed.counts, strict=True))
        given = seen if isinstance(seen, Mapping) else dict.fromkeys(counts, seen)
        if other := counts.keys() ^ given.keys():
            raise ValueError(
                f"class {min(other)} is not in both the set and the images seen: give each class once"
            )
        found = {c: whole(f"images seen of class {c}", given[c], n, _MOST) for c, n in counts.items()}
        return Saved(condensed, found, 1, {})

    def write(self, path: str | Path) -> None:
        """Writes the file in one step."""
        seen = [[c, n] for c, n in self.seen.items()]
        waiting = [[c, *both] for c, both in self.waiting.items()]
        online = {"waiting": waiting, "taken": self.taken} if self.taken else {}
        self.condensed.save(path, seen=seen, experiences=self.experiences, **online, **self.extra)

    def checked(self, path: str | Path) -> Saved:
        """Itself, for a memory in which nothing waits.

        Raises:
            ValueError: where something does.
        """
        if self.waiting:
            raise ValueError(f"{path} holds images that wait to be condensed: load it into an OnlineMemory")
        return self

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
            seen, waiting = dict(listed), _waiting(extra.pop("waiting", []), condensed)
            if len(seen) < len(listed) or not set(condensed.class_ids) <= seen.keys() | waiting.keys():
                raise ValueError("its classes are not those it has seen")
            taken = whole("images taken", extra.pop("taken", 0), len(waiting), _MOST)
            experiences = whole("experiences", extra.pop("experiences"), int(not waiting), _MOST)
            return Saved(condensed, seen, experiences, extra, waiting, taken)


def _waiting(rows: object, condensed: CondensedSet) -> dict[int, tuple[int, int]]:
    """What waits of each class; errors as those of its numbers, and of what is no such list."""
    if not isinstance(rows, list):
        raise ValueError("what waits is no list")
    there = dict(zip(condensed.class_ids, condensed.counts, strict=True))
    found = {}
    for c, n, shown in rows:
        n = whole("images that wait", n, 1, there[whole("class", c, 0)])  # noqa: PLW2901 - as it is checked
        found[c] = n, whole("images shown", shown, n, _MOST)
    return found


def check_extra(extra: Json) -> None:
    """Raises ValueError for entries of the names that a memory's own have."""
    if taken := extra.keys() & {"seen", "experiences", "waiting", "taken", "real", "chosen"}:
        raise ValueError(f"{min(taken)} is an entry of every memory: give it another name")
