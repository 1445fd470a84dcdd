"""CondensedSet: the images that stand for a data set, with all that is needed to use them again."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from cl_condense.common import tensor_file
from cl_condense.common.foreign import check_room, reading, shown
from cl_condense.common.kinds import check_kind, check_parts
from cl_condense.common.numbers import whole
from cl_condense.common.paths import path_of
from cl_condense.common.plain import Json
from cl_condense.condensation.codecs import LABEL_BYTES, Stored, codec
from cl_condense.condensation.set_faults import BESIDE, pixel_fault, set_fault
from cl_condense.condensation.storage import decode
from cl_condense.data.image_grid import SHOWN, grid_page, image_grid
from cl_condense.data.imageset import ImageSet
from cl_condense.data.showing import as_html, listed, png, position, shown_of

SHRINK = ("recondense", "prefix")
"""How the images of a class become fewer: condensed again, or the first ones kept."""

_FORMAT = "cl-condense 2"
_FLOATS = "cl-condense 1"  # the format before codecs: pixels are float32
_TUPLES = ("class_ids", "counts", "mean", "std", "names")
_GIVE = "give a set that condense or CondensedSet.save wrote"
_REMEDY = f"remove it, or {_GIVE}"


@dataclass(frozen=True, eq=False)
class CondensedSet(Dataset[tuple[Tensor, int]]):
    """Synthetic (or selected) images of some classes, class-major, on the CPU: a torch Dataset to train on.

    ``CondensedSet(pixels, ...)`` of float32 pixels ``[n, c, h, w]`` stores them by its codec.

    Attributes:
        stored: the tensors of the codec, by name; ``n`` images are what is stored. Where labels were learned,
            and in sets of others, ``soft`` is beside them, ``[n, k]`` float32: probabilities of the classes 0
            to k - 1.
        class_ids: labels, ascending; ``counts`` has the number of stored images of each.
        mean, std: per channel; ``255 * (x * std + mean)`` is the pixel that people see.
        codec: how pixels are stored, see ``condensation.codecs``: ``float32``, ``float16`` or ``uint8``.
        factor: each stored image decodes to factor * factor images (see ``decode``).
        names: one name a class, or empty.
        recipe: name and settings of the method.
        seed: the seed it was made with.
        versions: of cl-condense and torch.
    """

    stored: Stored
    class_ids: tuple[int, ...]
    counts: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    codec: str = "float32"
    factor: int = 1
    names: tuple[str, ...] = ()
    recipe: Json = field(default_factory=dict)
    seed: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(
        real: ImageSet, pixels: Tensor, recipe: Json, seed: int, factor: int = 1, *, soft: Tensor | None = None
    ) -> CondensedSet:
        """A set of pixels ``[k, ipc, c, h, w]`` for the k classes of ``real``; soft labels ``[k, ipc, k]``."""
        beside = {} if soft is None else {"soft": soft.flatten(0, 1).float().cpu().clone()}
        return CondensedSet(
            stored_as("float32", pixels.flatten(0, 1).float().cpu().clone()) | beside,
            class_ids=real.class_ids,
            counts=(pixels.shape[1],) * len(real.class_ids),
            mean=real.mean,
            std=real.std,
            factor=factor,
            names=real.names,
            recipe=recipe,
            seed=seed,
            versions={"cl-condense": version("cl-condense"), "torch": torch.__version__},
        )

    def __post_init__(self) -> None:
        for name in _TUPLES:
            check_parts(name, getattr(self, name), object, "one value for each class, or channel")
        check_kind("pixels", self.stored, Tensor | dict, "a float32 tensor [n, channels, height, width]")
        if isinstance(self.stored, Tensor):
            object.__setattr__(self, "stored", stored_as(self.codec, self.stored))
        own = {name: getattr(self, name) for name in (*_TUPLES, "factor")}
        if fault := set_fault(self.stored, self.codec, **own):
            raise ValueError(f"a condensed set with {fault}")
        for name, kind in (("recipe", dict), ("versions", dict), ("seed", int)):
            if type(value := getattr(self, name)) is not kind:
                wanted = "a whole number" if kind is int else "a dict"
                raise ValueError(f"a condensed set with {name} {shown(value)}: give {wanted}")
        images = len(self) * self.factor**2
        check_room(4 * images * math.prod(self.shape), f"a condensed set of {images:,} images")

    def __len__(self) -> int:
        return len(self.stored["pixels"])

    @property
    def pixels(self) -> Tensor:
        """The stored images ``[n, c, h, w]`` in float32, normalised; a network takes them as decoded."""
        return codec(self.codec).decode(self.stored)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every stored image."""
        c, h, w = self.stored["pixels"].shape[1:]
        return int(c), int(h), int(w)

    @property
    def labels(self) -> Tensor:
        """Label of each stored image, ``[n]`` int64."""
        return torch.tensor(self.class_ids).repeat_interleave(torch.tensor(self.counts))

    @property
    def nbytes(self) -> int:
        """Bytes of all that is stored: pixels, their ranges where the codec has some, 16 a class for labels."""
        images = sum(tensor.numel() * tensor.element_size() for tensor in self.stored.values())
        return images + LABEL_BYTES * len(self.class_ids)

    def coded(self, name: str) -> CondensedSet:
        """The same set stored by another codec; what that rounds away is gone for good.

        Raises:
            ValueError: for a codec that is not known, or that does not hold the pixels.
        """
        if name == self.codec:
            return self
        soft = {key: self.stored[key] for key in BESIDE & self.stored.keys()}
        return replace(self, stored=stored_as(name, self.pixels) | soft, codec=name)

    def decode(self) -> tuple[Tensor, Tensor]:
        """Images ``[n * factor^2, c, h, w]`` float32 to train on, and their labels; class-major."""
        parts = [decode(part, self.factor) for part in self.pixels.split(self.counts)]
        counts = torch.tensor([len(part) for part in parts])
        return torch.cat(parts), torch.tensor(self.class_ids).repeat_interleave(counts)

    def soft_labels(self) -> Tensor | None:
        """Probabilities ``[n * factor^2, k]`` of the images of ``decode``; None where labels are hard."""
        if "soft" not in self.stored:
            return None
        return torch.cat([part.repeat(self.factor**2, 1) for part in self.stored["soft"].split(self.counts)])

    def to_train(self) -> tuple[Tensor, Tensor]:
        """The images of ``decode``, and what networks learn to say of them: soft labels, or else labels."""
        images, labels = self.decode()
        soft = self.soft_labels()
        return images, labels if soft is None else soft

    def to_pixels(self, decoded: bool = False) -> Tensor:
        """uint8 images ``[n, c, h, w]`` for people and for other libraries; values beyond 0 to 255 are cut."""
        x = self.decode()[0] if decoded else self.pixels
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (self.mean, self.std))
        return ((x * std + mean) * 255).round_().clamp_(0, 255).to(torch.uint8)

    def only(self, class_ids: Sequence[int]) -> CondensedSet:
        """The images of some classes.

        Raises:
            ValueError: for none, or a class that is not there.
        """
        parts = self._parts()
        check_kind("classes", class_ids, Sequence, "a list of them")
        absent = sorted(set(class_ids) - set(parts))
        if absent or not class_ids:
            what = f"class {absent[0]} is not in the set" if absent else "no classes"
            raise ValueError(f"{what}: give some of {', '.join(map(str, self.class_ids))}")
        return self._of({c: parts[c] for c in class_ids}, self._names())

    def first(self, counts: dict[int, int]) -> CondensedSet:
        """The first ``counts[c]`` images of each class c (or all, where it has fewer).

        Raises:
            ValueError: for no class that is there, and numbers below 1.
        """
        parts = self._parts()
        if not counts.keys() & parts.keys():
            raise ValueError(f"no class of the set: give some of {', '.join(map(str, self.class_ids))}")
        counts = {c: whole(f"images of class {c}", n) for c, n in counts.items()}
        cut = {c: {k: t[:n] for k, t in parts[c].items()} for c, n in counts.items() if c in parts}
        return self._of(cut, self._names())

    def last(self, counts: dict[int, int]) -> CondensedSet:
        """The last ``counts[c]`` images of each class c; errors as ``first``."""
        parts = {c: {k: t.flip(0) for k, t in own.items()} for c, own in self._parts().items()}
        turned = self._of(parts, self._names()).first(counts)
        return turned._of(
            {c: {k: t.flip(0) for k, t in own.items()} for c, own in turned._parts().items()}, turned._names()
        )

    def merged(self, other: CondensedSet) -> CondensedSet:
        """Both sets in one; a class that both have is taken from ``other``, and so is all but the images.

        Raises:
            ValueError: where image size, partition factor or codec differ.
        """
        self._check_joins(other)
        return other._of(self._parts() | other._parts(), self._names() | other._names())

    def joined(self, other: CondensedSet) -> CondensedSet:
        """Both sets in one; a class that both have gets the images of both, those of this set first.

        Raises:
            ValueError: as ``merged``.
        """
        self._check_joins(other)
        parts = self._parts()
        for c, own in other._parts().items():
            parts[c] = {k: torch.cat([parts[c][k], t]) for k, t in own.items()} if c in parts else own
        return self._of(parts, other._names() | self._names())

    def _check_joins(self, other: CondensedSet) -> None:
        check_kind("set", other, CondensedSet, "a CondensedSet")
        mine, theirs = ((s.shape, s.factor, s.codec) for s in (self, other))
        if BESIDE & (self.stored.keys() | other.stored.keys()):
            raise ValueError("soft labels say nothing of other classes: such a set joins no other")
        if mine != theirs:
            raise ValueError(
                "images of shape {}, factor {} and codec {}".format(*theirs)
                + " do not join a set of shape {}, factor {} and codec {}: condense them alike".format(*mine)
            )

    def relabelled(self, labels: Sequence[int]) -> CondensedSet:
        """The same images and names with another label for each class, in the order of the new labels.

        Raises:
            ValueError: for other labels than one for each class, and for a set of soft labels.
        """
        if tuple(labels) == self.class_ids:
            return self
        if len(labels) != len(self.class_ids) or len({*labels}) < len(labels):
            raise ValueError(
                f"labels {shown(labels)} for {len(self.class_ids)} classes: give one for each, each once"
            )
        if BESIDE & self.stored.keys():
            raise ValueError("soft labels are of classes 0, 1, ...: such a set keeps its labels")
        parts = dict(zip(labels, self._parts().values(), strict=True))
        return self._of(parts, dict(zip(labels, self.names, strict=False)))

    def _parts(self) -> dict[int, Stored]:
        """What is stored of each class."""
        split = {name: tensor.split(self.counts) for name, tensor in self.stored.items()}
        return {c: {name: rows[i] for name, rows in split.items()} for i, c in enumerate(self.class_ids)}

    def _names(self) -> dict[int, str]:
        return dict(zip(self.class_ids, self.names, strict=False))

    def _of(self, parts: dict[int, Stored], names: dict[int, str]) -> CondensedSet:
        ids = tuple(sorted(parts))
        return replace(
            self,
            stored={name: torch.cat([parts[c][name] for c in ids]) for name in self.stored},
            class_ids=ids,
            counts=tuple(len(parts[c]["pixels"]) for c in ids),
            names=tuple(names[c] for c in ids) if set(ids) <= set(names) else (),
        )

    def save(self, path: str | Path, **extra: object) -> None:
        """Writes a safetensors file in one step: a crash leaves the old file or the new one, never a part.

        ``extra`` goes into the header as JSON; ``read_header`` gives it back.
        """
        header = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "stored"}
        tensor_file.write(path_of("file", path), _FORMAT, self.stored, set=header, extra=extra)

    def picture(self, classes: int | None = None, each: int = SHOWN) -> Image.Image:
        """A picture of the stored images, a row a class: the first ``each`` of the first ``classes``.

        Raises:
            ValueError: for numbers below 1.
        """
        classes = len(self.class_ids) if classes is None else whole("classes", classes)
        some = self.first(dict.fromkeys(self.class_ids[:classes], whole("each", each)))
        return grid_page(some.to_pixels(), some.counts, some.names, some.class_ids)

    def unpacked(self) -> CondensedSet:
        """The set whose images are those to train on: itself, unless each stored one holds several."""
        if self.factor == 1:
            return self
        counts = tuple(n * self.factor**2 for n in self.counts)
        soft = self.soft_labels()
        stored = stored_as("float32", self.decode()[0]) | ({} if soft is None else {"soft": soft})
        return replace(self, stored=stored, counts=counts, codec="float32", factor=1)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image ``[c, h, w]`` in float32, normalised, and label: the set is a torch Dataset.

        Soft labels, where there are any, are in ``soft_labels``.

        Raises:
            IndexError: for one that is not there.
            ValueError: where a stored image holds several to train on.
        """
        if self.factor > 1:
            raise ValueError(f"each stored image holds {self.factor**2} to train on: take them from unpacked()")
        at = position(index, len(self))
        row = {name: self.stored[name][at : at + 1] for name in self.stored.keys() - BESIDE}
        return codec(self.codec).decode(row)[0], self.class_ids[bisect_right([*accumulate(self.counts)], at)]

    def __repr__(self) -> str:
        c, h, w = self.shape
        made = f", {self.recipe['name']}" if "name" in self.recipe else ""
        each = f", each holds {self.factor**2}" if self.factor > 1 else ""
        images = f"{len(self):,} images of {len(self.class_ids):,} classes, {c} x {h} x {w}{each}"
        stored = f"{self.nbytes:,} bytes as {self.codec}"
        return f"CondensedSet: {images}{made}, {stored}\n{listed(self.names, self.class_ids)}"

    def _repr_png_(self) -> bytes:
        return png(self.picture(*shown_of(self.shape)))

    def _repr_html_(self) -> str:
        return as_html(repr(self), self.picture(*shown_of(self.shape)))

    def save_png(self, path: str | Path) -> None:
        """Writes a picture of the stored images, a row a class."""
        image_grid(self.to_pixels(), self.counts, self.names, path, ids=self.class_ids)

    @staticmethod
    def load(path: str | Path) -> CondensedSet:
        """Reads what ``save`` wrote; nothing in the file is run.

        Raises:
            ValueError: for a file that is absent, damaged or not ours, in one line that names it.
        """
        header, _, stored = _read(path)
        with reading(path, "a condensed set", _REMEDY):
            tuples: Json = {k: tuple(header.pop(k)) for k in _TUPLES}
            return CondensedSet(stored, **tuples, **header)


def stored_as(name: str, pixels: Tensor) -> Stored:
    """Float32 pixels ``[n, c, h, w]`` as a codec stores them.

    Raises:
        ValueError: for a codec that is not known, and for what are no finite pixels.
    """
    if fault := pixel_fault(pixels):
        raise ValueError(f"a condensed set with {fault}")
    return codec(name).encode(pixels)


def read_header(path: str | Path) -> Json:
    """What ``CondensedSet.save`` got as ``extra``.

    Raises:
        ValueError: as ``CondensedSet.load``.
    """
    return _read(path)[1]


def _read(path: str | Path) -> tuple[Json, Json, Stored]:
    formats, entries = (_FORMAT, _FLOATS), ("set", "extra")
    found = tensor_file.read(path_of("file", path), formats, entries, "a condensed set", _REMEDY, absent=_GIVE)
    return found.entries["set"], found.entries["extra"], found.tensors
