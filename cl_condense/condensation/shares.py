"""The classes of a set shared out over ranks, and the views of all ranks as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from torch import Tensor

from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.condensation.view import NetworkOutputs, View
from cl_condense.data.imageset import ImageSet


@dataclass(frozen=True)
class Share:
    """The classes that a rank optimises: side by side in the set, and about as dear as those of any other rank.

    Attributes:
        sizes: classes of each rank.
        ranks: those that share the classes; ``ALONE`` where this process does all of them.
    """

    sizes: tuple[int, ...]
    ranks: Ranks = ALONE

    @property
    def start(self) -> int:
        """Classes before the first of this rank."""
        return sum(self.sizes[: self.ranks.rank])

    @property
    def size(self) -> int:
        return self.sizes[self.ranks.rank]

    @property
    def rows(self) -> range:
        """Positions of its classes in the set."""
        return range(self.start, self.start + self.size)

    def of(self, real: ImageSet) -> ImageSet:
        """The images of the classes of this rank."""
        if self.ranks.size == 1:
            return real
        return real.only(real.class_ids[self.start : self.start + self.size])

    def cut(self, whole: Tensor) -> Tensor:
        """Of something of every class ``[k, ...]`` that of its own.

        Raises:
            ValueError: where it is of other classes.
        """
        if len(whole) != sum(self.sizes):
            raise ValueError(f"{len(whole)} classes, not {sum(self.sizes)}")
        if self.ranks.size == 1:
            return whole
        return whole[self.start : self.start + self.size].clone()  # a view would hold the memory of all

    def collected(self, own: Tensor) -> Tensor:
        """``[k, ...]`` of the classes of all ranks, on the leader; the others get their own."""
        return self.ranks.collected(own, self.sizes)

    def gathered(self, own: Tensor) -> Tensor:
        """The same on all ranks, differentiable in the own part."""
        return self.ranks.gathered(own, self.sizes)

    def together(self, view: View) -> View:
        """A view of this rank's classes and those of all others, for terms that compare classes."""
        return view if self.ranks.size == 1 else _Together(view, self)


def shared_out(costs: Sequence[float], ranks: Ranks) -> Share:
    """Classes of some costs each, as many as there are ranks or more, shared out evenly."""
    total, sums, bounds = sum(costs), [*accumulate(costs)], [0]
    for rank in range(1, ranks.size):
        wanted = total * rank / ranks.size
        nearest = min(range(len(costs)), key=lambda i: abs(sums[i] - wanted)) + 1
        bounds.append(min(max(nearest, bounds[-1] + 1), len(costs) - ranks.size + rank))
    bounds.append(len(costs))
    return Share(tuple(b - a for a, b in pairwise(bounds)), ranks)


class _Together(View):
    """The views of all ranks as one: what is read of it is gathered, which all ranks do in one order."""

    def __init__(self, own: View, share: Share) -> None:
        everyone = share.gathered(own.images), share.gathered(own.targets)
        soft = None if own.soft is None else share.gathered(own.soft)
        super().__init__(
            own.net,
            *everyone,
            own._statistics,
            own.accuracy,
            unroll=own.unroll,
            soft=soft,
            keys=own.keys,
            precision=own._precision,
            see=own._see,
        )
        self._own, self._share = own, share

    @cached_property
    def _seen(self) -> NetworkOutputs:
        all_of, seen = self._share.gathered, self._own._seen
        blocks = tuple(tuple(map(all_of, of_blocks)) for of_blocks in seen.statistics)
        return NetworkOutputs(all_of(seen.embedding), all_of(seen.logits), seen.shape, blocks)

    @cached_property
    def of_trained(self) -> View:
        return _Together(self._own.of_trained, self._share)

    @cached_property
    def weight_gradients(self) -> tuple[Tensor, ...]:
        return tuple(map(self._share.gathered, self._own.weight_gradients))
