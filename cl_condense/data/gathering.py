"""Many image files decoded to one size, in parallel; what is told and raised does not depend on that."""

from __future__ import annotations

import warnings
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cl_condense.common.foreign import one_line
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.data.image_file import opened, size_of
from cl_condense.data.kept import decoded_into
from cl_condense.data.layout import Classes
from cl_condense.data.preparation import Note, OnNote, Preparation
from cl_condense.data.shaping import fitted
from cl_condense.data.store import Store

Array = NDArray[np.uint8]

_USUAL = 64  # pixels a side that are proposed
_SHOWN = 3  # sizes in a message
_WAITING = 64  # images that are decoded before they are wanted, at most


class _Unequal(Exception):
    """An image of another size than the first."""


class Gathered(NamedTuple):
    """Decoded images ``[n, c, h, w]``, and the row of each file but for those that were skipped."""

    store: Store
    row: dict[Path, int]


class Gathering:
    """Decodes image files in one way.

    Args:
        root: the folder or list, for messages, and for what no memory holds; None: memory it is.
        wanted: size, channels, and whether damaged files are skipped.
        on_progress: told of every image.
        on_note: told of every file that is skipped.
    """

    def __init__(
        self,
        root: Path | None = None,
        wanted: Preparation | None = None,
        on_progress: OnProgress | None = None,
        on_note: OnNote | None = None,
    ) -> None:
        self._root, self._wanted = root, wanted or Preparation()
        self._on_progress, self._on_note = on_progress, on_note
        self._skipped: dict[Path, str] = {}

    def decoded(self, files: Sequence[Path]) -> Gathered:
        """All images, grey ones as colour where any is of colour.

        Raises:
            ValueError: for the first file, in their order, that is damaged and not to be skipped, or has
                another size than the first.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            first = next((each for each in map(self._one, files) if not isinstance(each, str)), None)
            size = (1, 1) if first is None else first.shape[:2]
            shape = len(files), self._wanted.channels or 3, *size

            def fill(pixels: Array) -> tuple[bool, dict[int, str]]:
                return self._fill(pixels, files, size)

            home = self._root and (self._root if self._root.is_dir() else self._root.parent)
            found = decoded_into(shape, home, self._wanted.options(), files, fill)
        for place, why in found.skipped.items():
            self._skipped[files[place]] = why
            if self._on_note:
                self._on_note(Note("skipped", why, files[place]))
        rows = {file: row for row, file in enumerate(files) if row not in found.skipped}
        return Gathered(Store(torch.from_numpy(found.pixels), mapped=found.mapped), rows)

    def kept(self, part: Classes, found: Collection[Path]) -> Classes:
        """A part without what was skipped.

        Raises:
            ValueError: for a class of which nothing is left.
        """
        left = {name: [file for file in own if file in found] for name, own in part.items()}
        for name, own in left.items():
            if not own:
                of = f"class {name!r}: none of its {len(part[name])} files can be read"
                raise one_line(f"{of} ({self._skipped[part[name][0]]}), or leave it out with --classes")
        return left

    def _fill(self, pixels: Array, files: Sequence[Path], size: tuple[int, ...]) -> tuple[bool, dict[int, str]]:
        """Decodes all into ``[n, c, h, w]``; whether all are grey, and why some were skipped."""
        grey, skipped = True, dict[int, str]()
        for place, found in enumerate(self._each(files, size)):
            if isinstance(found, str):
                skipped[place] = found
            else:
                pixels[place] = found if found.ndim == 2 else found.transpose(2, 0, 1)
                grey &= found.ndim == 2
            if self._on_progress:
                self._on_progress(Progress("decoding", place + 1, len(files)))
        return grey, skipped

    def _each(self, files: Sequence[Path], size: tuple[int, ...]) -> Iterator[Array | str]:
        """Every image, or why it is skipped, in the order of the files; some are decoded ahead, in threads."""
        pool, waiting = ThreadPoolExecutor(), deque[Future[Array | str]]()
        try:
            for file in files:
                waiting.append(pool.submit(self._one, file, size))
                if len(waiting) == _WAITING:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except _Unequal:
            raise self._unequal(files) from None
        finally:
            pool.shutdown(cancel_futures=True)

    def _one(self, file: Path, size: tuple[int, ...] | None = None) -> Array | str:
        """One image, ``[h, w]`` where it is grey and else ``[h, w, 3]``; where it is skipped, why."""
        wanted = self._wanted
        same = wanted.size is None and size is not None
        if same and (claimed := size_of(file)) and sorted(claimed) != sorted(size or ()):
            raise _Unequal  # before it is decoded: its size may be meant to fill the memory
        try:
            image = opened(file, 2 * max(wanted.size or (0,)), upright=True)
        except ValueError as error:
            if not wanted.skip_damaged:
                raise
            return str(error)
        if wanted.channels is not None:
            image = image.convert("L" if wanted.channels == 1 else "RGB")
        array = np.asarray(image if wanted.size is None else fitted(image, wanted.size))
        if same and array.shape[:2] != size:
            raise _Unequal
        return array

    def _unequal(self, files: Sequence[Path]) -> ValueError:
        """What to say of images of several sizes."""
        sizes = {file: found for file in files if (found := size_of(file))}
        counts = Counter(sizes.values())
        first = {size: file for file, size in reversed(sizes.items())}
        shown = [
            f"{w} x {h} ({f'{n} images, ' if n > 1 else ''}{first[h, w]})"
            for (h, w), n in counts.most_common(_SHOWN)
        ]
        more = ", ..." if len(counts) > _SHOWN else ""
        side = min(_USUAL, *map(min, counts)) if counts else _USUAL
        example = f", for example with --size {side}" if self._root else ""
        where = self._root or files[0].parent
        said = f"{where} has images of {len(counts)} sizes, {', '.join(shown)}{more}"
        return one_line(f"{said}: bring all to one{example}")
