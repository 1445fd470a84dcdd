"""Condensed sets read from files of ours and of others, of any format in the table."""

from __future__ import annotations

from pathlib import Path

from cl_condense.condensation.formats import torch_files
from cl_condense.condensation.formats.contract import Asked, Normalisation, Source
from cl_condense.condensation.formats.reading import SPACES, Reading
from cl_condense.condensation.formats.registry import FORMATS
from cl_condense.data.class_names import Classes


def has_pairs(path: Path) -> bool:
    """Whether a file may have pairs of images and labels, of which one is read."""
    return Source(path).torch


def check_options(pair: int | None, factor: int | None, space: str) -> None:
    """Raises ValueError for options that ``read`` takes for no file."""
    if space not in ("auto", *SPACES):
        raise ValueError(f"space {space!r}: use auto, {', '.join(SPACES)}")
    for key, value in (("pair", pair), ("factor", factor)):
        if value is not None and value < 1:
            raise ValueError(f"{key} {value}: give 1 or more")


def read(
    path: Path,
    normalisation: Normalisation,
    classes: Classes | None = None,
    *,
    pair: int | None = None,
    factor: int | None = None,
    space: str = "auto",
) -> Reading:
    """A condensed set from a file or folder of any format in ``formats.registry``.

    With the ``classes`` of a data set the classes of the set become those, by name where the set has names
    (see ``condensation.formats.class_match``). Soft labels ``[n, k]`` are kept beside the class that each says
    most of; where a file has no labels, images go by class, equally many for each of ``classes``.

    Args:
        path: ``.safetensors``, ``.pt``, ``.npz``, or a folder.
        normalisation: (mean, std) of the data set, for what has none of its own.
        classes: label and name of each class of the data set; without them labels are the file's own.
        pair: which pair of a ``.pt`` file ``{"data": [[images, labels], ...]}``, from 1; the last by default.
        factor: each image holds factor * factor smaller ones; 1 where neither this nor the file says.
        space: what values a file of others has, of ``SPACES``; ``auto`` goes by the values.

    Raises:
        ValueError: for what is no set or has a class that the data set has not, and for an option that
            contradicts the file or does not apply to it; in one line that names the file.
    """
    check_options(pair, factor, space)
    source = Source(path)
    asked = Asked(normalisation, classes, pair, factor, None if space == "auto" else space)
    for form in FORMATS.values():
        if form.holds(source):
            return form.read(source, asked)
    raise torch_files.no_set(path, f"it holds {torch_files.about(source.content)}")
