"""Image files decoded once, in parallel, into a file that is mapped into memory from then on."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import functional

from cl_condense.common.foreign import one_line
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.data.image_file import opened

if sys.platform == "win32":  # where two processes must not decode the same images at once
    fcntl = None
else:
    import fcntl

CACHE = "CL_CONDENSE_CACHE"
"""The environment variable that names the folder for decoded images."""
_CHUNK = 1024  # images that wait in memory at once
_VERSION = 1  # of what is done to images


def decoded(
    name: str, root: Path, files: Sequence[str], side: int, fit: str, *, on_progress: OnProgress | None = None
) -> NDArray[np.uint8]:
    """The images of some files below ``root``, uint8 ``[n, 3, side, side]``, mapped copy-on-write.

    ``fit`` says how an image gets its size. ``exact``: it has it, or is refused. ``squash``: both sides are
    scaled to it. ``crop``: the shorter side is scaled to it and the middle is cut out. Scaling is Pillow's
    bilinear, which smooths. A JPEG of four times the size or more is decoded at a half, a quarter or an
    eighth of its own, never at less than twice ``side``.

    They are kept in the folder that the environment variable CL_CONDENSE_CACHE names, else in
    ``root/.cl-condense-cache``, and decoded anew where names, sizes or times of the files differ. Interrupted,
    the next call goes on with the images that are missing; a second process waits for the first. What lies
    there can be removed at any time.

    Raises:
        ValueError: on an image that is missing, damaged, of too many pixels or not of the exact size, and
            where nothing can be kept.
    """
    folder = cache_folder(root)
    path = folder / f"{name}-{side}-{_fingerprint(root, files, side, fit)}.npy"
    shape = (len(files), 3, side, side)
    with kept_in(folder, name):
        found = mapped(path, shape)
        if found is None:
            with alone(path.with_suffix(".partial")) as out:
                if mapped(path, shape) is None:  # nobody else was quicker
                    _decode([root / file for file in files], out, shape, fit, on_progress)
                    if not fcntl:
                        out.close()  # Windows renames no file that is open
                    path.with_suffix(".partial").replace(path)
            found = np.lib.format.open_memmap(path, mode="c")
    return found


def cache_folder(root: Path) -> Path:
    """Where decoded images of a folder are kept."""
    return Path(os.environ.get(CACHE) or root / ".cl-condense-cache").expanduser()


@contextmanager
def kept_in(folder: Path, of: object) -> Iterator[None]:
    """Inside decoded images are written to a folder, which is made.

    Raises:
        ValueError: where that cannot be, with what they are of and the remedy.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise one_line(
            f"{of}: decoded images cannot be kept in {folder} ({error.strerror or error}): "
            f"name another folder with the environment variable {CACHE}"
        ) from error


def _fingerprint(root: Path, files: Sequence[str], side: int, fit: str) -> str:
    digest = hashlib.sha256(repr((_VERSION, side, fit)).encode())
    for file in files:
        try:
            stat = os.stat(root / file)
        except OSError as error:
            raise one_line(f"{root / file} cannot be read ({error.strerror}): put that image there") from error
        digest.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The images in a file, or None where it is not there or not whole."""
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        # copy-on-write, since torch warns of arrays that cannot be written to
        found = np.lib.format.open_memmap(path, mode="c")
    except (FileNotFoundError, ValueError):
        return None
    return found if found.shape == shape and found.dtype == np.uint8 else None


@contextmanager
def alone(path: Path) -> Iterator[BinaryIO]:
    """A file to go on with, for one process at a time; it goes away where an image or the disk is at fault."""
    with path.open("a+b") as out:
        with suppress(OSError):  # of file systems without locks
            if fcntl:
                fcntl.flock(out, fcntl.LOCK_EX)
        try:
            yield out
        except (ValueError, OSError):
            out.close()
            path.unlink(missing_ok=True)
            raise


def _decode(
    files: Sequence[Path], out: BinaryIO, shape: tuple[int, ...], fit: str, on_progress: OnProgress | None
) -> None:
    """Writes the images that a file lacks."""
    done = _whole(out, shape)
    need, free = int(np.prod(shape[1:])) * (shape[0] - done), shutil.disk_usage(out.name).free
    if free < need:
        raise OSError(f"{need / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")
    one = partial(_pixels, side=shape[-1], fit=fit)
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # Written, not mapped: where the disk is full a write is an error, and a map the end of the process.
        for start in range(done, len(files), _CHUNK):
            chunk = files[start : start + _CHUNK]
            for pixels in pool.map(one, chunk):
                out.write(pixels.data)
            if on_progress:
                on_progress(Progress("decoding", start + len(chunk), len(files)))
    out.flush()
    os.fsync(out.fileno())


def _whole(out: BinaryIO, shape: tuple[int, ...]) -> int:
    """How many images a file has; it ends with the last of them, and begins with numpy's header."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    out.seek(0)
    same = out.read(len(header.getvalue())) == header.getvalue()
    size, each = os.fstat(out.fileno()).st_size - len(header.getvalue()), int(np.prod(shape[1:]))
    done = min(size // each, shape[0]) if same else 0
    out.truncate(len(header.getvalue()) + done * each if same else 0)
    if not same:
        out.write(header.getvalue())
    return done


def _pixels(file: Path, side: int, fit: str) -> NDArray[np.uint8]:
    """One image ``[3, side, side]``."""
    image = opened(file, 0 if fit == "exact" else 2 * side).convert("RGB")
    if fit == "crop":
        image = functional.center_crop(functional.resize(image, side), side)
    elif fit == "squash":
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    elif image.size != (side, side):
        wide, high = image.size
        raise one_line(f"{file} is {wide} wide x {high} high, not {side} x {side}: put the official file there")
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
