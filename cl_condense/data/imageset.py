"""ImageSet: real images, class-major, on one device, normalised when they are gathered."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from cl_condense.common.devices import pick_device, upload
from cl_condense.common.foreign import shown
from cl_condense.common.kinds import check_kind
from cl_condense.common.numbers import MOST, whole
from cl_condense.common.rng import Key, bits, uniform, unit
from cl_condense.data.image_grid import SHOWN, grid_page
from cl_condense.data.showing import as_html, listed, png, position, shown_of

Constants = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and std of each channel."""

_CHANNELS = (1, 3, 4)
_LAST = torch.iinfo(torch.int64).max


@dataclass(frozen=True, eq=False)
class ImageSet(Dataset[tuple[Tensor, int]]):
    """Labelled images, sorted by class; make one with ``of``. It is a torch Dataset of what networks take.

    Attributes:
        images: ``[n, c, h, w]``, uint8 pixels or float32 values that the networks take as they are.
        class_ids: the labels that occur, ascending; ``counts`` has the number of images of each.
        mean, std: per channel; a network's input is ``(pixel / 255 - mean) / std`` where images are uint8,
            and a pixel for people is ``255 * (x * std + mean)`` in either case.
        names: one name a class, or empty.
        weights: ``[n]`` or None; how many images of the stream each one stands for. A memory whose classes
            return uses it: draws follow the weights.
    """

    images: Tensor
    class_ids: tuple[int, ...]
    counts: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    names: tuple[str, ...] = ()
    weights: Tensor | None = None
    _rows: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rows", self._table.to(self.images.device))

    @staticmethod
    def of(
        images: Tensor | np.ndarray,
        labels: Tensor | np.ndarray | Sequence[int],
        *,
        names: Sequence[str] | None = None,
        normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
        weights: Tensor | None = None,
    ) -> ImageSet:
        """Checks the images, sorts them by class and works out the normalisation where none is given.

        ``names[label]`` names a class. Without ``normalisation`` (mean, std per channel, of pixels in [0, 1])
        uint8 images get their own statistics; float images are taken to be normalised already and keep their
        values, and the range they span is what people see as black to white.

        Raises:
            ValueError: on a wrong shape or dtype, channels that come last, NaN or infinite pixels, labels that
                do not fit.
        """
        images, labels = _tensor("images", images), _tensor("labels", labels).cpu()
        _check(images, labels)
        labels = labels.long()
        if weights is not None:
            weights = _checked_weights(weights, len(images)).to(images.device)
        order = torch.argsort(labels, stable=True)
        ids, counts = torch.unique(labels, return_counts=True)
        images = images[order.to(images.device)].contiguous()
        if images.dtype != torch.uint8:
            images = images.float()
        mean, std = (
            _statistics(images) if normalisation is None else check_constants(normalisation, images.shape[1])
        )
        class_ids = tuple(ids.tolist())
        if isinstance(names, str):
            raise ValueError(f"names {names!r}: give a list, with a name for each label")
        if names is not None and class_ids[-1] >= len(names):
            raise ValueError(f"label {class_ids[-1]} has no name: {len(names)} class names were given")
        return ImageSet(
            images,
            class_ids,
            tuple(counts.tolist()),
            mean,
            std,
            tuple(str(names[i]) for i in class_ids) if names is not None else (),
            None if weights is None else weights[order.to(images.device)],
        )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        c, h, w = self.images.shape[1:]
        return int(c), int(h), int(w)

    @property
    def device(self) -> torch.device:
        return self.images.device

    @property
    def labels(self) -> Tensor:
        """Label of each image, ``[n]``."""
        return self._rows[0].repeat_interleave(self._rows[2])

    @property
    def targets(self) -> Tensor:
        """Position of each image's class in ``class_ids``, ``[n]``: what a network for them answers."""
        return torch.arange(len(self.counts), device=self.device).repeat_interleave(self._rows[2])

    def to(self, device: torch.device | str) -> ImageSet:
        """The same set on another device.

        Raises:
            ValueError: for a device that is not here.
        """
        try:
            images = self.images.to(device)
        except (RuntimeError, AssertionError):  # torch names every device there is, in several lines
            pick_device(device)
            raise
        return replace(self, images=images, weights=None if self.weights is None else self.weights.to(device))

    def only(self, class_ids: Sequence[int]) -> ImageSet:
        """The images of some classes; no copy where these are side by side.

        Raises:
            ValueError: for a class without an image.
        """
        check_kind("classes", class_ids, Sequence, f"a list, of some of {_list(self.class_ids)}")
        if not class_ids:
            raise ValueError(f"no classes: give some of {_list(self.class_ids)}")
        absent = sorted(set(class_ids) - set(self.class_ids))
        if absent:
            raise ValueError(f"no images of class {absent[0]}: the set has classes {_list(self.class_ids)}")
        where = [i for i, c in enumerate(self.class_ids) if c in set(class_ids)]
        keep: slice | Tensor = torch.isin(self.labels, self._rows[0, where])
        if where[-1] - where[0] == len(where) - 1:
            keep = slice(sum(self.counts[: where[0]]), sum(self.counts[: where[-1] + 1]))
        return replace(
            self,
            images=self.images[keep],
            class_ids=tuple(self.class_ids[i] for i in where),
            counts=tuple(self.counts[i] for i in where),
            names=tuple(self.names[i] for i in where) if self.names else (),
            weights=None if self.weights is None else self.weights[keep],
        )

    def called(self, place: int) -> str:
        """The label of a class, by its place, and its name where that is another."""
        label = str(self.class_ids[place])
        name = self.names[place] if self.names else label
        return label if name == label else f"{label} {shown(repr(name))}"

    def filled(self, m: int) -> ImageSet:
        """The same set, but classes of fewer than m images are gone through again, up to m."""
        m = whole("images of each class", m)
        if min(self.counts) >= m:
            return self
        rows = [torch.arange(max(n, m), device=self.device) % n for n in self.counts]
        starts = self._rows[1].tolist()
        index = torch.cat([start + own for start, own in zip(starts, rows, strict=True)])
        weights = None if self.weights is None else self.weights[index]
        return replace(self, images=self.images[index], counts=tuple(map(len, rows)), weights=weights)

    def take(self, index: Tensor) -> Tensor:
        """Network inputs ``[*index.shape, c, h, w]`` in float32, normalised."""
        x = self.images[index]
        if x.dtype != torch.uint8:
            return x
        mean, std = self._constants
        return x.div(255).sub_(mean).div_(std)

    @cached_property
    def _table(self) -> Tensor:
        """Label, first image and number of images of each class, ``[3, k]``, on the host."""
        starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])
        return torch.as_tensor(np.stack([self.class_ids, starts, self.counts]), dtype=torch.int64)

    @cached_property
    def _slots(self) -> Tensor:
        return torch.arange(max(self.counts), device=self.device)

    @cached_property
    def _constants(self) -> tuple[Tensor, Tensor]:
        """Mean and std ``[c, 1, 1]`` where the images are: bringing them to a GPU would wait each time."""
        mean, std = (torch.tensor(each, device=self.device).view(-1, 1, 1) for each in (self.mean, self.std))
        return mean, std

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image ``[c, h, w]`` in float32, normalised, and label.

        Raises:
            IndexError: for one that is not there.
        """
        at = position(index, len(self))
        return self.take(torch.tensor(at)), self.class_ids[bisect_right([*accumulate(self.counts)], at)]

    def picture(self, classes: int | None = None, each: int = SHOWN) -> Image.Image:
        """A picture, a row a class: the first ``each`` images of the first ``classes``.

        Raises:
            ValueError: for numbers below 1.
        """
        classes = len(self.class_ids) if classes is None else whole("classes", classes)
        counts = [min(n, whole("each", each)) for n in self.counts[:classes]]
        starts = self._rows[1].tolist()
        rows = torch.cat([torch.arange(n) + start for start, n in zip(starts, counts, strict=False)])
        images = self.images[rows.to(self.device)].cpu()
        if images.dtype != torch.uint8:
            mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (self.mean, self.std))
            images = ((images * std + mean) * 255).round_().clamp_(0, 255).to(torch.uint8)
        return grid_page(images, counts, self.names[:classes], self.class_ids[:classes])

    def __repr__(self) -> str:
        c, h, w = self.shape
        what = "pixels" if self.images.dtype == torch.uint8 else "normalised"
        images = f"{len(self):,} images of {len(self.class_ids):,} classes, {c} x {h} x {w}, {what}"
        return f"ImageSet: {images}, on {self.device}\n{listed(self.names, self.class_ids)}"

    def _repr_png_(self) -> bytes:
        return png(self.picture(*shown_of(self.shape)))

    def _repr_html_(self) -> str:
        return as_html(repr(self), self.picture(*shown_of(self.shape)))

    def draw(self, m: int, *keys: Key, rows: Tensor | None = None, distinct: bool = False) -> Tensor:
        """Indices ``[k, m]`` of m random images of each class (of those at positions ``rows``, on the host).

        A key is an integer, or one for each row, ``[k]`` on the host.

        Without replacement, as all published code draws; a class of fewer than m images is gone through
        again, so that every image comes floor or ceil of m / count times. With weights: floor or ceil of its
        share of m times (systematic sampling), and so do all images of one weight together; or at most once if
        they are to be ``distinct``. The draw of a class depends on the keys and the class alone.
        """
        m = whole("images of each class", m, at_most=MOST["per_class"])
        table = self._table if rows is None else self._table[:, rows]
        shortest, longest = (int(n) for n in table[2].aminmax())
        # What a class's draws start from is worked out on the host, and all goes up together.
        own = upload(torch.cat([table[1:], bits(*keys, table[0])[None]]), self.device)
        starts, counts, start = own[..., None].unbind()
        slots = self._slots[:longest]
        order = bits(slots, start=start)
        if shortest < longest:
            order.masked_fill_(slots >= counts, _LAST)
        if self.weights is None:
            first = order.topk(min(m, longest), dim=1, largest=False).indices
            if m > shortest:
                first = first.gather(1, torch.arange(m, device=self.device) % counts)
            return starts + first
        turn = torch.arange(m, device=self.device)
        order = order.argsort(1)
        mass = self.weights[(starts + order).clamp_max(len(self) - 1)].double() * (slots < counts)
        # Images of one weight side by side, so that each weight gets its share of the m, but for one: a memory
        # whose images stand for many, beside new ones that stand for themselves.
        apart = torch.where(slots < counts, mass, torch.inf).argsort(dim=1, stable=True)
        order, mass = order.gather(1, apart), mass.gather(1, apart)
        if distinct:
            mass = torch.minimum(mass, _highest_share(mass, m))
        mass = mass.cumsum(1)
        at = (unit(start).double() + turn) / m * mass[:, -1:]
        chosen = order.gather(1, torch.minimum(torch.searchsorted(mass, at, right=True), counts - 1))
        return starts + chosen.gather(1, bits(turn, 1, start=start).argsort(1))  # the first ones are as random

    def sample(self, m: int, *keys: Key) -> tuple[Tensor, Tensor]:
        """Indices ``[m]`` of random images, and the position of the class of each.

        One from each m-th part of the set, which is sorted by class: so every class comes as often as its share
        says, to less than two. With weights: parts of equal weight.
        """
        m = whole("images", m, at_most=MOST["max_size"])
        turn = torch.arange(m, device=self.device)
        at = (turn + uniform(*keys, turn).double()) / m
        if self.weights is None:
            index = (at * len(self)).long()
        else:
            mass = self.weights.double().cumsum(0)
            index = torch.searchsorted(mass, at * mass[-1], right=True)
        index = index.clamp_max(len(self) - 1)
        return index, torch.searchsorted(self._rows[1], index, right=True) - 1


def check_ipc(ipc: int, real: ImageSet) -> None:
    """Raises ValueError for a budget below one image per class, or above the images that a class has."""
    whole("images per class (ipc)", ipc)
    fewest = min(real.counts)
    if ipc > fewest:
        scarce = real.called(real.counts.index(fewest))
        raise ValueError(f"{ipc} images per class, but class {scarce} has {fewest}: give at most {fewest}")


def _highest_share(mass: Tensor, m: int) -> Tensor:
    """The c of each row for which min(mass, c) sums up to m * c: then no share of m exceeds one."""
    down = mass.sort(1, descending=True).values
    rest = down.flip(1).cumsum(1).flip(1)  # from each place on
    # With the j heaviest certain, the others share what is left of m; the first j that leaves none above.
    left = (down > 0).sum(1, keepdim=True).clamp_max(m) - torch.arange(down.shape[1], device=mass.device)
    shares = torch.where(left > 0, rest / left.clamp_min(1), 0.0)
    first = ((down <= shares * (1 + 1e-12)) & (left > 0)).int().argmax(1, keepdim=True)
    return shares.gather(1, first)


def _tensor(name: str, value: object) -> Tensor:
    """What torch makes of a value: ValueError for what it makes nothing of."""
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        kind = f" of {value.dtype}" if isinstance(value, np.ndarray) else f" of type {type(value).__name__}"
        raise ValueError(f"{name}{kind}: give a tensor, or an array or a list of numbers") from None


def _statistics(images: Tensor) -> Constants:
    channels = images.shape[1]
    if images.dtype == torch.uint8:
        pixels = images.transpose(0, 1).flatten(1).double() / 255
        spread = pixels.std(1, correction=min(1, pixels.shape[1] - 1))  # of one pixel there is none
        return tuple(pixels.mean(1).tolist()), tuple(spread.clamp_min(1e-3).tolist())
    low, high = float(images.min()), float(images.max())
    span = max(high - low, 1e-12)
    return (-low / span,) * channels, (1 / span,) * channels


def check_constants(given: object, channels: int | None = None) -> Constants:
    """Mean and std as floats.

    Raises:
        ValueError: for what is no such pair, or does not fit the channels.
    """
    try:
        mean, std = (tuple(map(float, part)) for part in given)  # type: ignore[attr-defined]
        fits = len(mean) == len(std) == (channels or len(mean)) > 0
        if fits and all(map(math.isfinite, mean + std)) and min(std) > 0:
            return mean, std
    except (TypeError, ValueError, OverflowError):
        pass
    of = "" if channels is None else f" does not fit images of {channels} channel{'s' * (channels > 1)}"
    said = " ".join(repr(given).split())[:80]
    raise ValueError(
        f"normalisation {said}{of}: give (mean, std), each with a finite number a channel, std above 0"
    )


def _check(images: Tensor, labels: Tensor) -> None:
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"images of shape {tuple(images.shape)}: give [n, channels, height, width], none of them 0"
        )
    if images.shape[3] in _CHANNELS and images.shape[1] not in _CHANNELS:
        raise ValueError(
            f"images of shape {tuple(images.shape)} have channels last: give [n, channels, height, width], "
            "by permute(0, 3, 1, 2) of a tensor or transpose(0, 3, 1, 2) of an array"
        )
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"images of type {images.dtype}: give uint8 pixels (0 to 255) or normalised floats")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels of type {labels.dtype}: give whole numbers from 0")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{tuple(labels.shape)} labels for {len(images)} images: give one label an image")
    if int(labels.min()) < 0:
        raise ValueError(f"label {int(labels.min())}: labels count from 0")
    if images.dtype != torch.uint8 and not bool(torch.isfinite(images).all()):
        bad = int((~torch.isfinite(images)).flatten(1).any(1).nonzero()[0])
        raise ValueError(f"image {bad} has NaN or infinite pixels: mend or leave it out, then try again")


def _checked_weights(weights: Tensor, n: int) -> Tensor:
    weights = torch.as_tensor(weights, dtype=torch.float32)
    if weights.shape != (n,):
        raise ValueError(f"{tuple(weights.shape)} weights for {n} images: give one weight an image")
    if not bool((torch.isfinite(weights) & (weights >= 0)).all()) or not float(weights.sum()):
        raise ValueError(f"weight {float(weights.min())}: give finite ones of at least 0, not all of them 0")
    return weights


def _list(ids: Sequence[int], most: int = 12) -> str:
    few = ", ".join(map(str, ids[:most]))
    return few + (f", ... ({len(ids)} in all)" if len(ids) > most else "")
