"""Condensed sets read from files of ours and of others: the published .pt files, folders of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from cl_condense.common.foreign import one_line
from cl_condense.condensation.condensed_set import CondensedSet, stored_as
from cl_condense.condensation.formats.class_match import Match, match_folders, match_labels
from cl_condense.condensation.formats.reading import SPACES, Note, Reading, normalised, settled, space_of
from cl_condense.condensation.formats.tensor_files import no_set, read_pair
from cl_condense.data.class_names import Classes
from cl_condense.data.folder import class_folders, load_images
from cl_condense.data.imageset import ImageSet

Normalisation = tuple[Sequence[float], Sequence[float]]


def has_pairs(path: Path) -> bool:
    """Whether a file has pairs of images and labels, of which one is read."""
    return path.suffix == ".pt" and not path.is_dir()


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
    """A condensed set from our file, from a published ``.pt`` file or from a folder of images by class.

    With the ``classes`` of a data set the classes of the set become those, by name where the set has names
    (see ``condensation.formats.class_match``).

    Args:
        path: ``.safetensors``, ``.pt`` (see ``read_pair``) or a folder
            ``CLASS/*.png``.
        normalisation: (mean, std) of the data set, for what has none of its own.
        classes: label and name of each class of the data set; without them labels are the file's own.
        pair: which pair of a ``.pt`` file, from 1; the last one by default.
        factor: each image holds factor * factor smaller ones; 1 where neither this nor the file says.
        space: what values a ``.pt`` file has, of ``SPACES``; ``auto`` goes by the values.

    Raises:
        ValueError: for what is no set or has a class that the data set has not, and for an option that
            contradicts the file or does not apply to it; in one line that names the file.
    """
    check_options(pair, factor, space)
    if pair is not None and not has_pairs(path):
        raise ValueError(f"pair {pair}: {path} has no pairs, .pt files have: leave pair out")
    asked = _Asked(normalisation, classes, factor, None if space == "auto" else space)
    if has_pairs(path):
        return _of_pair(path, pair, asked)
    return _of_folder(path, asked) if path.is_dir() else _of_ours(path, asked)


@dataclass(frozen=True)
class _Asked:
    """What ``read`` was told."""

    normalisation: Normalisation
    classes: Classes | None
    factor: int | None
    space: str | None


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors name the file."""
    try:
        yield
    except ValueError as error:
        raise one_line(f"{path}: {error}") from None


def _of_ours(path: Path, asked: _Asked) -> Reading:
    made = CondensedSet.load(path)
    with _naming(path):
        space = settled("space", asked.space, "normalised", None)
        factor = settled("factor", asked.factor, made.factor, None)
        return _labelled(made, (space, factor), asked.classes)


def _of_folder(path: Path, asked: _Asked) -> Reading:
    folders = class_folders(path)
    with _naming(path):  # before any image is decoded
        match = match_folders(tuple(folders), asked.classes)
        notes = settled("space", asked.space, "pixels", None), settled("factor", asked.factor, None, 1)
    images = load_images(folders)
    with _naming(path):
        real = ImageSet.of(*images, normalisation=asked.normalisation)
        made = _condensed(real, real.take(torch.arange(len(real))), notes[1].value, tuple(folders))
    return _matched(made, match, notes, asked.classes)


def _of_pair(path: Path, pair: int | None, asked: _Asked) -> Reading:
    found = read_pair(path, pair)
    known = found.known
    try:
        constants = (known["mean"], known["std"]) if known else asked.normalisation
        real = ImageSet.of(found.images, found.labels, normalisation=constants)
    except (TypeError, ValueError, RuntimeError) as error:
        raise no_set(path, str(error).splitlines()[0]) from None
    with _naming(path):
        known_space = "pixels" if real.images.dtype == torch.uint8 else known.get("space")
        space = settled("space", asked.space, known_space, None if known_space else space_of(real.images))
        factor = settled("factor", asked.factor, known.get("factor"), 1)
        pixels = normalised(real.images, space.value, real.mean, real.std)
        made = _condensed(real, pixels, factor.value, tuple(known.get("names", ())))
        return _labelled(made, (space, factor, found.note), asked.classes)


def _condensed(real: ImageSet, pixels: Tensor, factor: int, names: tuple[str, ...]) -> CondensedSet:
    return CondensedSet(
        stored_as("float32", pixels),
        class_ids=real.class_ids,
        counts=real.counts,
        mean=real.mean,
        std=real.std,
        factor=factor,
        names=names,
    )


def _labelled(made: CondensedSet, notes: tuple[Note, ...], classes: Classes | None) -> Reading:
    """A set that has labels of its own, as classes of a data set."""
    if classes is None:
        return Reading(made, notes)
    return _matched(made, match_labels(made.class_ids, made.names, classes), notes, classes)


def _matched(made: CondensedSet, match: Match, notes: tuple[Note, ...], classes: Classes | None) -> Reading:
    """The set with the labels of a match, one for each class, and the data set's names."""
    made = made.relabelled(match.labels)
    if classes is not None and all(classes[label] for label in made.class_ids):
        made = replace(made, names=tuple(classes[label] for label in made.class_ids))
    how: Literal["known", "assumed"] = "known" if match.by == "name" else "assumed"
    return Reading(made, (*notes, Note("classes", match.by, how)))
