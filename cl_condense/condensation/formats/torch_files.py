"""Files of torch.save, read without running what is in them, and written whole or not at all."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cl_condense.common.foreign import check_file, reading, shown
from cl_condense.condensation.formats.pickles import check_pickle
from cl_condense.condensation.formats.unpickling import Reader

MOST = 2**31
"""Bytes of a file that is looked into; the published ones have at most 0.2 GB."""

GIVE = "give a .safetensors, .pt or .npz file, or a folder of images"
"""What to do where there is no file."""

LAYOUTS = "published ones are {'data': [[images, labels], ...]}, [images, labels], or images alone"

_MOST_PICKLED = 2**26  # bytes of what is no tensor


def load(path: Path) -> Any:
    """The tensors and plain containers of a file, and nothing that would have to be run."""
    check_file(path, GIVE)
    with reading(path, "tensors", "it is damaged, or holds code, which is never run"):
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\3\4"  # what torch goes by
        check = _check_zip if zipped else _check_pickles
        check(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that torch did not write
            # Not torch's own reader of weights: it has no numpy scalars. Ours calls fewer names than that one.
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=Reader)


def save(value: object, path: Path) -> None:
    """Writes a file; torch's own writer ends the process where the disk is full."""
    made = io.BytesIO()
    torch.save(value, made)
    path.write_bytes(made.getbuffer())


def plain(path: Path, tensor: Tensor) -> Tensor:
    """A tensor of a file without its gradient.

    Raises:
        ValueError: for one that would be too large: strides of 0 make many numbers of few.
    """
    try:
        check_size(tensor.numel() * tensor.element_size())
    except ValueError as error:
        raise no_set(path, f"images or labels of shape {tuple(tensor.shape)}: {error}") from None
    return tensor.detach()


def no_set(path: Path, reason: str) -> ValueError:
    """What to say of a file that is no condensed set."""
    layout = (
        LAYOUTS if path.suffix == ".pt" else "it takes images [n, channels, height, width] and a label for each"
    )
    return ValueError(f"{path} is no condensed set ({reason}): {layout}")


def about(found: object) -> str:
    """What a file holds, for people."""
    if isinstance(found, Tensor):
        return f"a tensor {list(found.shape)}"
    if isinstance(found, dict):
        listed = ", ".join(shown(repr(key)) for key in list(found)[:5])[:80]
        return (
            f"no pairs under 'data', but {listed}" if found and "data" not in found else "no pairs under 'data'"
        )
    if isinstance(found, list | tuple):
        parts = ", ".join(about(one) if isinstance(one, Tensor) else type(one).__name__ for one in found[:5])
        return f"a {type(found).__name__} of {len(found)}" + (f": {parts[:120]}" if found else "")
    return f"{'an' if type(found).__name__[0] in 'aeiou' else 'a'} {type(found).__name__}"


def check_size(found: int, most: int | None = None) -> None:
    """Raises ValueError for more bytes than are looked into."""
    most = most or MOST
    if found > most:
        raise ValueError(f"{found:,} bytes are too many, {most:,} are looked into")


def _check_zip(path: Path) -> None:
    """Raises ValueError for an archive that unpacks to too much, or whose pickles hold code."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        check_size(sum(entry.file_size for entry in entries))
        for entry in entries:
            if entry.filename.endswith("constants.pkl"):  # what makes torch take it for a program
                raise ValueError("it is a program of TorchScript")
            if entry.filename.endswith(".pkl"):
                check_size(entry.file_size, _MOST_PICKLED)
                check_pickle(archive.read(entry))


def _check_pickles(path: Path) -> None:
    """The same of a file from before torch 1.6: a mark, two of versions, the object, keys of tensors."""
    size = path.stat().st_size
    check_size(size)
    if not size:
        raise ValueError("it is empty")
    with suppress(tarfile.TarError), tarfile.open(path, "r:"):  # which torch would unpack
        raise ValueError("it is an archive of torch before 0.1.10")
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        for _ in range(5):
            check_pickle(content)
