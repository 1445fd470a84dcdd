"""What a reader gives: a condensed set, and how each thing was settled that its file may leave open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet

SPACES = {
    "normalised": "values normalised",
    "unit": "values 0 to 1",
    "pixels": "values 0 to 255",
    "whitened": "values ZCA-whitened, test images whitened as the training images",
}
"""What the values of images may be: a network's input, black to white in one of two ranges, or ZCA-whitened."""

_CLASSES = {
    "name": "classes by name",
    "number": "classes by number",
    "order": "classes in the order of their folders",
}
_LABELS = {
    "class-major": "images in the order of the classes",
    "one-hot": "one-hot labels",
    "soft": "soft labels",
    "logits": "soft labels, of logits",
}
_LAYOUTS = {"last": "channels last", "grey": "one channel"}
_FAR = 20  # normalised values stay below: (1 - mean) / std is at most 5 for the published data sets


@dataclass(frozen=True)
class Note:
    """One thing about a file: ``known`` from it, ``chosen`` where there is a choice, else ``assumed``."""

    key: Literal["space", "factor", "classes", "pair", "labels", "layout"]
    value: Any
    how: Literal["known", "chosen", "assumed"]

    def __str__(self) -> str:
        if self.key == "pair":
            return f"pair {self.value[0]} of {self.value[1]}"
        if self.key == "factor":
            return "one image in one" if self.value == 1 else f"{self.value**2} images in one"
        return (SPACES | _CLASSES | _LABELS | _LAYOUTS)[self.value]


@dataclass(frozen=True)
class Reading:
    """A condensed set as it was read, with a note for each thing that a file may leave open."""

    set: CondensedSet
    notes: tuple[Note, ...]

    def said(self) -> str:
        """For people: what was assumed, and after a semicolon what was chosen; empty where all was known."""
        assumed, chosen = (
            ", ".join(str(n) for n in self.notes if n.how == how) for how in ("assumed", "chosen")
        )
        return "; ".join(part for part in (assumed and f"assumed: {assumed}", chosen) if part)

    def record(self) -> Json:
        """For records: every value (``pair`` is which of how many), and under ``assumed`` the keys of those."""
        values: Json = {note.key: note.value for note in self.notes}
        return {**values, "assumed": [note.key for note in self.notes if note.how == "assumed"]}


def settled(key: Literal["space", "factor"], asked: object, known: object, assumed: object) -> Note:
    """What the file says, else what was asked for, else what is assumed.

    Raises:
        ValueError: where the file says something else than was asked for.
    """
    if known is None:
        return Note(key, assumed, "assumed") if asked is None else Note(key, asked, "chosen")
    if asked not in (None, known):
        raise ValueError(f"{key} {asked} contradicts the file, which has {key} {known}: leave {key} out for it")
    return Note(key, known, "known")


def space_of(
    images: Tensor, usual: str | None = None, mean: Sequence[float] = (), std: Sequence[float] = ()
) -> str:
    """What values float images seem to have.

    Of a layout that usually is ``unit``, that where they stay from -1 to 2, and beyond where mean and std are
    rather those of the data set's pixels than 0 and 1: not everyone cuts them off.
    Else all from 0 to 1: ``unit``; none negative and some above 20: ``pixels``; else ``normalised``.
    """
    low, high = float(images.min()), float(images.max())
    if usual and ((low >= -1 and high <= 2) or _as_pixels(images, mean, std)):
        return usual
    if low >= 0 and high <= 1:
        return "unit"
    return "pixels" if low >= 0 and high > _FAR else "normalised"


def _as_pixels(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> bool:
    """Whether values are likelier of the mean and std of pixels from 0 to 1 than of 0 and 1, as normal ones."""
    own_mean, own_std = images.float().mean((0, 2, 3)), images.float().std((0, 2, 3))

    def misfit(centre: Tensor, spread: Tensor) -> float:
        return float(((((own_mean - centre) / spread) ** 2) + (own_std / spread).log() ** 2).sum())

    centre, spread = torch.tensor(mean), torch.tensor(std)
    ones = torch.ones_like(spread)
    return misfit(centre, spread) < misfit(0 * ones, ones)


def normalised(images: Tensor, space: str, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images ``[n, c, h, w]`` whose values are in one of ``SPACES``, as a network takes them: float32."""
    images = images.float()
    if space in ("normalised", "whitened"):  # a network's input, as it is
        return images
    centre, spread = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
    return (images / (255 if space == "pixels" else 1) - centre) / spread
