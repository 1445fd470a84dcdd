"""Real images that wait until there are enough of their class to condense."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from cl_condense.common.rng import Purpose, fold
from cl_condense.condensation.codecs import Stored, codec
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.image_checks import Constants
from cl_condense.memory.budgets import Budget, Shape


@dataclass
class Staging:
    """A sample of each class's images since its last condensation, in a budget that its classes share.

    A class that takes more room than others gives it to them. Within a class it is a reservoir: each image that
    was shown is as likely to be there, but for those that came when the class had given room away.

    Attributes:
        budget: ``max_size`` or ``max_bytes``.
        codec: how images are stored.
        seed: what goes is drawn from it.
        shown: images of each class since it was last condensed.
        taken: images that were ever shown.
    """

    budget: Budget
    codec: str
    seed: int
    shown: dict[int, int] = field(default_factory=dict)
    taken: int = 0
    _rows: dict[int, list[Stored]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def counts(self) -> dict[int, int]:
        """How many images of each class wait."""
        return {c: len(rows) for c, rows in self._rows.items()}

    def copy(self) -> Staging:
        """One with the same images, that goes ways of its own."""
        rows = {c: [*own] for c, own in self._rows.items()}
        return replace(self, shown=dict(self.shown), _rows=rows)

    def rows(self, pixels: Tensor) -> list[Stored]:
        """Images ``[n, c, h, w]``, normalised, as they are stored, one by one."""
        stored = codec(self.codec).encode(pixels)
        return [{name: each[i : i + 1].clone() for name, each in stored.items()} for i in range(len(pixels))]

    def has_room(self, shape: Shape, *class_ids: int) -> bool:
        """Whether images of classes get in, if others go in their favour: one of each class stays."""
        classes = len(self._rows.keys() | {*class_ids})
        return classes <= self._most(classes, shape)

    def fit(self, shape: Shape) -> None:
        """Lets go what is above the budget, for which there ``has_room``."""
        self._shrink(self._most(len(self._rows), shape), fold(Purpose.STAGING, self.seed, self.taken, 1))

    def take(self, c: int, row: Stored, shape: Shape) -> None:
        """Takes in an image of a class, for which there ``has_room``."""
        self.taken += 1
        self.shown[c] = self.shown.get(c, 0) + 1
        most = self._most(len(self._rows.keys() | {c}), shape)
        own, at = self._rows.get(c, []), fold(Purpose.STAGING, self.seed, self.taken)
        if len(self) >= most and own and len(own) >= len(self._largest()) - 1:
            place = at % self.shown[c]  # Vitter's algorithm R
            if place < len(own):
                own[place] = row
            return
        self._shrink(most - 1, at)
        self._rows.setdefault(c, []).append(row)

    def waiting(self, class_ids: Collection[int], normalisation: Constants) -> CondensedSet:
        """The images of some classes that have some."""
        ids = sorted(class_ids)
        rows = [row for c in ids for row in self._rows[c]]
        return CondensedSet(
            {name: torch.cat([row[name] for row in rows]) for name in rows[0]},
            tuple(ids),
            tuple(len(self._rows[c]) for c in ids),
            *normalisation,
            codec=self.codec,
        )

    def put(self, images: CondensedSet, shown: dict[int, int]) -> None:
        """Takes over what waited in another one, which ``shown`` has in order of arrival."""
        rows = [{name: t[i : i + 1].clone() for name, t in images.stored.items()} for i in range(len(images))]
        starts = [sum(images.counts[:i]) for i in range(len(images.counts))]
        parts = zip(images.class_ids, starts, images.counts, strict=True)
        own = {c: rows[start : start + n] for c, start, n in parts}
        # As the classes came: of those with as many images it is the first that gives one away.
        self._rows = {c: own[c] for c in shown}
        self.shown = dict(shown)

    def forget(self, class_ids: Collection[int]) -> None:
        """Lets the images of some classes go."""
        for c in class_ids:
            del self._rows[c], self.shown[c]

    def _shrink(self, most: int, at: int) -> None:
        while len(self) > most:
            largest = self._largest()
            largest.pop(at % len(largest))

    def _largest(self) -> list[Stored]:
        return max(self._rows.values(), key=len)

    def _most(self, classes: int, shape: Shape) -> int:
        """Images that the budget holds, of so many classes."""
        return self.budget.images(classes, self.codec, shape)
