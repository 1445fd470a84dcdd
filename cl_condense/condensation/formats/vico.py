"""``{"data": [[images, labels], ...]}``: the ``.pt`` files of DC's authors (VICO) and most successors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats import torch_files
from cl_condense.condensation.formats.contract import Asked, Format, Found, Source
from cl_condense.condensation.formats.reading import Note, Reading
from cl_condense.condensation.formats.settling import OURS, known_of, left_open, settle


def _read(source: Source, asked: Asked) -> Reading:
    """One pair of images and labels, the last one unless told.

    A file has a pair for each experiment; DataDAM's gets one at each evaluation, the first of them before any
    condensation.
    """
    path, content = source.path, source.content
    pairs = content.get("data")
    if not isinstance(pairs, list | tuple) or not pairs:
        raise torch_files.no_set(path, f"it holds {torch_files.about(content)}")
    number, count = asked.pair or len(pairs), len(pairs)
    if number > count:
        raise ValueError(
            f"pair {number}: {path} has {count}: give 1 to {count}, or leave pair out for the last"
        )
    pair = pairs[number - 1]
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(x, Tensor) for x in pair):
        raise torch_files.no_set(path, f"pair {number} is no two tensors")
    images, labels = (torch_files.plain(path, tensor) for tensor in pair)
    note = Note("pair", (number, count), "chosen" if count > 1 else "known")
    return settle(path, Found(images, labels, (note,), _known(path, content)), asked)


def _known(path: Path, content: dict[Any, Any]) -> Json:
    try:
        return known_of(content.get(OURS))
    except ValueError as error:
        raise torch_files.no_set(path, str(error)) from None


def _write(condensed: CondensedSet, path: Path, about: Json) -> None:
    images, labels = condensed.decode()
    recipe = json.dumps(condensed.recipe)
    told = condensed.soft_labels()
    pair = [images, labels if told is None else told]
    torch_files.save({"data": [pair], "recipe": recipe, OURS: left_open(condensed)}, path)


VICO = Format(
    "{'data': [[images, labels]]}, normalised: DC's authors and most of their successors",
    lambda source: source.torch and isinstance(source.content, dict),
    _read,
    _write,
    ".pt",
)
