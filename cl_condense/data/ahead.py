"""Batches gathered ahead of their use, where that takes time: of files, and of images that no GPU holds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from cl_condense.data.imageset import ImageSet


class Batch(NamedTuple):
    """A batch that is wanted: what tells it from others, and its indices or what draws them."""

    name: Hashable
    rows: Tensor | Callable[[], Tensor]


class _Gathered(NamedTuple):
    """Images as they are stored, and what says that they have arrived on a GPU."""

    images: Tensor
    arrived: torch.cuda.Event | None


class Ahead:
    """Takes batches of images; while one is used, a thread gathers the next, and uploads it on a second stream.

    What is taken is what ``real.take`` gives. Images in memory or on the device are taken when they are wanted:
    a thread would cost more.
    """

    def __init__(self, real: ImageSet) -> None:
        self._real, self._next = real, dict[Hashable, Future[_Gathered]]()
        self._pool: ThreadPoolExecutor | None = None
        onto = real.store.onto
        self._stream = None if onto is None else torch.cuda.Stream(onto)

    def take(self, wanted: Batch, then: Callable[[], Batch | None]) -> Tensor:
        """Network inputs of a batch; ``then`` says which one is probably wanted next."""
        if not self._real.store.far:
            return self._real.take(_index(wanted))
        ready = self._next.pop(wanted.name, None)
        self._next.clear()  # what was not wanted after all
        found = self._gather(wanted) if ready is None else ready.result()
        if after := then():
            self._pool = self._pool or ThreadPoolExecutor(1, "gathering")
            self._next[after.name] = self._pool.submit(self._gather, after)
        if found.arrived is not None:
            here = torch.cuda.current_stream(found.images.device)
            here.wait_event(found.arrived)
            found.images.record_stream(here)  # its memory is not given away before this stream is through
        return self._real.normalised(found.images)

    def _gather(self, batch: Batch) -> _Gathered:
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            images = self._real.store.gather(_index(batch))
        return _Gathered(images, None if self._stream is None else self._stream.record_event())


def in_parts(real: ImageSet, rows: Tensor, size: int) -> Iterator[Tensor]:
    """Network inputs of the images at ``rows``, so many at a time."""
    ahead, batches = Ahead(real), [Batch(i, part) for i, part in enumerate(rows.split(size))]
    later = iter(batches)
    next(later, None)
    for batch in batches:
        yield ahead.take(batch, lambda: next(later, None))  # asked once for each, or never


def _index(batch: Batch) -> Tensor:
    return batch.rows if isinstance(batch.rows, Tensor) else batch.rows()
