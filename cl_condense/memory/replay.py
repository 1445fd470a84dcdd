"""ReplayMemory: a memory for a training loop of plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cl_condense.common.kinds import check_call, check_kind
from cl_condense.common.numbers import seed as checked_seed
from cl_condense.common.numbers import whole
from cl_condense.common.rng import Purpose, permutation
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.memory.contract import Memory


class ReplayMemory(Dataset[tuple[Tensor, int]]):
    """The images of a memory as they are at any time: to sample from, and a data set for a DataLoader.

    It has no images of its own: what ``memory.update`` or ``observe`` makes, it gives next. Images are
    normalised as those of the experiences were.

    Args:
        memory: a ClassMemory, or an OnlineMemory.
        transform: augments, a function of one image ``[c, h, w]``.
        seed: ``sample`` draws from it and the number of the call; the global generators are left alone.
    """

    def __init__(
        self, memory: Memory, transform: Callable[[Tensor], Tensor] | None = None, seed: int = 0
    ) -> None:
        check_kind("memory", memory, Memory, "a ClassMemory, such as ClassMemory(200)")
        check_call("transform", transform)
        self.memory, self.transform = memory, transform
        self._seed, self._calls = checked_seed(seed), 0
        self._decoded: tuple[CondensedSet, Tensor, Tensor] | None = None

    def __len__(self) -> int:
        """How many images there are; 0 before the first experience."""
        return len(self._images()[0]) if self.memory.condensed else 0

    def __bool__(self) -> bool:
        # Whether there is something to replay is len(memory) > 0; an empty one is not none.
        return True

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """An image ``[c, h, w]``, augmented, and its label."""
        images, labels = self._images()
        image = images[index].clone()  # transforms may work in place
        return self.transform(image) if self.transform else image, int(labels[index])

    def sample(self, n: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """N random images ``[n, c, h, w]``, augmented, and labels ``[n]``; all of them where there are fewer.

        Raises:
            ValueError: before the first experience.
        """
        images, labels = self._images()
        self._calls += 1
        chosen = permutation(len(images), Purpose.REPLAY, self._seed, self._calls)[: whole("images", n)]
        drawn = images[chosen]
        if self.transform:
            drawn = torch.stack([self.transform(image) for image in drawn])
        return drawn.to(device), labels[chosen].to(device)

    def _images(self) -> tuple[Tensor, Tensor]:
        """Images and labels, decoded once for each state of the memory."""
        condensed = self.memory.condensed
        if condensed is None:
            raise ValueError("the memory is empty: begin to replay when len(memory) is above 0")
        if self._decoded is None or self._decoded[0] is not condensed:
            self._decoded = (condensed, *self.memory.decode())
        return self._decoded[1:]
