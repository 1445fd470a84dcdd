"""Condensed sets written for other programs: published .pt files, npz, folders of images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cl_condense.common.files import atomic
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.tensor_files import OURS, left_open
from cl_condense.data.class_names import safe

FORMATS = ("pt", "npz", "png")


def export(condensed: CondensedSet, path: Path, kind: str) -> Path:
    """Writes a set for others: ``pt`` and ``npz`` files, or ``png`` images in a folder a class.

    ``pt`` has the published layout, and what that leaves open under a key of ours; ``npz`` has uint8
    ``images``, ``labels`` and ``names``. Images are decoded, four or more from a stored one where it holds
    several.

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
            torch.save(
                {
                    "data": [[images, labels]],
                    "recipe": json.dumps(condensed.recipe),
                    OURS: left_open(condensed),
                },
                temporary,
            )
        else:
            with temporary.open("wb") as file:
                names = np.array(condensed.names)
                pixels = condensed.to_pixels(decoded=True).numpy()
                np.savez_compressed(file, images=pixels, labels=labels.numpy(), names=names)
    return path


def _export_png(condensed: CondensedSet, path: Path, labels: Tensor) -> None:
    """A folder a class, ``NUMBER-NAME`` or ``NUMBER``: in the classes' order when sorted by name."""
    called = dict(zip(condensed.class_ids, condensed.names, strict=False))
    digits = len(str(max(condensed.class_ids)))
    for number, (pixels, label) in enumerate(
        zip(condensed.to_pixels(decoded=True), labels.tolist(), strict=True)
    ):
        folder = path / (f"{label:0{digits}d}" + (f"-{safe(called[label])}" if called else ""))
        folder.mkdir(parents=True, exist_ok=True)
        array = pixels.permute(1, 2, 0).squeeze(2).numpy()
        Image.fromarray(array).save(folder / f"{number:06d}.png")
