"""Hugging Face's layout: ``data/train-00000-of-00001.parquet`` with PNG images, and ``README.md``, the card.

Written and read by pyarrow, which the extra ``hub`` brings: parquet has no other writer that Hugging Face's own
library is tested with.
"""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cl_condense.common.arrays import Array
from cl_condense.common.foreign import check_room, one_line, parse_object, reading
from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.card import card, label_names
from cl_condense.condensation.formats.contract import Asked, Format, Found, Source
from cl_condense.condensation.formats.reading import Reading
from cl_condense.condensation.formats.settling import OURS, known_of, left_open, no_pairs, settle
from cl_condense.condensation.formats.torch_files import MOST, check_size

_FILE = "data/train-00000-of-00001.parquet"
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")  # never one for which Pillow runs a program
_MOST_ROWS = 10_000_000
_REMEDY = "give a folder with data/*.parquet that has columns image and label"


def _arrow() -> tuple[Any, Any]:
    """Pyarrow and its parquet.

    Raises:
        ValueError: where it is not installed.
    """
    try:
        import pyarrow  # noqa: PLC0415 - of an extra
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise ValueError("the format hub needs pyarrow: pip install 'cl-condense[hub]'") from None
    return pyarrow, pyarrow.parquet


def _parts(path: Path) -> list[Path]:
    return sorted((path / "data").glob("*.parquet"))


def _read(source: Source, asked: Asked) -> Reading:
    no_pairs(source.path, asked)
    rows: list[Json] = []
    said: dict[bytes, bytes] = {}
    for file in _parts(source.path):
        own, said = _rows(file)
        rows += own
    path = _parts(source.path)[0]
    try:
        known, labels = _known(said, [row["label"] for row in rows])
        soft = [row["soft_label"] for row in rows] if rows and "soft_label" in rows[0] else None
        told = torch.tensor(labels) if soft is None else torch.tensor(soft, dtype=torch.float64)
    except (LookupError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise one_line(f"{path} is no condensed set ({error or type(error).__name__}): {_REMEDY}") from None
    return settle(path, Found(_images(path, rows), told, known=known), asked)


def _rows(file: Path) -> tuple[list[Json], dict[bytes, bytes]]:
    """The rows of a file, and what its header says."""
    arrow, parquet = _arrow()
    with reading(file, "a parquet file", _REMEDY, MOST):
        with parquet.ParquetFile(io.BytesIO(file.read_bytes())) as opened:
            about = opened.metadata
            check_size(sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups)))
            if not 0 < about.num_rows <= _MOST_ROWS:
                raise ValueError(f"{about.num_rows:,} rows")
            schema = opened.schema_arrow
            wanted = [name for name in ("image", "label", "soft_label") if name in schema.names]
            try:
                rows = opened.read(columns=wanted, use_threads=False).to_pylist()
            except arrow.ArrowMemoryError:  # what it says it needs was there
                raise ValueError("it takes more memory than it says") from None
        if not all(isinstance(row.get("image"), dict) and type(row.get("label")) is int for row in rows):
            held = ", ".join(f"{name} ({kind})" for name, kind in zip(schema.names, schema.types, strict=True))
            raise ValueError(f"it holds {held[:150]}")
        return rows, schema.metadata or {}


def _known(said: dict[bytes, bytes], places: list[int]) -> tuple[Json, list[int]]:
    """What is known of the images, and their labels: in our files those of the set, else the places."""
    ours = parse_object(said[OURS.encode()]) if OURS.encode() in said else None
    if ours is None:
        return {}, places
    ids = ours["class_ids"]
    if not isinstance(ids, list) or not all(type(i) is int for i in ids) or min(places) < 0:
        raise ValueError(f"what is under {OURS!r} is damaged")
    return known_of(ours["known"]), [ids[place] for place in places]


def _images(path: Path, rows: list[Json]) -> Tensor:
    arrays: list[Array] = []
    with reading(path, "a parquet file of images", _REMEDY):
        for row in rows:
            arrays.append(_pixels(row["image"].get("bytes")))
            if arrays[-1].shape != arrays[0].shape:
                raise ValueError(f"images of {list(arrays[-1].shape)} beside {list(arrays[0].shape)}")
            if len(arrays) == 1:
                check_room(math.prod(arrays[0].shape) * len(rows), f"{len(rows):,} of its images")
        return torch.as_tensor(np.stack(arrays))


def _pixels(data: object) -> Array:
    """``[c, h, w]`` of the bytes of an image file."""
    if not isinstance(data, bytes):
        raise ValueError("an image without bytes")
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        check_size(image.width * image.height * 4)
        if image.mode[0] in "IF":
            raise ValueError(f"an image of mode {image.mode}: over 8 bits a channel")
        array = np.array(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _write(condensed: CondensedSet, path: Path, about: Json) -> None:
    """Labels are places in the list of names, as Hugging Face has them; ours are in the header of the file."""
    channels = condensed.shape[0]
    if channels not in (1, 3):
        raise ValueError(f"hub holds images of 1 or 3 channels, these have {channels}: take --format npz")
    arrow, parquet = _arrow()
    place = {label: i for i, label in enumerate(condensed.class_ids)}
    soft, names = condensed.soft_labels(), label_names(condensed)
    images = [
        {"bytes": _png(pixels), "path": f"{number:06d}.png"}
        for number, pixels in enumerate(condensed.to_pixels(decoded=True))
    ]
    columns = {
        "image": arrow.array(images, arrow.struct({"bytes": arrow.binary(), "path": arrow.string()})),
        "label": arrow.array([place[label] for label in condensed.decode()[1].tolist()], arrow.int64()),
    }
    features: Json = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    if soft is not None:
        columns["soft_label"] = arrow.array(soft.tolist(), arrow.list_(arrow.float32()))
        features["soft_label"] = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}
    ours = {"class_ids": list(condensed.class_ids), "known": left_open(condensed, "pixels")}
    said = {"huggingface": json.dumps({"info": {"features": features}}), OURS: json.dumps(ours)}
    file = path / _FILE
    file.parent.mkdir()
    made = io.BytesIO()
    parquet.write_table(arrow.table(columns).replace_schema_metadata(said), made)
    file.write_bytes(made.getbuffer())
    (path / "README.md").write_text(card(condensed, made.getvalue(), about), encoding="utf-8")


def _png(pixels: Tensor) -> bytes:
    made = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).squeeze(2).numpy()).save(made, "PNG")
    return made.getvalue()


HUB = Format(
    "Hugging Face's layout: parquet with images, and a card",
    lambda source: source.folder and bool(_parts(source.path)),
    _read,
    _write,
)
