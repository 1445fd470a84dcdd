"""What images and labels have to be, and the normalisation that pixels have by themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cl_condense.data.store import Store, tensor_of

Constants = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and std of each channel."""

_CHANNELS = (1, 3, 4)


def stored(name: str, value: object) -> Store:
    """What torch makes of a value: ValueError for what it makes nothing of."""
    try:
        found, mapped = tensor_of(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        kind = f" of {value.dtype}" if isinstance(value, np.ndarray) else f" of type {type(value).__name__}"
        raise ValueError(f"{name}{kind}: give a tensor, or an array or a list of numbers") from None
    return Store(found, mapped=mapped)


def statistics(images: Store) -> Constants:
    """Mean and std of uint8 pixels, from 0 to 1; of floats what makes their range that from black to white."""
    channels = images.whole.shape[1]
    if images.whole.dtype == torch.uint8:
        counts = sum((_histogram(part) for part in images.parts()), torch.zeros(channels, 256)).double()
        level, n = torch.arange(256, dtype=torch.float64) / 255, counts[0].sum()
        mean = counts @ level / n
        squares = (counts * (level - mean[:, None]).square()).sum(1)
        spread = (squares / (n - 1).clamp_min(1)).sqrt()  # of one pixel there is none
        return tuple(mean.tolist()), tuple(spread.clamp_min(1e-3).tolist())
    ends = [(float(part.min()), float(part.max())) for part in images.parts()]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    span = max(high - low, 1e-12)
    return (-low / span,) * channels, (1 / span,) * channels


def _histogram(images: Tensor) -> Tensor:
    """How often each level comes in each channel, ``[c, 256]`` int64, on the CPU."""
    each = [torch.bincount(own.flatten(), minlength=256) for own in images.unbind(1)]
    return torch.stack(each).cpu()


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


def check_images(store: Store, labels: Tensor) -> None:
    """Raises ValueError for images of a wrong shape or type, and labels that do not fit them."""
    images = store.whole
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
    if labels.shape != (len(store),):
        raise ValueError(f"{tuple(labels.shape)} labels for {len(store)} images: give one label an image")
    if int(labels.min()) < 0:
        raise ValueError(f"label {int(labels.min())}: labels count from 0")
    if images.dtype != torch.uint8:
        _check_finite(store)


def _check_finite(store: Store) -> None:
    done = 0
    for part in store.parts():
        whole = torch.isfinite(part).flatten(1).all(1)
        if not bool(whole.all()):
            bad = done + int((~whole).nonzero()[0])
            raise ValueError(f"image {bad} has NaN or infinite pixels: mend or leave it out, then try again")
        done += len(part)


def check_weights(weights: Tensor, n: int) -> Tensor:
    """Weights of images as float32.

    Raises:
        ValueError: for another number of them, and for what is negative, infinite or all 0.
    """
    weights = torch.as_tensor(weights, dtype=torch.float32)
    if weights.shape != (n,):
        raise ValueError(f"{tuple(weights.shape)} weights for {n} images: give one weight an image")
    if not bool((torch.isfinite(weights) & (weights >= 0)).all()) or not float(weights.sum()):
        raise ValueError(f"weight {float(weights.min())}: give finite ones of at least 0, not all of them 0")
    return weights


def check_names(names: Sequence[str] | None, highest: int) -> None:
    """Raises ValueError for class names that are no list, or too few for the highest label."""
    if isinstance(names, str):
        raise ValueError(f"names {names!r}: give a list, with a name for each label")
    if names is not None and highest >= len(names):
        raise ValueError(f"label {highest} has no name: {len(names)} class names were given")
