"""Decoded images of a folder that are too many for the memory: a file beside them, mapped from then on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cl_condense.common.files import atomic
from cl_condense.common.foreign import check_room, parse_object
from cl_condense.common.room import memory_here
from cl_condense.data.decoding import alone, cache_folder, kept_in, mapped

Array = NDArray[np.uint8]

_SHARE = 2  # of the memory decoded images may take one in so many parts
_VERSION = 1  # of what is done to images


class Decoded(NamedTuple):
    """Images ``[n, c, h, w]``, of which those that were skipped are blank.

    Attributes:
        pixels: of one channel where every image is grey.
        skipped: why, by their places.
        mapped: whether they lie in a file.
    """

    pixels: Array
    skipped: dict[int, str]
    mapped: bool = False


Fill = Callable[[Array], tuple[bool, dict[int, str]]]
"""Decodes into an array; whether every image is grey, and what was skipped."""


def decoded_into(
    shape: tuple[int, ...], root: Path | None, identity: object, files: Sequence[Path], fill: Fill
) -> Decoded:
    """Images decoded into memory, or where they would take more than half of it into a file that is mapped.

    The file lies where ``decoding.decoded`` has its own, is named by the identity and by the names, sizes and
    times of the files, and is taken from there the next time. Without a ``root`` it is memory.

    Raises:
        ValueError: where no such file can be written.
    """
    there = memory_here()
    if root is None or there is None or _SHARE * int(np.prod(shape)) <= there:
        check_room(int(np.prod(shape)), f"{shape[0]:,} images of {shape[2]} x {shape[3]}")
        pixels = np.empty(shape, np.uint8)
        grey, skipped = fill(pixels)
        return Decoded(np.ascontiguousarray(pixels[:, :1]) if grey else pixels, skipped)
    folder = cache_folder(root)
    path = folder / f"folder-{_fingerprint(identity, files)}.npy"
    with kept_in(folder, root):
        with alone(path.with_suffix(".partial")) as out:
            if _notes(path, shape) is None:  # nobody else was quicker
                _write(out, path, shape, fill)
            path.with_suffix(".partial").unlink(missing_ok=True)
        grey, skipped = _notes(path, shape) or (False, {})
        found = np.lib.format.open_memmap(path, mode="c")
    return Decoded(found[:, :1] if grey else found, skipped, mapped=True)


def _write(out: BinaryIO, path: Path, shape: tuple[int, ...], fill: Fill) -> None:
    out.truncate(0)
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    _take_room(out, int(np.prod(shape)))
    out.flush()
    pixels = np.lib.format.open_memmap(path.with_suffix(".partial"), mode="r+")
    grey, skipped = fill(pixels)
    pixels.flush()
    del pixels  # Windows renames no file that is mapped
    with atomic(path.with_suffix(".json")) as notes:
        notes.write_text(json.dumps({"grey": grey, "skipped": {str(i): why for i, why in skipped.items()}}))
    path.with_suffix(".partial").replace(path)


def _take_room(file: BinaryIO, nbytes: int) -> None:
    """Makes a file longer, by bytes that the disk has: where it is full a map is the end of the process."""
    if (free := shutil.disk_usage(file.name).free) < nbytes:
        raise OSError(f"{nbytes / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")
    file.flush()
    begin = file.tell()
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), begin, nbytes)
    else:
        file.truncate(begin + nbytes)


def _notes(path: Path, shape: tuple[int, ...]) -> tuple[bool, dict[int, str]] | None:
    """What was noted of a file of images; None where it is not there or not whole."""
    if mapped(path, shape) is None:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        found = parse_object(path.with_suffix(".json").read_bytes())
        return bool(found["grey"]), {int(i): str(why) for i, why in found["skipped"].items()}
    return None


def _fingerprint(identity: object, files: Sequence[Path]) -> str:
    digest = hashlib.sha256(repr((_VERSION, identity)).encode())
    for file in files:
        digest.update(f"{file}\0".encode("utf-8", "surrogateescape"))
        with suppress(OSError, ValueError):  # one that is not there is told of when it is decoded
            stat = os.stat(file)
            digest.update(f"{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
