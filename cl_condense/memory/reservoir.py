"""How many images of each class a reservoir has: a uniform sample of all that a stream has shown."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def drawn(
    size: int, seen: Mapping[int, int], has: Mapping[int, int], counts: Mapping[int, int], seed: int
) -> dict[int, int]:
    """Images of each class in a reservoir (Vitter, 1985) when a stream goes on, of those that have some.

    Every image of the stream is as likely to be in it as any other: how many of the new images get in, and how
    many of each class these and those that stay are, is hypergeometric.

    Args:
        size: of the reservoir.
        seen: images of each class that it was shown before.
        has: those of them that are in it.
        counts: new ones of each class.
        seed: what it is drawn from; numpy's old generator, whose numbers stay what they are.
    """
    draw = np.random.RandomState(seed)
    new, before = sum(counts.values()), sum(seen.values())
    enter = new if new + before <= size else _one_of(draw, new, before, size)
    stay = _each(draw, has, min(size - enter, sum(has.values())))
    come = _each(draw, counts, enter)
    classes = dict.fromkeys([*seen, *counts])
    found = {c: stay.get(c, 0) + come.get(c, 0) for c in classes}
    return {c: n for c, n in found.items() if n}


def _each(draw: np.random.RandomState, there: Mapping[int, int], number: int) -> dict[int, int]:
    """How many of each class are among so many that are drawn from all of them."""
    found, rest = {}, sum(there.values())
    for c, n in there.items():
        rest -= n
        found[c] = _one_of(draw, n, rest, number)
        number -= found[c]
    return found


def _one_of(draw: np.random.RandomState, good: int, bad: int, number: int) -> int:
    if not number or not good:
        return 0
    return int(draw.hypergeometric(good, bad, number)) if bad else number
