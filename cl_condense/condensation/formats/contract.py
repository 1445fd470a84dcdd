"""What a format is: how a file or folder of it is known, read and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import Tensor

from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats import torch_files
from cl_condense.condensation.formats.reading import Note, Reading
from cl_condense.data.class_names import Classes

Normalisation = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Asked:
    """What ``read`` was told."""

    normalisation: Normalisation
    classes: Classes | None = None
    pair: int | None = None
    factor: int | None = None
    space: str | None = None


@dataclass(frozen=True)
class Source:
    """A file or a folder; a ``.pt`` file is read once, whichever formats look at what it holds."""

    path: Path

    @cached_property
    def folder(self) -> bool:
        return self.path.is_dir()

    @cached_property
    def torch(self) -> bool:
        """Whether it is a file of torch's by its name."""
        return self.path.suffix == ".pt" and not self.folder

    @cached_property
    def content(self) -> Any:
        """The tensors and plain containers of a ``.pt`` file.

        Raises:
            ValueError: for a damaged file, and one that holds code.
        """
        return torch_files.load(self.path)


@dataclass(frozen=True)
class Found:
    """Images as a file has them, before anything that it leaves open is settled.

    Attributes:
        images: ``[n, c, h, w]``, ``[n, h, w, c]`` or ``[n, h, w]``.
        labels: ``[n]`` or ``[n, k]``; None where there are none: the images go by class.
        notes: what was settled already.
        usual: what values the layout has, which are assumed where they may be so.
        known: what the file says of names, mean, std, space and factor.
    """

    images: Tensor
    labels: Tensor | None
    notes: tuple[Note, ...] = ()
    known: Json = field(default_factory=dict)
    usual: Literal["unit"] | None = None


class Format(NamedTuple):
    """A kind of file or folder that holds a condensed set.

    Attributes:
        holds: whether a source is of it, which none of those before it in the table is.
        read: errors are a ValueError in one line.
        write: writes a set to a path that is not there yet; ``about`` is what is known of its making.
        suffix: of the file to write; empty for a folder.
        says: what it is, for people.
    """

    says: str
    holds: Callable[[Source], bool]
    read: Callable[[Source, Asked], Reading]
    write: Callable[[CondensedSet, Path, Json], None] | None = None
    suffix: str = ""
