"""Images where they lie, in memory, on a device or in a mapped file; batches are gathered from there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

_PART = 2**24  # bytes that are looked at at once


@dataclass(frozen=True, eq=False)
class Store:
    """Images that are never copied as a whole: some classes of them are rows, a batch is gathered.

    Attributes:
        whole: ``[N, c, h, w]``.
        rows: ``[n]`` int64, beside ``whole``: which of them, in which order; None: all, as they lie.
        onto: where what is gathered goes, if that is not where ``whole`` is: images too many for a GPU.
        mapped: whether ``whole`` is a file, of which a page is read when it is looked at.
    """

    whole: Tensor
    rows: Tensor | None = None
    onto: torch.device | None = None
    mapped: bool = False

    def __len__(self) -> int:
        return len(self.whole) if self.rows is None else len(self.rows)

    @property
    def home(self) -> torch.device:
        """Where the images are, and indices of them."""
        return self.whole.device

    @property
    def device(self) -> torch.device:
        """Where what is gathered is."""
        return self.onto or self.home

    @property
    def far(self) -> bool:
        """Whether a batch takes its time, so that it pays to gather the next one ahead."""
        return self.mapped or self.onto is not None

    @property
    def nbytes(self) -> int:
        """Of its images."""
        return len(self) * self.whole[:1].nbytes

    def gather(self, index: Tensor) -> Tensor:
        """Images ``[*index.shape, c, h, w]``, as they are stored.

        To a GPU that they do not fit they go through pinned memory, and nothing waits for them.
        """
        index, shape = index.to(self.home), (*index.shape, *self.whole.shape[1:])
        flat = index.reshape(-1) if self.rows is None else self.rows[index.reshape(-1)]
        if self.onto is None:  # index_select copies images, an index of several dimensions single pixels
            return self.whole.index_select(0, flat).reshape(shape)
        held = torch.empty(len(flat), *shape[index.ndim :], dtype=self.whole.dtype, pin_memory=True)
        torch.index_select(self.whole, 0, flat, out=held)
        return held.to(self.onto, non_blocking=True).reshape(shape)

    def sent(self, numbers: Tensor) -> Tensor:
        """Numbers that lie beside the images, beside what is gathered; nothing waits for them."""
        if self.onto is None:
            return numbers
        held = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
        return held.copy_(numbers).to(self.onto, non_blocking=True)

    def picked(self, rows: slice | Tensor) -> Store:
        """Some of the images; none is copied."""
        if self.rows is not None:
            return replace(self, rows=self.rows[rows])
        if isinstance(rows, slice):
            return replace(self, whole=self.whole[rows])
        return replace(self, rows=rows)

    def parts(self) -> Iterator[Tensor]:
        """All images in order, some at a time, where they are."""
        size = max(1, _PART // max(1, self.whole[:1].nbytes))
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            rows = self.rows
            yield self.whole[start:stop] if rows is None else self.whole.index_select(0, rows[start:stop])

    def packed(self) -> Tensor:
        """All images side by side: themselves where they lie so, and else a copy."""
        return self.whole if self.rows is None else torch.cat([*self.parts()])

    def to(self, device: torch.device | str) -> Store:
        """On another device, a part at a time where they do not lie side by side."""
        if self.rows is None or self.home == torch.empty(0, device=device).device:
            whole = self.whole.to(device)
            return replace(self, whole=whole, onto=None, mapped=self.mapped and whole.device == self.home)
        whole = torch.empty(len(self), *self.whole.shape[1:], dtype=self.whole.dtype, device=device)
        done = 0
        for part in self.parts():
            whole[done : done + len(part)] = part
            done += len(part)
        return Store(whole)

    def bound_for(self, device: torch.device) -> Store:
        """Left where they are; what is gathered goes to a device."""
        return replace(self, onto=None if device == self.home else torch.empty(0, device=device).device)


def tensor_of(value: object) -> tuple[Tensor, bool]:
    """What torch makes of a value, and whether it lies in a mapped file; errors are torch's."""
    with warnings.catch_warnings():
        # of an array that cannot be written to: nothing here writes to images
        warnings.filterwarnings("ignore", "The given NumPy array is not writ", UserWarning)
        return torch.as_tensor(value), _mapped(value)


def _mapped(value: object) -> bool:
    while value is not None and not isinstance(value, np.memmap):
        value = getattr(value, "base", None) if isinstance(value, np.ndarray) else None
    return value is not None
