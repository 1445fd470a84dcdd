"""What does not fit together in a condensed set: of our own making, and in files of others."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_condense.common.foreign import shown
from cl_condense.condensation.codecs import CODECS, Stored

BESIDE = {"soft"}
"""What may be stored beside the tensors of a codec."""

_LAST = 2**63 - 1  # labels are int64
_MOST = {float: 1e30, int: 2**53}  # of mean and std: within float32, and so is a pixel times it


def set_fault(  # noqa: PLR0911 - one return a fault
    stored: Stored,
    name: str,
    *,
    class_ids: tuple[int, ...],
    counts: tuple[int, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    names: tuple[str, ...],
    factor: int,
) -> str:
    """What does not fit together of the attributes of a set whose codec is ``name``."""
    if fault := stored_fault(stored, name):
        return fault
    n, channels, height, width = stored["pixels"].shape
    whole = all(type(i) is int and 0 <= i <= _LAST for i in class_ids)
    if not class_ids or not whole or list(class_ids) != sorted(set(class_ids)):
        return f"class_ids {shown(class_ids)}: give whole numbers from 0 to {_LAST}, ascending, each once"
    images = len(counts) == len(class_ids) and all(type(count) is int and count > 0 for count in counts)
    if not images or sum(counts) != n:
        given = f"counts {shown(counts)} for {len(class_ids)} classes and {n} images"
        return f"{given}: give the images of each class"
    for what, values in (("mean", mean), ("std", std)):
        numbers = all(abs(v) <= _MOST.get(type(v), -1) for v in values)
        if len(values) != channels or not numbers:
            return f"{what} {shown(values)} for {channels} channels: give a finite number for each"
    if min(std) < 1 / _MOST[float]:
        return f"std {shown(std)}: give numbers above 0"
    if names and (len(names) != len(class_ids) or not all(isinstance(each, str) for each in names)):
        return f"names {shown(names)} for {len(class_ids)} classes: give one for each, or none"
    if type(factor) is not int or factor < 1 or height % factor or width % factor:
        return f"partition factor {shown(factor)} for images of {height}x{width}: it must divide them"
    return ""


def pixel_fault(pixels: Tensor) -> str:
    """What makes a tensor no pixels; a codec checks nothing itself."""
    if pixels.ndim != 4 or 0 in pixels.shape or pixels.dtype != torch.float32:
        return (
            f"{pixels.dtype} pixels of shape {tuple(pixels.shape)}: give float32 [n, channels, height, width]"
        )
    return "" if bool(torch.isfinite(pixels).all()) else "NaN or infinite pixels"


def stored_fault(stored: Stored, name: str) -> str:
    """What is stored in another way than the codec says."""
    if name not in CODECS:
        return f"codec {shown(repr(name))}: use {', '.join(CODECS)}"
    pixels = stored.get("pixels")
    if not isinstance(pixels, Tensor) or pixels.ndim != 4 or 0 in pixels.shape:
        return "no pixels [n, channels, height, width]"
    c, h, w = pixels.shape[1:]
    layout = CODECS[name].layout((c, h, w))
    for key, (dtype, row) in layout.items():
        found = stored.get(key)
        if found is None or found.dtype != dtype or tuple(found.shape) != (len(pixels), *row):
            what = "no" if found is None else f"{found.dtype} of shape {tuple(found.shape)} as"
            return f"{what} {key}: {name} stores {dtype} {[len(pixels), *row]}"
    soft = stored.get("soft")
    if soft is not None and (soft.dtype != torch.float32 or soft.ndim != 2 or len(soft) != len(pixels)):
        return f"{soft.dtype} of shape {tuple(soft.shape)} as soft: give float32 [{len(pixels)}, classes]"
    if extra := stored.keys() - layout.keys() - BESIDE:
        return f"a tensor {min(extra)!r} that {name} does not store"
    floats = [t for t in stored.values() if t.is_floating_point()]
    return "" if all(bool(torch.isfinite(t).all()) for t in floats) else "NaN or infinite pixels"
