"""Several processes, called ranks, that do one piece of work: what one of them knows of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")


class Over(BaseException):
    """The leader ends a piece of work before its end. No Exception, so that nothing takes it for a fault."""


class Lost(Exception):
    """Another rank has ended in the midst of work; without a message where one has said so already.

    Attributes:
        code: that this process is to end with.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Ranks:
    """A process that works alone; ``Distributed`` ranks are several.

    All of them do the same calls in the same order. Rank 0 leads: it alone reads, writes and prints.

    Attributes:
        rank: which this process is, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def record(self) -> dict[str, int]:
        """What a record says of them; nothing of one alone."""
        return {"ranks": self.size} if self.size > 1 else {}

    def check_device(self, device: torch.device) -> None:
        """Raises ValueError where ranks cannot compute on such a device, each on one of its own."""

    def first(self, most: int) -> Ranks:
        """The first ranks, ``most`` of them or all; the others are no part of it (``rank`` is -1)."""
        return self

    def call(self, work: Callable[..., None], args: Callable[[], tuple[object, ...]]) -> None:
        """The leader has the other ranks do ``work(ranks, *args())``, a function of a module."""

    def rest(self) -> None:
        """Says that what ``call`` began is at its end on all ranks."""

    def told(self, value: T) -> T:
        """The leader's value, on all ranks; those of the others are passed over."""
        return value

    def once(self, find: Callable[[], T]) -> T:
        """What the leader finds, on all ranks: the others do not look for it."""
        return find()

    def spread(self, tensors: Sequence[Tensor], owner: int) -> None:
        """Fills the tensors with those of a rank, in place."""

    def gathered(self, own: Tensor, sizes: Sequence[int]) -> Tensor:
        """The tensors of all ranks in a row, on all of them, differentiable in the own one.

        What is computed from it is computed by every rank in full, so that gradients have no way to go.

        Args:
            own: ``[sizes[rank], ...]``.
            sizes: of each rank.
        """
        return own

    def collected(self, own: Tensor, sizes: Sequence[int]) -> Tensor:
        """The same without gradients on the leader alone; the others get their own."""
        return own

    def total(self, own: Tensor) -> Tensor:
        """The sum over ranks, without gradients."""
        return own

    def union(self, own: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of all ranks, by name, on the leader; the others get their own."""
        return own


ALONE = Ranks()
"""Where there is one process."""
