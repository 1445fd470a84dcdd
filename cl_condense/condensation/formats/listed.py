"""``[images, labels]``: the ``.pt`` files of IDC, DANCE, NCFM, TGDD: values 0 to 1, several images in one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats import torch_files
from cl_condense.condensation.formats.contract import Asked, Format, Found, Source
from cl_condense.condensation.formats.reading import Reading
from cl_condense.condensation.formats.settling import no_pairs, settle


def _holds(source: Source) -> bool:
    return source.torch and isinstance(source.content, list | tuple)


def _read(source: Source, asked: Asked) -> Reading:
    no_pairs(source.path, asked)
    content = source.content
    if len(content) != 2 or not all(isinstance(one, Tensor) for one in content):
        raise torch_files.no_set(source.path, f"it holds {torch_files.about(content)}")
    images, labels = (torch_files.plain(source.path, one) for one in content)
    return settle(source.path, Found(images, labels, usual="unit"), asked)


def _write(condensed: CondensedSet, path: Path, about: Json) -> None:
    """The stored images, undecoded: the authors' programs decode them by a factor that they are told."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (condensed.mean, condensed.std))
    soft = condensed.stored.get("soft")
    torch_files.save([condensed.pixels * std + mean, condensed.labels if soft is None else soft], path)


LISTED = Format("[images, labels], 0 to 1 and undecoded: IDC, DANCE, NCFM, TGDD", _holds, _read, _write, ".pt")
