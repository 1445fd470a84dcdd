"""What does not fit together in a condensed set: of our own making, and in files of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cl_condense.common.foreign import shown
from cl_condense.condensation.codecs import CODECS, Stored

if TYPE_CHECKING:
    from cl_condense.condensation.condensed_set import CondensedSet

BESIDE = {"soft"}
"""What may be stored beside the tensors of a codec."""

_LAST = 2**63 - 1  # labels are int64
_MOST = {float: 1e30, int: 2**53}  # of mean and std: within float32, and so is a pixel times it


def set_fault(made: CondensedSet) -> str:  # noqa: PLR0911 - one return a fault
    """What does not fit together; files of others come through here too."""
    if fault := stored_fault(made.stored, made.codec):
        return fault
    ids, counts, shape = made.class_ids, made.counts, (len(made), *made.shape)
    if not ids or not all(type(i) is int and 0 <= i <= _LAST for i in ids) or list(ids) != sorted(set(ids)):
        return f"class_ids {shown(ids)}: give whole numbers from 0 to {_LAST}, ascending, each once"
    if len(counts) != len(ids) or not all(type(n) is int and n > 0 for n in counts) or sum(counts) != shape[0]:
        given = f"counts {shown(counts)} for {len(ids)} classes and {shape[0]} images"
        return f"{given}: give the images of each class"
    for name, values in (("mean", made.mean), ("std", made.std)):
        numbers = all(abs(v) <= _MOST.get(type(v), -1) for v in values)
        if len(values) != shape[1] or not numbers:
            return f"{name} {shown(values)} for {shape[1]} channels: give a finite number for each"
    if min(made.std) < 1 / _MOST[float]:
        return f"std {shown(made.std)}: give numbers above 0"
    if made.names and (len(made.names) != len(ids) or not all(isinstance(name, str) for name in made.names)):
        return f"names {shown(made.names)} for {len(ids)} classes: give one for each, or none"
    if type(made.factor) is not int or made.factor < 1 or shape[2] % made.factor or shape[3] % made.factor:
        images = f"images of {shape[2]}x{shape[3]}"
        return f"partition factor {shown(made.factor)} for {images}: it must divide them"
    for name, kind in (("recipe", dict), ("versions", dict), ("seed", int)):
        if type(getattr(made, name)) is not kind:
            return f"{name} {shown(getattr(made, name))}: give {'a whole number' if kind is int else 'a dict'}"
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
