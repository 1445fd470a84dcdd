"""What memories have in common, whatever they are filled from."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor

from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.parts import labels_of
from cl_condense.memory.budgets import Budget


@runtime_checkable
class Memory(Protocol):
    """A few images of what a stream has shown: a ClassMemory, or an OnlineMemory.

    Attributes:
        budget: what it may hold in all.
        condensed: all images that are held, or None before the first.
        seen: how many were seen of each class of each domain, in order of arrival.
        nbytes: of all that is stored.
    """

    @property
    def budget(self) -> Budget: ...
    @property
    def condensed(self) -> CondensedSet | None: ...
    @property
    def seen(self) -> dict[int, int]: ...
    @property
    def nbytes(self) -> int: ...

    def decode(self) -> tuple[Tensor, Tensor]:
        """Images to train on, normalised, and their labels."""
        ...

    def resize(self, max_size: int) -> None:
        """Sets ``max_size`` and shrinks the memory to it."""
        ...

    def save(self, path: str | Path, **extra: object) -> None:
        """Writes the memory and what is needed to go on."""
        ...

    def load(self, path: str | Path) -> Json:
        """Takes over a saved memory and returns the extra entries."""
        ...


def to_train_on(held: CondensedSet | None, first: str = "experience") -> tuple[Tensor, Tensor]:
    """Images ``[n, c, h, w]``, normalised, and their labels ``[n]``, of whatever domain.

    Raises:
        ValueError: for None; ``first`` is what a memory is empty before.
    """
    if held is None:
        raise ValueError(f"the memory is empty: there is nothing to train on before the first {first}")
    images, class_ids = held.decode()
    return images, labels_of(class_ids)
