"""The ``.pt`` files in which condensed sets are published, read without running what is in them."""

from __future__ import annotations

import warnings
import zipfile
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cl_condense.common.foreign import check_file, reading, shown
from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.pickles import check_pickle
from cl_condense.condensation.formats.reading import SPACES, Note

OURS = "cl-condense"
"""The key under which an exported file has what the published layout leaves open."""

_MOST = 2**31  # bytes of a file that is looked into; the published ones have at most 0.2 GB
_MOST_PICKLED = 2**26  # bytes of what is no tensor
_LAYOUT = "a published one is {'data': [[images, labels], ...]}, images [n, c, h, w], labels [n]"


@dataclass(frozen=True)
class Pair:
    """Images, labels, which of how many pairs they are, and what else the file says of them."""

    images: Tensor
    labels: Tensor
    note: Note
    known: Json = field(default_factory=dict)


def read_pair(path: Path, pair: int | None) -> Pair:
    """One pair of images and labels of ``{"data": [[images, labels], ...]}``, the last one unless told.

    A file has a pair for each experiment; DataDAM's gets one at each evaluation, the first of them before any
    condensation.

    Args:
        path: of the file.
        pair: which one, from 1.

    Raises:
        ValueError: for a file of another layout, and a pair that it has not.
    """
    found = _load(path)
    pairs = found.get("data") if isinstance(found, dict) else None
    if not isinstance(pairs, list | tuple) or not pairs:
        raise no_set(path, f"it holds {_about(found)}")
    number, count = pair or len(pairs), len(pairs)
    if number > count:
        raise ValueError(
            f"pair {number}: {path} has {count}: give 1 to {count}, or leave pair out for the last"
        )
    chosen = pairs[number - 1]
    if (
        not isinstance(chosen, list | tuple)
        or len(chosen) != 2
        or not all(isinstance(x, Tensor) for x in chosen)
    ):
        raise no_set(path, f"pair {number} is no two tensors")
    for tensor in chosen:
        try:
            _check_size(tensor.numel() * tensor.element_size())  # strides of 0 make many of few
        except ValueError as error:
            raise no_set(path, f"images or labels of shape {tuple(tensor.shape)}: {error}") from None
    note = Note("pair", (number, count), "chosen" if count > 1 else "known")
    return Pair(chosen[0].detach(), chosen[1].detach(), note, _known(path, found))


def left_open(condensed: CondensedSet) -> Json:
    """What the published layout does not say of the decoded images of a set."""
    constants = {"mean": list(condensed.mean), "std": list(condensed.std)}
    return {"names": list(condensed.names), **constants, "space": "normalised", "factor": 1}


def _known(path: Path, found: dict[Any, Any]) -> Json:
    """The same, back from a file; empty for a file of others."""
    known = found.get(OURS)
    if known is None:
        return {}
    kinds = {"names": str, "mean": float, "std": float}
    if (
        not isinstance(known, dict)
        or str(known.get("space")) not in SPACES
        or type(known.get("factor")) is not int
        or not all(isinstance(known.get(key), list) for key in kinds)
        or not all(type(value) is kind for key, kind in kinds.items() for value in known[key])
    ):
        raise no_set(path, f"what is under {OURS!r} is damaged")
    return known


def no_set(path: Path, reason: str) -> ValueError:
    """What to say of a file that is no condensed set."""
    return ValueError(f"{path} is no condensed set ({reason}): {_LAYOUT}")


def _about(found: object) -> str:
    if isinstance(found, dict):
        listed = ", ".join(shown(repr(key)) for key in list(found)[:5])[:80]
        return (
            f"no pairs under 'data', but {listed}" if found and "data" not in found else "no pairs under 'data'"
        )
    return f"{'an' if type(found).__name__[0] in 'aeiou' else 'a'} {type(found).__name__}"


def _load(path: Path) -> Any:
    """The tensors and plain containers of a file, and nothing that would have to be run."""
    check_file(path, "give a .safetensors or .pt file, or a folder of images")
    with reading(path, "tensors", "it is damaged, or holds code, which is never run"):
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\3\4"  # what torch goes by
        check = _check_zip if zipped else _check_pickles
        check(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that torch did not write
            return torch.load(path, map_location="cpu", weights_only=True)


def _check_zip(path: Path) -> None:
    """Raises ValueError for an archive that unpacks to too much, or whose pickles hold code."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_size(sum(entry.file_size for entry in entries))
        for entry in entries:
            if entry.filename.endswith(".pkl"):
                _check_size(entry.file_size, _MOST_PICKLED)
                check_pickle(archive.read(entry))


def _check_pickles(path: Path) -> None:
    """The same of a file from before torch 1.6: a mark, two of versions, the object, keys of tensors."""
    size = path.stat().st_size
    _check_size(size)
    if not size:
        raise ValueError("it is empty")
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        for _ in range(5):
            check_pickle(content)


def _check_size(found: int, most: int | None = None) -> None:
    most = most or _MOST
    if found > most:
        raise ValueError(f"{found:,} bytes are too many, {most:,} are looked into")
