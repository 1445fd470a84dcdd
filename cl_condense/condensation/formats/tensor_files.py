"""The ``.pt`` files in which condensed sets are published, read without running what is in them."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.reading import SPACES, Note

OURS = "cl-condense"
"""The key under which an exported file has what the published layout leaves open."""

_MOST = 2**31  # bytes of a file that is looked into; the published ones have at most 0.2 GB
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
        listed = ", ".join(repr(key) for key in list(found)[:5])[:80]
        return (
            f"no pairs under 'data', but {listed}" if found and "data" not in found else "no pairs under 'data'"
        )
    return f"{'an' if type(found).__name__[0] in 'aeiou' else 'a'} {type(found).__name__}"


def _load(path: Path) -> Any:
    """The tensors and plain containers of a file, and nothing that would have to be run."""
    if not path.is_file():
        raise ValueError(f"{path} is not there: give a .safetensors or .pt file, or a folder of images")
    try:
        size = path.stat().st_size
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
        if size > _MOST:
            raise ValueError(f"it unpacks to {size / 2**30:.0f} GiB, and {_MOST / 2**30:.0f} are looked into")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that torch did not write
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split()).partition(". ")[0][:160] or "it ends too early"
        raise ValueError(
            f"{path} cannot be read as tensors ({reason}): it is damaged, or holds code, which is never run"
        ) from None
