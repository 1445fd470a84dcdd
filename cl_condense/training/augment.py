"""Differentiable siamese augmentation, run once per operation on all rows that drew it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from cl_condense.common.devices import upload
from cl_condense.common.kinds import check_flag, check_kind
from cl_condense.common.numbers import finite
from cl_condense.common.rng import Purpose, fold, uniform
from cl_condense.common.suggest import hint
from cl_condense.training.warping import GROUPS, Operations, apply, settle

_DRAWS = 3  # the colour group takes three numbers, no other group more
_EVERY = (("flip",), ("color",), ("crop", "scale", "rotate"), ("cutout",))  # in IDC's order

_NUMBERS: dict[str, dict[str, float]] = {
    "prob_flip": {"at_least": 0, "at_most": 1},
    "ratio_scale": {"at_least": 1},
    "ratio_rotate": {"at_least": 0},
    "ratio_crop_pad": {"at_least": 0},
    "ratio_cutout": {"at_least": 0},
    "brightness": {},
    "saturation": {},
    "contrast": {},
}


@dataclass(frozen=True, eq=False)
class Warp:
    """One draw: the operation groups of each row, and the uniform numbers their parameters come from.

    Attributes:
        groups: one word of the strategy a row, or the same number of words joined by ``_`` for every row, which
            its images go through in that order.
        u: float32 in [0, 1), three for each word of a row; ``[r, 1, 3 * words]`` shared by all images of a row,
            or ``[r, m, 3 * words]``, one set an image. On the device of the images, or on the host.
        settled: what was worked out for images of one kind, so that others like them need not wait for it.
    """

    groups: tuple[str, ...]
    u: Tensor
    settled: dict[Hashable, list[Operations]] = field(default_factory=dict, init=False, repr=False)


def _seeds(rows: int, keys: Sequence[int | Sequence[int]]) -> list[int]:
    """Of each row."""
    if not any(isinstance(key, Sequence) for key in keys):
        return [fold(Purpose.AUGMENT, *cast("Sequence[int]", keys))] * rows
    columns = [key if isinstance(key, Sequence) else [key] * rows for key in keys]
    return [fold(Purpose.AUGMENT, *own) for own in zip(*columns, strict=True)]


@dataclass(frozen=True)
class DSA:
    """Differentiable siamese augmentation (Zhao and Bilen, ICML 2021, arXiv:2102.08259).

    Each row draws one operation group of the strategy, all equally likely. In condensation a row is a class,
    and its real and synthetic images share one set of parameters; in evaluation training a row is a network,
    and every image of its mini-batch has its own. With r in [0, 1) drawn anew for each parameter, and zeros
    (the mean colour of normalised images) for what comes from outside the image:

    - ``color``: brightness ``x + (r - .5) * brightness``; then saturation ``(x - m) * r * saturation + m``,
      m a pixel's mean over channels; then contrast ``(x - m) * (r + contrast) + m``, m an image's mean.
    - ``crop``: on each axis a shift by -s..s whole pixels, ``s = int(size * ratio_crop_pad + .5)``.
    - ``cutout``: zeros in ``int(size * ratio_cutout + .5)`` pixels on each axis, cut off at the borders.
    - ``flip``: left to right where ``r < prob_flip``.
    - ``scale``: each axis of the sampling grid times a number in ``[1 / ratio_scale, ratio_scale]``.
    - ``rotate``: by up to ratio_rotate degrees either way, in grid coordinates (-1 to 1 on both axes).

    ``strategy`` joins groups by ``_`` (the authors leave out ``flip`` for MNIST and SVHN); ``none`` alone
    returns the images as they are.

    With ``every``, a row goes through several groups, each with numbers of its own, as in IDC (Kim et al.,
    ICML 2022, arXiv:2205.14959): flip, color, one of crop, scale and rotate, all equally likely, then cutout;
    those that the strategy does not name are left out.

    Unlike the authors' code, which seeds torch from the clock, so that no run can be repeated and two classes
    of one millisecond share a draw, draws are counted (``common.rng``); their distribution is as
    theirs.

    Raises:
        ValueError: for an unknown or repeated word of the strategy, or a ratio out of its range.
    """

    strategy: str = "color_crop_cutout_flip_scale_rotate"
    prob_flip: float = 0.5
    ratio_scale: float = 1.2
    ratio_rotate: float = 15.0
    ratio_crop_pad: float = 0.125
    ratio_cutout: float = 0.5
    brightness: float = 1.0
    saturation: float = 2.0
    contrast: float = 0.5
    every: bool = False  # False: one group a row, as DSA; True: IDC's way

    def __post_init__(self) -> None:
        check_kind("augmentation", self.strategy, str, "words joined by '_', such as crop_flip, or none")
        check_flag("every", self.every)
        words = self.groups
        for word in () if words == ("none",) else words:
            if word not in GROUPS:
                allowed = f"words of {', '.join(GROUPS)} joined by '_', or 'none' alone"
                raise ValueError(f"augmentation {word!r} is unknown: {hint(word, GROUPS)}give {allowed}")
            if words.count(word) > 1:
                raise ValueError(f"augmentation {self.strategy!r} has {word!r} twice: give each word once")
        for name, bounds in _NUMBERS.items():
            object.__setattr__(self, name, finite(name, getattr(self, name), **bounds))

    @property
    def groups(self) -> tuple[str, ...]:
        """The words of the strategy."""
        return tuple(self.strategy.split("_"))

    def draw(
        self,
        rows: Sequence[int],
        *keys: int | Sequence[int],
        images: int | None = None,
        device: torch.device | str = "cpu",
    ) -> Warp:
        """One warp for the rows with these ids; a row's draw depends on the keys and its id alone.

        A key is an integer, or one for each row. ``images`` is the number of images of a row when each has its
        own parameters; without it, all share those of the first. Groups are drawn on the host and the rest on
        the device; neither waits.
        """
        return self.draws(rows, [keys], images, device)[0]

    def draws(
        self,
        rows: Sequence[int],
        keys: Sequence[Sequence[int | Sequence[int]]],
        images: int | None = None,
        device: torch.device | str = "cpu",
    ) -> list[Warp]:
        """What ``draw`` gives for each of several keys, for hardly more operations than one of them takes."""
        layers, seeds = self._layers(), [_seeds(len(rows), own) for own in keys]
        every = {seed for own in seeds for seed in own}
        both = torch.tensor([seeds, [[*rows]] * len(keys)], dtype=torch.int64)
        seed, ids = upload(both, device)[..., None, None]
        image = torch.arange(images or 1, device=device)
        number = torch.arange(self.numbers, device=device)
        u = uniform(seed if len(every) > 1 else every.pop(), ids, image[:, None], number)
        drawn = [[fold(s, int(row)) for s, row in zip(own, rows, strict=True)] for own in seeds]
        groups = (tuple("_".join(words[n % len(words)] for words in layers) for n in own) for own in drawn)
        return [Warp(*own) for own in zip(groups, u.unbind(), strict=True)]

    @property
    def numbers(self) -> int:
        """How many an image draws."""
        return _DRAWS * len(self._layers())

    def _layers(self) -> tuple[tuple[str, ...], ...]:
        """What a row goes through: one group of each layer."""
        if not self.every or self.strategy == "none":
            return (self.groups,)
        named = (tuple(word for word in layer if word in self.groups) for layer in _EVERY)
        return tuple(layer for layer in named if layer)

    def __call__(self, x: Tensor, warp: Warp) -> Tensor:
        """Augmented x, ``[r, m, c, h, w]`` like x, and differentiable with respect to it.

        x is float32 or float64, and parameters are cast to its type. A shared warp fits any m: real and
        synthetic images of the same rows may differ in number.

        Raises:
            ValueError: when the warp has another number of rows, or of images, than x.
        """
        (r, m), (sets, images) = x.shape[:2], warp.u.shape[:2]
        if sets != r or images not in (1, m):
            raise ValueError(
                f"a warp of {sets} rows, {images} draws each, does not fit x of {r} rows, {m} images each: "
                f"draw it for the rows of x, with images=None (shared) or images={m}"
            )
        if self.strategy == "none":
            return x
        key = self, x.shape[-2:], x.dtype, x.device
        if key not in warp.settled:
            layers = zip(*(row.split("_") for row in warp.groups), strict=True)
            each = zip(layers, warp.u.split(_DRAWS, dim=-1), strict=True)
            warp.settled[key] = [settle(self, groups, u, x) for groups, u in each]
        for operations in warp.settled[key]:
            x = apply(x, operations)
        return x
