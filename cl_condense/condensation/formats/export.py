"""Condensed sets written for other programs: published .pt files, npz, folders of images."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cl_condense.common.files import atomic, atomic_folder, writable
from cl_condense.common.suggest import choice
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
        ValueError: as ``check_out``.
    """
    check_out(path, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    images, labels = condensed.decode()
    if kind == "png":
        with atomic_folder(path) as folder:
            _export_png(condensed, folder, labels)
        return path
    made = io.BytesIO()  # torch's own writer ends the process where the disk is full
    if kind == "pt":
        recipe = json.dumps(condensed.recipe)
        torch.save({"data": [[images, labels]], "recipe": recipe, OURS: left_open(condensed)}, made)
    else:
        pixels, names = condensed.to_pixels(decoded=True).numpy(), np.array(condensed.names)
        np.savez_compressed(made, images=pixels, labels=labels.numpy(), names=names)
    with atomic(path) as temporary:
        temporary.write_bytes(made.getbuffer())
    return path


def check_out(path: Path, kind: str) -> None:
    """Whether a set can be exported there.

    Raises:
        ValueError: for another kind, a name that says another kind, where there is something already, and
            where nothing can be written.
    """
    choice("format", kind, FORMATS)
    if kind == "png":
        if path.suffix.lower() == ".png":
            raise ValueError(f"--out {path}: png is a folder of images by class: name a folder")
    elif path.suffix != f".{kind}":
        raise ValueError(f"--out {path}: name a .{kind} file, or give another --format")
    if os.path.lexists(path):
        raise ValueError(f"{path} is there already: give another --out")
    writable(path, "--out", folder=kind == "png")


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
