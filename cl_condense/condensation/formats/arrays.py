"""``.npz``: uint8 ``images`` and ``labels``, ours and those of others, whose arrays have many names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import torch

from cl_condense.common.arrays import Array, read_npz
from cl_condense.common.foreign import check_file, parse
from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.contract import Asked, Format, Found, Source
from cl_condense.condensation.formats.reading import Reading
from cl_condense.condensation.formats.settling import OURS, known_of, left_open, no_pairs, settle
from cl_condense.condensation.formats.torch_files import GIVE, MOST

_IMAGES = "images image x x_train train_images data pixels arr_0".split()
_LABELS = "labels label y y_train train_labels targets target arr_1".split()
_SOFT = "soft_labels"
_REMEDY = "call its arrays images [n, c, h, w] and labels [n]"


def _read(source: Source, asked: Asked) -> Reading:
    path = source.path
    no_pairs(path, asked)
    check_file(path, GIVE)
    arrays = read_npz(path, "a condensed set", _REMEDY, at_most=MOST)
    images, labels = _named(arrays, _IMAGES), _named(arrays, _LABELS)
    if images is None:
        held = ", ".join(f"{name} {list(array.shape)}" for name, array in list(arrays.items())[:5])[:200]
        raise ValueError(f"{path} is no condensed set (it holds {held or 'no arrays'}): {_REMEDY}")
    soft = arrays.get(_SOFT)
    try:
        known = known_of(parse(str(arrays[OURS])) if OURS in arrays else None)
        tensors = torch.as_tensor(images), None if labels is None else torch.as_tensor(labels)
        if soft is not None:
            tensors = tensors[0], torch.as_tensor(soft)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is no condensed set ({error}): {_REMEDY}") from None
    return settle(path, Found(*tensors, known=known), asked)


def _named(arrays: dict[str, Array], names: list[str]) -> Array | None:
    """The first array of these names, however they are written."""
    lower = {name.lower(): array for name, array in arrays.items()}
    return next((lower[name] for name in names if name in lower), None)


def _write(condensed: CondensedSet, path: Path, about: Json) -> None:
    """Numpy cuts zeros off the end of its texts: names are right in the text of JSON."""
    labels, soft = condensed.decode()[1], condensed.soft_labels()
    arrays = {
        "images": condensed.to_pixels(decoded=True).numpy(),
        "labels": labels.numpy(),
        "names": np.array(condensed.names, dtype=np.str_),
        OURS: np.array(json.dumps(left_open(condensed, "pixels"))),
    }
    if soft is not None:
        arrays[_SOFT] = soft.numpy()
    with path.open("wb") as file:
        np.savez_compressed(file, **cast(Json, arrays))


NPZ = Format(
    "uint8 images and labels for numpy, any number of channels",
    lambda source: source.path.suffix == ".npz" and not source.folder,
    _read,
    _write,
    ".npz",
)
