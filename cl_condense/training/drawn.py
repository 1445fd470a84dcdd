"""What is random in the training of networks, drawn for many mini-batches at once.

Drawing takes tens of operations on small tensors, each of which a GPU has to be asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cl_condense.common.devices import upload
from cl_condense.common.rng import Key, Purpose, permutation
from cl_condense.training.augment import Warp
from cl_condense.training.cutmix import Cut, cuts
from cl_condense.training.protocol import Training

_MOST = {"cpu": 2**13, "cuda": 2**17}
"""Numbers at once: so few on a CPU that caches hold them, many on a GPU; neither was chosen by measurement."""


class Owners(NamedTuple):
    """The networks that draw.

    Attributes:
        numbers: of each its number in its job, a part of its keys.
        keys: integers, or a list of one for each network.
    """

    numbers: Sequence[int]
    keys: Sequence[int | list[int]]

    def on(self, device: torch.device) -> tuple[Tensor, tuple[Key, ...]]:
        """Both on a device: numbers ``[r, 1]``, and keys, ``[r, 1]`` for a list."""
        keys = (upload(k, device)[:, None] if isinstance(k, list) else k for k in self.keys)
        return upload(self.numbers, device)[:, None], tuple(keys)


class Draws:
    """The draws of a training, in any order; each is a function of the keys, the epoch and the mini-batch.

    Args:
        training: the protocol.
        owners: the networks.
        n: images of each.
        like: an image ``[..., h, w]``, of the type and on the device of what they are shown.
    """

    def __init__(self, training: Training, owners: Owners, n: int, like: Tensor) -> None:
        self._training, self._owners, self._n, self._like = training, owners, n, like
        self._number, self._keys = owners.on(like.device)
        full, rest = divmod(n, training.batch_size)
        self._sizes = [training.batch_size] * full + [rest] * bool(rest)
        self._orders: dict[int, Tensor] = {}
        self._warps: dict[int, dict[tuple[int, int], Warp]] = {}
        self._cuts: dict[int, dict[tuple[int, int], Cut]] = {}

    def order(self, epoch: int) -> Tensor:
        """In which each network sees the images in an epoch, ``[r, n]``."""
        if epoch not in self._orders:
            some = range(epoch, min(self._training.epochs, epoch + self._many(self._n)))
            at = upload([*some], self._like.device)[:, None, None]
            drawn = permutation(
                self._n, Purpose.SHUFFLE, *self._keys, at, self._number, device=self._like.device
            )
            self._orders = dict(zip(some, drawn.unbind(), strict=True))
        return self._orders[epoch]

    def order_on(self, device: torch.device, epoch: int) -> Tensor:
        """The same on another device, for which nothing waits."""
        number, keys = self._owners.on(device)
        return permutation(self._n, Purpose.SHUFFLE, *keys, epoch, number, device=device)

    def warp(self, epoch: int, batch: int) -> Warp | None:
        """How the images of a mini-batch are augmented; None where they are not."""
        augment, m, own = self._training.augment, self._sizes[batch], self._owners
        if augment is None:
            return None
        if (epoch, batch) not in (known := self._warps.get(m, {})):
            places = self._ahead(epoch, batch, m * augment.numbers)
            keys = [(*own.keys, *place) for place in places]
            drawn = augment.draws(own.numbers, keys, m, self._like.device)
            known = self._warps[m] = dict(zip(places, drawn, strict=True))
        return known[epoch, batch]

    def cut(self, epoch: int, batch: int) -> Cut | None:
        """How the images of a mini-batch are mixed; None where they are not."""
        probability, m = self._training.cutmix, self._sizes[batch]
        if not probability:
            return None
        if (epoch, batch) not in (known := self._cuts.get(m, {})):
            places = self._ahead(epoch, batch, max(m, self._like[..., 0, :, :].numel()))
            at = upload(places, self._like.device).T[..., None, None]
            drawn = cuts(m, self._like, probability, *self._keys, *at, rows=self._number)
            known = self._cuts[m] = {place: Cut(*(part[i] for part in drawn)) for i, place in enumerate(places)}
        return known[epoch, batch]

    def _ahead(self, epoch: int, batch: int, numbers: int) -> list[tuple[int, int]]:
        """The mini-batches that are drawn with one: those after it that have as many images."""
        sizes, all_of_them = self._sizes, self._training.epochs * len(self._sizes)
        first = epoch * len(sizes) + batch
        after = range(first, min(all_of_them, first + self._many(numbers)))
        places = (divmod(i, len(sizes)) for i in after)
        return [place for place in places if sizes[place[1]] == sizes[batch]]

    def _many(self, numbers: int) -> int:
        """For how many such draws of a network there is room."""
        most = _MOST["cuda" if self._like.is_cuda else "cpu"]
        return max(1, most // (len(self._owners.numbers) * numbers))
