"""The memory as Avalanche's strategies read it: a dataset, and one for each label."""

from __future__ import annotations

from typing import NamedTuple

from cl_condense.strategies.tensors import Items


class MemoryGroup(NamedTuple):
    """The images of a label.

    Attributes:
        max_size: how many there are.
        buffer: the images.
    """

    max_size: int
    buffer: Items


class Shown(NamedTuple):
    """A state of the memory as datasets; made once for each, since MIR asks for all groups again and again."""

    dataset: Items
    groups: dict[int, MemoryGroup]

    @staticmethod
    def of(dataset: Items) -> Shown:
        """Grouped by label, in the order of the labels."""
        places: dict[int, list[int]] = {}
        for place, label in enumerate(dataset.targets):
            places.setdefault(label, []).append(place)
        return Shown(
            dataset, {y: MemoryGroup(len(own), dataset.subset(own)) for y, own in sorted(places.items())}
        )
