"""What a file of others leaves open, settled: where channels are, what values are, which class a label is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from cl_condense.common.foreign import one_line
from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet, stored_as
from cl_condense.condensation.formats.class_match import Match, match_labels
from cl_condense.condensation.formats.contract import Asked, Found
from cl_condense.condensation.formats.labels import by_class, told
from cl_condense.condensation.formats.reading import SPACES, Note, Reading, normalised, settled, space_of
from cl_condense.condensation.formats.torch_files import no_set
from cl_condense.data.class_names import Classes
from cl_condense.data.imageset import ImageSet

OURS = "cl-condense"
"""The key under which an exported file has what its layout leaves open."""

_CHANNELS = (1, 3, 4)


def left_open(condensed: CondensedSet, space: str = "normalised") -> Json:
    """What layouts of others do not say of the decoded images of a set."""
    constants = {"mean": list(condensed.mean), "std": list(condensed.std)}
    return {"names": list(condensed.names), **constants, "space": space, "factor": 1}


def known_of(known: object) -> Json:
    """The same, back from a file; empty for a file of others.

    Raises:
        ValueError: where it is damaged.
    """
    if known is None:
        return {}
    kinds = {"names": str, "mean": float, "std": float}
    if (
        not isinstance(known, dict)
        or type(known.get("space")) is not str
        or known["space"] not in SPACES
        or type(known.get("factor")) is not int
        or not all(isinstance(known.get(key), list) for key in kinds)
        or not all(type(value) is kind for key, kind in kinds.items() for value in known[key])
    ):
        raise ValueError(f"what is under {OURS!r} is damaged")
    return known


def settle(path: Path, found: Found, asked: Asked) -> Reading:
    """The set of what a file has.

    Raises:
        ValueError: for what is no set, or contradicts what was asked; in one line that names the file.
    """
    known = found.known
    if found.images.ndim not in (3, 4):
        raise no_set(path, f"images of shape {tuple(found.images.shape)}")
    with naming(path):
        labels, label_notes = told(found.labels, len(found.images), asked.classes)
    try:
        images, layout = _channels_first(found.images)
        constants = (known["mean"], known["std"]) if known else asked.normalisation
        real = ImageSet.of(images, labels.hard, normalisation=constants)
    except (TypeError, ValueError, RuntimeError) as error:
        raise no_set(path, str(error).splitlines()[0]) from None
    with naming(path):
        known_space = "pixels" if real.images.dtype == torch.uint8 else known.get("space")
        space = settled(
            "space",
            asked.space,
            known_space,
            None if known_space else space_of(real.images, found.usual, real.mean, real.std),
        )
        factor = settled("factor", asked.factor, known.get("factor"), 1)
        pixels = normalised(real.images, space.value, real.mean, real.std)
        made = condensed_of(real, pixels, factor.value, tuple(known.get("names", ())))
        if labels.soft is not None:
            soft = by_class(labels.soft, labels.hard)
            made = replace(made, stored={**made.stored, "soft": soft})
        return labelled(made, (space, factor, *layout, *label_notes, *found.notes), asked.classes)


def condensed_of(real: ImageSet, pixels: Tensor, factor: int, names: tuple[str, ...]) -> CondensedSet:
    """A set of normalised pixels for the classes of ``real``."""
    return CondensedSet(
        stored_as("float32", pixels),
        class_ids=real.class_ids,
        counts=real.counts,
        mean=real.mean,
        std=real.std,
        factor=factor,
        names=names,
    )


def labelled(made: CondensedSet, notes: tuple[Note, ...], classes: Classes | None) -> Reading:
    """A set that has labels of its own, as classes of a data set."""
    if classes is None:
        return Reading(made, notes)
    return matched(made, match_labels(made.class_ids, made.names, classes), notes, classes)


def matched(made: CondensedSet, match: Match, notes: tuple[Note, ...], classes: Classes | None) -> Reading:
    """The set with the labels of a match, one for each class, and the data set's names."""
    made = made.relabelled(match.labels)
    if classes is not None and all(classes[label] for label in made.class_ids):
        made = replace(made, names=tuple(classes[label] for label in made.class_ids))
    how: Literal["known", "assumed"] = "known" if match.by == "name" else "assumed"
    return Reading(made, (*notes, Note("classes", match.by, how)))


def no_pairs(path: Path, asked: Asked) -> None:
    """Raises ValueError where a pair is asked of a file that has none."""
    if asked.pair is not None:
        raise ValueError(
            f"pair {asked.pair}: {path} has no pairs, as .pt files of {{'data': [...]}} have: leave pair out"
        )


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors name the file."""
    try:
        yield
    except ValueError as error:
        raise one_line(f"{path}: {error}") from None


def _channels_first(images: Tensor) -> tuple[Tensor, Sequence[Note]]:
    """Images ``[n, c, h, w]``, and a note where their file has another order."""
    if images.ndim == 3:
        return images[:, None], [Note("layout", "grey", "assumed")]
    last = images.ndim == 4 and images.shape[3] in _CHANNELS and images.shape[1] not in _CHANNELS
    return (images.permute(0, 3, 1, 2), [Note("layout", "last", "assumed")]) if last else (images, [])
