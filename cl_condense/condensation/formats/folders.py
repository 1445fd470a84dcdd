"""Images in a folder a class: PNG, or ``.npy`` where PNG cannot hold the channels; a table of classes beside.

PNG holds one channel or three: a second or fourth would be transparency. For other numbers each image is an
array ``[c, h, w]``: Pillow has no TIFF of two or five channels, and of pages people would see the first.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cl_condense.common.arrays import Array, parse_npy
from cl_condense.common.foreign import check_room, one_line, read_object, reading, shown
from cl_condense.common.plain import Json, Values
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.class_match import match_folders
from cl_condense.condensation.formats.contract import Asked, Format, Found, Source
from cl_condense.condensation.formats.reading import Reading, settled
from cl_condense.condensation.formats.settling import (
    OURS,
    condensed_of,
    known_of,
    left_open,
    matched,
    naming,
    no_pairs,
    settle,
)
from cl_condense.data.class_names import safe
from cl_condense.data.folder import class_folders, load_images
from cl_condense.data.imageset import ImageSet

TABLE = "classes.json"
"""The file beside the folders that says which class each of them is."""

_PNG = {1: "L", 3: "RGB"}  # channels, and what Pillow calls them
_MOST = 2**28  # bytes of an array
_LAST = 2**63 - 1  # labels are int64
_UNWRITABLE = re.compile(r'[<>:"/\\|?*]|^[ .]|[ .]$|^[0-9]+-|^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)', re.I)
_REMEDY = f"mend {TABLE}, or remove it: then classes go by the names of their folders"


def _read(source: Source, asked: Asked) -> Reading:
    path = source.path
    no_pairs(path, asked)
    if os.path.lexists(path / TABLE):
        return _of_table(path, asked)
    folders = class_folders(path)
    with naming(path):  # before any image is decoded
        match = match_folders(tuple(folders), asked.classes)
        notes = settled("space", asked.space, "pixels", None), settled("factor", asked.factor, None, 1)
    images = load_images(folders)
    with naming(path):
        real = ImageSet.of(*images, normalisation=asked.normalisation)
        made = condensed_of(real, real.take(torch.arange(len(real))), notes[1].value, tuple(folders))
    return matched(made, match, notes, asked.classes)


def _of_table(path: Path, asked: Asked) -> Reading:
    """A folder as we write it: what its table does not list is passed over."""
    table = read_object(path / TABLE, "a table of classes", _REMEDY)
    try:
        rows = [_row(row) for row in table["classes"]]
        known = known_of(table[OURS])
        soft = (
            None
            if table.get("soft_labels") is None
            else torch.tensor(table["soft_labels"], dtype=torch.float64)
        )
    except (ValueError, TypeError, KeyError, OverflowError, RuntimeError) as error:
        raise one_line(f"{path / TABLE} is no table of classes ({error}): {_REMEDY}") from None
    labels = dict(rows)
    if not known or not rows or len(labels) < len(rows) or len({*labels.values()}) < len(rows):
        raise ValueError(f"{path / TABLE} is no table of classes (one comes twice, or none): {_REMEDY}")
    ordered = sorted(labels, key=labels.__getitem__)
    there = {each.name for each in path.iterdir() if each.is_dir()}
    for folder in ordered:
        if folder not in there:
            raise one_line(f"{path} has no folder {shown(folder)!r}, which {TABLE} has: {_REMEDY}")
    images, counts = _images(path, ordered)
    ids = torch.tensor([labels[folder] for folder in ordered]).repeat_interleave(torch.tensor(counts))
    return settle(path, Found(images, ids if soft is None else soft, known=known), asked)


def _row(row: Values) -> tuple[str, int]:
    """Folder and label of a line; the folder is a name, and no path."""
    folder, label = row["folder"], row["label"]
    if not isinstance(folder, str) or folder in ("", ".", "..") or any(c in folder for c in "/\\\0"):
        raise ValueError("a folder that is none")
    if type(label) is not int or not 0 <= label <= _LAST:
        raise ValueError("a label that is none")
    return folder, label


def _images(path: Path, folders: list[str]) -> tuple[Tensor, list[int]]:
    """The images of each folder, and how many there are."""
    arrays = {folder: sorted((path / folder).glob("*.npy")) for folder in folders}
    if not all(arrays.values()):
        found = class_folders(path)
        images, _ = load_images({folder: found[folder] for folder in folders})
        return torch.as_tensor(images), [len(found[folder]) for folder in folders]
    rows: list[Array] = []
    files = [file for folder in folders for file in arrays[folder]]
    for file in files:
        with reading(file, "an image", "put a uint8 array [c, h, w] there", _MOST):
            rows.append(parse_npy(file.read_bytes()))
            if rows[-1].shape != rows[0].shape or rows[-1].ndim != 3 or rows[-1].dtype != np.uint8:
                raise ValueError(f"{rows[-1].dtype} {list(rows[-1].shape)} beside {list(rows[0].shape)}")
            if len(rows) == 1:
                check_room(rows[0].nbytes * len(files), f"{len(files):,} of its size")
    return torch.as_tensor(np.stack(rows)), [len(arrays[folder]) for folder in folders]


def _write(condensed: CondensedSet, path: Path, about: Json) -> None:
    folders, labels = folder_names(condensed), condensed.decode()[1].tolist()
    for folder in folders.values():
        (path / folder).mkdir()
    for number, (pixels, label) in enumerate(zip(condensed.to_pixels(decoded=True), labels, strict=True)):
        file = path / folders[label] / f"{number:06d}"
        if len(pixels) in _PNG:
            Image.fromarray(pixels.permute(1, 2, 0).squeeze(2).numpy()).save(file.with_suffix(".png"))
        else:
            np.save(file.with_suffix(".npy"), pixels.numpy())
    soft = condensed.soft_labels()
    table = {
        "classes": [
            {"folder": folder, "label": label, **({"name": name} if condensed.names else {})}
            for (label, folder), name in zip(folders.items(), condensed.names or folders, strict=True)
        ],
        OURS: left_open(condensed, "pixels"),
        **({} if soft is None else {"soft_labels": soft.tolist()}),
    }
    (path / TABLE).write_text(json.dumps(table, indent=1) + "\n")


def folder_names(condensed: CondensedSet) -> dict[int, str]:
    """By label: the name of the class where every file system takes it, else its number and what is left."""
    digits = len(str(max(condensed.class_ids)))
    if not condensed.names:
        return {label: f"{label:0{digits}d}" for label in condensed.class_ids}
    folded = [name.casefold() for name in condensed.names]
    return {
        label: name
        if _writable(name) and folded.count(name.casefold()) == 1
        else f"{label:0{digits}d}-{safe(name)[:40]}"
        for label, name in zip(condensed.class_ids, condensed.names, strict=True)
    }


def _writable(name: str) -> bool:
    """Whether it is a name that a folder keeps on every system: no path, not reserved, not made another."""
    plain = unicodedata.normalize("NFC", name) == name and not any(
        unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp") for c in name
    )
    return plain and 0 < len(name.encode(errors="replace")) <= 200 and not _UNWRITABLE.search(name)


FOLDER = Format(
    "images in a folder a class: PNG, or .npy arrays where there are not 1 or 3 channels",
    lambda source: source.folder,
    _read,
    _write,
)
