"""Condensed sets in the formats of others: the published .pt files, folders of images, npz."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cl_condense.condensed import CondensedSet
from cl_condense.files import atomic
from cl_condense.folder import load_images
from cl_condense.imageset import ImageSet

FORMATS = ("pt", "npz", "png")
_MOST = 2**31  # bytes of a .pt file that is looked into; the published ones have at most 0.2 GB

Normalisation = tuple[Sequence[float], Sequence[float]]


def read(path: Path, normalisation: Normalisation, *, experiment: int = 0) -> CondensedSet:
    """A condensed set from our file, from a published ``.pt`` file or from a folder of images by class.

    The ``.pt`` layout is that of VICO-UoE/DatasetCondensation and its descendants: ``{"data": [[images,
    labels], ...]}`` with float images ``[n, c, h, w]`` in the normalisation of their data set, one pair an
    experiment. It is read without running any code that is in it.

    Args:
        path: ``.safetensors``, ``.pt`` or a folder ``CLASS/*.png``.
        normalisation: (mean, std) of the data set, for what has none of its own.
        experiment: which pair of a ``.pt`` file.

    Raises:
        ValueError: for anything else, in one line that names the file.
    """
    if path.is_dir():
        return _of(load_images(path), normalisation)
    if path.suffix == ".pt":
        return _read_pt(path, normalisation, experiment)
    return CondensedSet.load(path)


def _read_pt(path: Path, normalisation: Normalisation, experiment: int) -> CondensedSet:
    found = _load(path)
    try:
        pairs = found["data"]
        images, labels = pairs[experiment]
        real = ImageSet.of(images.detach().float().clone(), labels.detach().cpu(), normalisation=normalisation)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise ValueError(
            f"{path} is no condensed set ({reason}): a published one is {{'data': [[images, labels], ...]}}, "
            "images [n, c, h, w], labels [n]"
        ) from None
    return _of(real, normalisation)


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


def _of(real: ImageSet, normalisation: Normalisation) -> CondensedSet:
    """All images of a set as they are."""
    mean, std = (tuple(map(float, values)) for values in normalisation)
    real = replace(real, mean=mean, std=std)
    return CondensedSet(
        real.take(torch.arange(len(real))).clone(),  # type: ignore[arg-type] # stored by the codec
        class_ids=real.class_ids,
        counts=real.counts,
        mean=mean,
        std=std,
        names=real.names,
    )


def export(condensed: CondensedSet, path: Path, kind: str) -> Path:
    """Writes a set for others: ``pt`` and ``npz`` files, or ``png`` images in a folder a class.

    ``pt`` has the published layout, ``npz`` uint8 ``images``, ``labels`` and ``names``. Images are decoded,
    four or more from a stored one where it holds several.

    Raises:
        ValueError: for another kind, and where there is something already.
    """
    if kind not in FORMATS:
        raise ValueError(f"format {kind!r}: use {', '.join(FORMATS)}")
    if path.exists():
        raise ValueError(f"{path} is there already: give another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    images, labels = condensed.decode()
    if kind == "png":
        _export_png(condensed, path, labels)
        return path
    with atomic(path) as temporary:
        if kind == "pt":
            torch.save({"data": [[images, labels]], "recipe": json.dumps(condensed.recipe)}, temporary)
        else:
            with temporary.open("wb") as file:
                names = np.array(condensed.names)
                pixels = condensed.to_pixels(decoded=True).numpy()
                np.savez_compressed(file, images=pixels, labels=labels.numpy(), names=names)
    return path


def _export_png(condensed: CondensedSet, path: Path, labels: Tensor) -> None:
    """A folder a class, named so that sorting by name gives the classes' order back."""
    names = condensed.names or tuple(map(str, condensed.class_ids))
    called = dict(zip(condensed.class_ids, names, strict=True))
    digits = len(str(max(condensed.class_ids)))
    for number, (pixels, label) in enumerate(
        zip(condensed.to_pixels(decoded=True), labels.tolist(), strict=True)
    ):
        safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in called[label])
        folder = path / f"{label:0{digits}d}-{safe}"
        folder.mkdir(parents=True, exist_ok=True)
        array = pixels.permute(1, 2, 0).squeeze(2).numpy()
        Image.fromarray(array).save(folder / f"{number:06d}.png")
