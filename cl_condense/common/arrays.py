"""Arrays in ``.npz`` and ``.npy`` files of others: no pickles, and no more memory than the file can fill."""

from __future__ import annotations

import io
import math
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cl_condense.common.foreign import check_room, reading, shown

Array = NDArray[Any]

_MOST_HEADER = 10_000  # characters, numpy's own limit
_MOST_ENTRIES = 1_000
_PACKED = 1_100  # what deflate makes of a byte, at most
_KINDS = "biufU"  # numbers and text


def read_npz(
    path: Path, what: str, remedy: str, *, at_most: int, wanted: Callable[[str], bool] | None = None
) -> dict[str, Array]:
    """The arrays of a file by name.

    Args:
        path: of the file.
        what: it should be.
        remedy: what the message tells to do.
        at_most: bytes of all arrays together.
        wanted: whether an array of a name is read; all are without it.

    Raises:
        ValueError: for a file that is absent or damaged, and for what has to be built by code.
    """
    with reading(path, what, remedy), zipfile.ZipFile(path) as archive:
        entries = [e for e in archive.infolist() if wanted is None or wanted(e.filename.removesuffix(".npy"))]
        total = sum(entry.file_size for entry in entries)
        if len(entries) > _MOST_ENTRIES or total > at_most:
            raise ValueError(f"{len(entries):,} arrays of {total:,} bytes are too many")
        if any(entry.file_size > _PACKED * (entry.compress_size + 1) for entry in entries):
            raise ValueError("it claims more bytes than it can hold")
        check_room(total, "it")
        found = {}
        for entry in entries:
            with archive.open(entry) as stream:
                found[entry.filename.removesuffix(".npy")] = _array(
                    cast("io.BufferedIOBase", stream), entry.file_size
                )
        return found


def parse_npy(data: bytes) -> Array:
    """The array of a ``.npy`` file.

    Raises:
        ValueError: for what is none, is damaged, or has to be built by code.
    """
    return _array(io.BytesIO(data), len(data))


def _array(stream: io.BufferedIOBase, size: int) -> Array:
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"an array of version {version}")
    shape, columns, dtype = readers[version](stream, max_header_size=_MOST_HEADER)
    if dtype.kind not in _KINDS or not dtype.itemsize:
        raise ValueError(f"an array of {shown(dtype)}, which are no numbers or texts")
    count = math.prod(shape)
    if any(n < 0 for n in shape) or count * dtype.itemsize > size:
        raise ValueError(f"an array of shape {shown(shape)} in {size:,} bytes")
    data = bytearray(count * dtype.itemsize)  # which can be written to, as torch wants it
    view, done = memoryview(data), 0
    while done < len(data):
        got = stream.readinto(view[done:])
        if not got:
            raise ValueError("an array that is cut off")
        done += got
    flat = np.frombuffer(data, dtype)
    array = flat.reshape(shape[::-1]).T if columns else flat.reshape(shape)
    if dtype.kind == "U" and flat.size and int(flat.view(f"{dtype.str[0]}u4").max()) > sys.maxunicode:
        raise ValueError("a text of what are no characters")
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))
