"""Codecs: how the pixels of a condensed set are stored, by name.

Pixels of a condensed set are normalised and free to go beyond black and white, so 8 bits need a range of their
own for every image and channel.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from cl_condense.common.suggest import choice

Stored = dict[str, Tensor]
"""Tensors by name, each with a row an image; ``pixels`` has the shape of the images."""

LABEL_BYTES = 16
"""Bytes of the labels of a class: its number and the number of its images, 8 each."""

DEFAULT = "uint8"
"""By measurement: the fewest bytes at the accuracy of float32 (REPRODUCIBILITY.md, equal bytes)."""


class Codec(Protocol):
    """One way to store pixels ``[n, c, h, w]``, which are float32 before and after."""

    def encode(self, pixels: Tensor) -> Stored:
        """What is stored of float32 pixels."""
        ...

    def decode(self, stored: Stored) -> Tensor:
        """The pixels again, float32."""
        ...

    def layout(self, shape: tuple[int, int, int]) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """Type and shape of each tensor's row, for images of a shape."""
        ...


class Cast(NamedTuple):
    """Pixels in another floating-point type."""

    dtype: torch.dtype

    def encode(self, pixels: Tensor) -> Stored:
        if pixels.abs().max() > torch.finfo(self.dtype).max:
            raise ValueError(
                f"pixels beyond {torch.finfo(self.dtype).max:g} do not fit {self.dtype}: take float32"
            )
        return {"pixels": pixels.to(self.dtype)}

    def decode(self, stored: Stored) -> Tensor:
        return stored["pixels"].float()

    def layout(self, shape: tuple[int, int, int]) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        return {"pixels": (self.dtype, shape)}


class Scaled:
    """One byte a value, with an offset and a span in float16 for every image and channel.

    A value is ``offset + span * byte / 255``, the channel's lowest at byte 0 and its highest at 255, so the
    error is at most half a 255th of the span, but for the rounding of offset and span (one part in 2,000).
    """

    def encode(self, pixels: Tensor) -> Stored:
        low, high = pixels.amin((2, 3)), pixels.amax((2, 3))
        offset = low.half()
        span = (high - offset.float()).clamp_min(torch.finfo(torch.float16).smallest_normal).half()
        if not bool(torch.isfinite(offset).all() and torch.isfinite(span).all()):
            raise ValueError("pixels beyond 65504 do not fit the float16 spans of uint8: take float32")
        steps = (pixels - offset.float()[..., None, None]) / (span.float() / 255)[..., None, None]
        return {"pixels": steps.round_().clamp_(0, 255).to(torch.uint8), "offset": offset, "span": span}

    def decode(self, stored: Stored) -> Tensor:
        offset, span = (stored[name].float()[..., None, None] for name in ("offset", "span"))
        return stored["pixels"].float().mul_(span / 255).add_(offset)

    def layout(self, shape: tuple[int, int, int]) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        each = (torch.float16, shape[:1])
        return {"pixels": (torch.uint8, shape), "offset": each, "span": each}


CODECS: dict[str, Codec] = {
    "float32": Cast(torch.float32),
    "float16": Cast(torch.float16),
    "uint8": Scaled(),
}


def codec(name: str) -> Codec:
    """The codec of a name.

    Raises:
        ValueError: for a name that is not known.
    """
    return CODECS[choice("codec", name, CODECS)]


def image_bytes(name: str, shape: tuple[int, int, int]) -> int:
    """Bytes of one stored image (channels, height, width); its share of the labels not counted."""
    rows = codec(name).layout(shape).values()
    return sum(torch.empty((), dtype=dtype).element_size() * torch.Size(size).numel() for dtype, size in rows)


def images_in(max_bytes: int, classes: int, name: str, shape: tuple[int, int, int]) -> int:
    """How many images of a shape a budget in bytes holds, with the labels of so many classes."""
    return (max_bytes - LABEL_BYTES * classes) // image_bytes(name, shape)
