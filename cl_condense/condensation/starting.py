"""Going on from a condensed set: its images are where the condensation starts, beside those that are new."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cl_condense.common import numbers
from cl_condense.common.numbers import whole
from cl_condense.common.plain import Json
from cl_condense.common.rng import subseed
from cl_condense.condensation.condensed_set import CondensedSet, stored_as
from cl_condense.condensation.formats.reading import normalised
from cl_condense.condensation.recipe import Recipe
from cl_condense.condensation.storage import Partition, Pixels, Synthetic, kept
from cl_condense.data.imageset import ImageSet


@dataclass(frozen=True, eq=False)
class Started:
    """Storage that starts at the images of a set; classes and images that it has not start as ``inner`` does.

    Attributes:
        condensed: the set, with the labels of the data.
        inner: as many images in one as the set has.
        seed: for what is new: with that of the set its first images start at other real ones.
        only_new: the set's images stay as they are.
        done: iterations that they have behind them.
    """

    condensed: CondensedSet
    inner: Synthetic
    seed: int
    only_new: bool = False
    done: int = 0

    @property
    def factor(self) -> int:
        return self.condensed.factor

    def start(self, real: ImageSet, ipc: int, seed: int) -> Tensor:
        own, pixels = self.condensed, self.inner.start(real, ipc, self.seed)
        old = dict(zip(own.class_ids, own.pixels.split(own.counts), strict=True))
        for row, c in enumerate(real.class_ids):
            if c in old:
                pixels[row, : len(old[c])] = old[c].to(pixels)
        return pixels

    def kept(self, real: ImageSet, ipc: int) -> Tensor:
        """Which of the images ``[k, ipc]`` stay as they are, on the host."""
        counts = dict(zip(self.condensed.class_ids, self.condensed.counts, strict=True))
        has = torch.tensor([counts.get(c, 0) for c in real.class_ids])
        return (torch.arange(ipc) < has[:, None]) & self.only_new | kept(self.inner, real, ipc)

    def settings(self) -> Json:
        """What a record says of it."""
        own: Json = {"factor": self.factor, "of": self.condensed.recipe.get("name"), "done": self.done}
        return own | ({"only_new": True} if self.only_new else {})


def started(
    recipe: Recipe, condensed: CondensedSet, real: ImageSet, ipc: int, seed: int, *, only_new: bool = False
) -> tuple[Recipe, int]:
    """A recipe that goes on from a set, and the seed of its draws, which are not those behind the set.

    Raises:
        ValueError: for soft labels, classes that the data have not, images of another shape, more of a class
            than ``ipc``, and with ``only_new`` where nothing is new, or labels are learned.
    """
    if only_new and recipe.labels:
        raise ValueError(
            f"only new images are wanted, and {recipe.name} learns the labels of all: leave only_new out, or "
            "take a method with hard labels"
        )
    own = _fitting(condensed, real)
    if own.shape != real.shape:
        raise ValueError(
            f"a set of images of shape {own.shape} does not go on with data of shape {real.shape}: give the "
            "data that it is of, in its size"
        )
    most = max(own.counts)
    if most > ipc:
        c = own.class_ids[own.counts.index(most)]
        raise ValueError(
            f"the set has {most} images of class {c}, not {ipc}: give as many images per class, or more"
        )
    if only_new and own.class_ids == real.class_ids and {*own.counts} == {ipc}:
        raise ValueError(
            f"only new images are wanted, and the set has {ipc} of every class: give more images per class"
        )
    inner = recipe.synthetic
    if inner.factor != own.factor:
        inner = Pixels() if own.factor == 1 else Partition(own.factor)
    done = iterations_behind(condensed)
    storage = Started(own, inner, numbers.seed(seed), only_new, done)
    return replace(recipe, synthetic=storage), subseed(seed, done)


def iterations_behind(condensed: CondensedSet) -> int:
    """The iterations that a set's images had, in all that it went through; 0 where it is not said.

    Raises:
        ValueError: for numbers that are none.
    """
    before = condensed.recipe.get("synthetic")
    numbers = condensed.recipe.get("iterations", 0), before.get("done", 0) if isinstance(before, dict) else 0
    return sum(whole("iterations of a set", n, 0, 2**53) for n in numbers)


def unfinished(recipe: Recipe, real: ImageSet, ipc: int) -> list[int]:
    """The classes that have images to condense: all, but for those whose every image stays as it is."""
    moving = (~kept(recipe.synthetic, real, ipc)).any(1).tolist()
    return [c for c, moves in zip(real.class_ids, moving, strict=True) if moves]


def with_kept(made: CondensedSet, start: CondensedSet, real: ImageSet) -> CondensedSet:
    """A set made with ``only_new``, in which the images that it was started with are to the bit what they were.

    Of data that are normalised otherwise they are so to rounding.
    """
    own = _fitting(start, real).coded(made.codec)
    had = dict(zip(own.class_ids, own.counts, strict=True))
    new = {c: n - had.get(c, 0) for c, n in zip(made.class_ids, made.counts, strict=True)}
    both = own.joined(made.last({c: n for c, n in new.items() if n}))
    shared = {name: getattr(both, name) for name in ("stored", "class_ids", "counts", "names")}
    return replace(made, **shared)


def _fitting(condensed: CondensedSet, real: ImageSet) -> CondensedSet:
    """The set as data have it: with the labels that they give its classes, by name where both have names, and
    with their normalisation, in which its images look the same.
    """
    if condensed.soft_labels() is not None:
        raise ValueError("the set has soft labels, which condensing would lose: go on from a set of hard ones")
    named = bool(condensed.names and real.names)
    known = dict(zip(real.names if named else real.class_ids, real.class_ids, strict=True))
    own = condensed.names if named else condensed.class_ids
    if absent := [c for c in own if c not in known]:
        raise ValueError(
            f"the set has class {absent[0]!r}, of which the data have no images: give data of all its classes; "
            "or condense the others alone, and put both sets together with CondensedSet.merged"
        )
    names = dict(zip(real.class_ids, real.names, strict=False))
    found = condensed.relabelled([known[c] for c in own])
    found = replace(found, names=tuple(names[c] for c in found.class_ids) if names else ())
    if (found.mean, found.std) == (real.mean, real.std):
        return found
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (found.mean, found.std))
    pixels = normalised(found.pixels * std + mean, "unit", real.mean, real.std)
    stored = stored_as("float32", pixels)
    return replace(found, stored=stored, codec="float32", mean=real.mean, std=real.std)
