"""Classes condensed to a quota each, where quotas differ."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from cl_condense.common.checkpoint import Checkpoint, Checkpoints
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.imageset import ImageSet

Make = Callable[[ImageSet, int], CondensedSet]
"""Condenses every class of a set to a number of images."""


def condensed_to(quotas: Mapping[int, int], real: ImageSet, make: Make, *, apart: bool) -> CondensedSet:
    """Each class of ``quotas`` condensed to its quota, or to as many images as it has in ``real``.

    Args:
        quotas: images of each class, at least 1; ``real`` may have more classes.
        real: the images.
        make: condenses.
        apart: what it makes of a class depends on no other class: those of one quota are condensed together,
            without the others. Else all of ``real`` are, to the largest quota, and each class keeps its first
            images, so that networks that train see every class.
    """
    there = dict(zip(real.class_ids, real.counts, strict=True))
    quotas = {c: min(q, there[c]) for c, q in quotas.items()}
    if not apart:
        most = max(quotas.values())
        return make(real.filled(most), most).first(quotas)
    sizes = sorted(set(quotas.values()), reverse=True)
    parts = [make(real.only([c for c, q in quotas.items() if q == size]), size) for size in sizes]
    return functools.reduce(CondensedSet.merged, parts)


class Parts:
    """The condensations of an update, one after another."""

    def __init__(self, checkpoints: Checkpoints | None = None) -> None:
        self._checkpoints, self.number = checkpoints, 0

    def next(self) -> Checkpoint | None:
        """That of the next one."""
        self.number += 1
        return self._checkpoints.part(f"condense{self.number}") if self._checkpoints else None
