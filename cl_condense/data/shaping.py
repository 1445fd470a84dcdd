"""Images brought to one size and a number of channels, as torchvision's transforms do it."""

from __future__ import annotations

import re

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from cl_condense.common.foreign import shown
from cl_condense.common.numbers import digits, whole

Size = tuple[int, int]
"""Height and width."""

CHANNELS = (1, 3)
_CHUNK = 4096  # images that are resized at once
_LONG = 256  # times as long as wide, compared with the size


def as_size(value: object, name: str = "size") -> Size:
    """Height and width of ``64``, ``(48, 64)``, ``"64"`` or ``"48x64"``; ``name`` is what messages call it.

    Raises:
        ValueError: for anything else.
    """
    sides: object = value
    if isinstance(value, str):
        found = re.fullmatch("([0-9]{1,9})(?:x([0-9]{1,9}))?", value)
        sides = tuple(map(digits, filter(None, found.groups()))) if found else None
    elif not isinstance(value, tuple | list):
        sides = (value,)
    if not isinstance(sides, tuple | list) or len(sides) not in (1, 2):
        raise ValueError(
            f"{name} {shown(repr(value))}: give a whole number of pixels, or height x width such as 48x64"
        )
    high, wide = (whole(name, side) for side in (sides[0], sides[-1]))
    return high, wide


def fitted(image: Image.Image, size: Size) -> Image.Image:
    """The image scaled until it covers a size, and its middle cut out.

    For a square it is torchvision's ``Resize(side)`` and ``CenterCrop(side)``: bilinear, smoothed.
    """
    image = _trimmed(image, size)
    scaled = _covering((image.height, image.width), size)
    if scaled != (image.height, image.width):
        image = functional.resize(image, [*scaled])
    return functional.center_crop(image, [*size])


def fitted_tensor(images: Tensor, size: Size) -> Tensor:
    """The same of images ``[n, c, h, w]``, uint8."""
    high, wide = images.shape[2:]
    if (high, wide) == size:
        return images
    scaled = [*_covering((high, wide), size)]
    parts = [
        functional.center_crop(functional.resize(part, scaled, antialias=True), [*size])
        for part in images.split(_CHUNK)
    ]
    return torch.cat(parts)


def in_channels(images: Tensor, channels: int) -> Tensor:
    """Images ``[n, c, h, w]`` in grey (1) or as colour (3)."""
    if images.shape[1] == channels:
        return images
    if channels == 1:
        return torch.cat([functional.rgb_to_grayscale(part) for part in images.split(_CHUNK)])
    return images.expand(-1, channels, -1, -1).contiguous()


def _trimmed(image: Image.Image, size: Size) -> Image.Image:
    """Without the ends of what is far longer than the size: scaled up, they would fill the memory."""
    most = _LONG * max(size) // min(size)
    high, wide = min(image.height, image.width * most), min(image.width, image.height * most)
    return image if (high, wide) == (image.height, image.width) else functional.center_crop(image, [high, wide])


def _covering(of: Size, size: Size) -> Size:
    """The smallest size of the same form that has room for another; the longer side is rounded down."""
    (high, wide), (to_high, to_wide) = of, size
    if to_high * wide >= to_wide * high:
        return to_high, max(to_wide, to_high * wide // high)
    return max(to_high, to_wide * high // wide), to_wide
