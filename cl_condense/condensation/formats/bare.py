"""Images alone, labels in a file beside: ``images_best.pt`` of MTT's kind, DD-Ranking's ``images.pt``."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor

from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats import torch_files
from cl_condense.condensation.formats.contract import Asked, Format, Found, Source
from cl_condense.condensation.formats.reading import Reading
from cl_condense.condensation.formats.settling import no_pairs, settle

_NAME, _LABELS = "images.pt", "labels.pt"


def _inside(path: Path) -> Path | None:
    """The file of images in a folder: ``images.pt``, else the only one whose name begins so."""
    if os.path.lexists(path / _NAME):
        return path / _NAME
    found = sorted(path.glob("images*.pt"))
    return found[0] if len(found) == 1 else None


def _holds(source: Source) -> bool:
    if source.folder:
        return _inside(source.path) is not None
    return source.torch and isinstance(source.content, Tensor)


def _read(source: Source, asked: Asked) -> Reading:
    no_pairs(source.path, asked)
    path = (_inside(source.path) or source.path) if source.folder else source.path
    images = source.content if path is source.path else torch_files.load(path)
    if not isinstance(images, Tensor):
        raise torch_files.no_set(path, f"it holds {torch_files.about(images)}")
    beside = path.with_name(path.name.replace("images", "labels", 1))
    labels = None
    if beside != path and os.path.lexists(beside):
        labels = torch_files.load(beside)
        if not isinstance(labels, Tensor):
            raise torch_files.no_set(beside, f"it holds {torch_files.about(labels)}")
        labels = torch_files.plain(beside, labels)
    return settle(path, Found(torch_files.plain(path, images), labels), asked)


def _write(condensed: CondensedSet, path: Path, about: Json) -> None:
    images, labels = condensed.decode()
    soft = condensed.soft_labels()
    torch_files.save(images, path / _NAME)
    torch_files.save(labels if soft is None else soft, path / _LABELS)


BARE = Format("a folder with images.pt and labels.pt, normalised: DD-Ranking, MTT", _holds, _read, _write)
