"""Many image files as arrays of one size."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cl_condense.common.foreign import check_room, one_line
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.data.image_file import opened, size_of
from cl_condense.data.layout import Classes
from cl_condense.data.preparation import Note, OnNote, Preparation
from cl_condense.data.shaping import fitted

Array = NDArray[np.uint8]

_USUAL = 64  # pixels a side that are proposed
_SHOWN = 3  # sizes in a message


class Gathering:
    """Decodes image files in one way.

    Args:
        root: the folder or list, for messages.
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

    def decoded(self, files: Sequence[Path]) -> dict[Path, Array]:
        """Each image but for those that are skipped, ``[h, w]`` where it is grey and else ``[h, w, 3]``."""
        found: dict[Path, Array] = {}
        first: Array | None = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for number, file in enumerate(files, 1):
                array = self._one(file, None if first is None else first.shape[:2], files)
                if array is not None:
                    found[file] = array
                    if first is None:
                        first = array
                        check_room(len(files) * array.size, f"{file} and {len(files) - 1:,} more of its size")
                if self._on_progress:
                    self._on_progress(Progress("decoding", number, len(files)))
        return found

    def kept(self, part: Classes, found: dict[Path, Array]) -> Classes:
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

    def _one(self, file: Path, size: tuple[int, ...] | None, files: Sequence[Path]) -> Array | None:
        """One image; None where it is skipped."""
        wanted = self._wanted
        same = wanted.size is None and size is not None
        if same and (claimed := size_of(file)) and sorted(claimed) != sorted(size or ()):
            raise self._unequal(files)  # before it is decoded: its size may be meant to fill the memory
        try:
            image = opened(file, 2 * max(wanted.size or (0,)), upright=True)
        except ValueError as error:
            if not wanted.skip_damaged:
                raise
            self._skipped[file] = str(error)
            if self._on_note:
                self._on_note(Note("skipped", str(error), file))
            return None
        if wanted.channels is not None:
            image = image.convert("L" if wanted.channels == 1 else "RGB")
        array = np.asarray(image if wanted.size is None else fitted(image, wanted.size))
        if same and array.shape[:2] != size:
            raise self._unequal(files)
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


def stacked(arrays: Sequence[Array], dimensions: int) -> Array:
    """Images ``[n, c, h, w]``, grey ones as colour where any is of colour."""
    if dimensions == 2:
        return np.stack(arrays)[:, None]
    colour = [array if array.ndim == 3 else np.stack([array] * 3, 2) for array in arrays]
    return np.stack(colour).transpose(0, 3, 1, 2)
