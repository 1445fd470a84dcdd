"""One image file, decoded: 8 bits, grey or colour, whatever its kind; limits before anything is allocated."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from cl_condense.common.arrays import Array
from cl_condense.common.foreign import check_file, one_line, reason

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Those of torchvision's ImageFolder."""

_MOST = 2**30  # bytes of a file
_LONGEST = 2**16 - 1  # pixels a side: a JPEG's own limit
_DEFLATED = 1032  # bytes that one byte of a PNG may stand for
# Pillow goes by the content, not by the suffix, and would also read EPS, for which it runs Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
_GREY = ("1", "L", "LA")
_BITS = {"RGB": 24, "RGBA": 32, "LA": 16, "I;16": 16, "I": 16}  # of a pixel of a PNG; else at least 1
_BITS_PER_SAMPLE, _ORIENTATION = 258, 274  # numbers of tags


class _Unfit(ValueError):
    """An image that is refused in words of ours."""


def opened(file: Path, at_least: int = 0, *, upright: bool = False) -> Image.Image:
    """An image file, decoded: of mode L where it is grey, else RGB.

    Palettes, CMYK and the like become RGB as Pillow and so torchvision's ImageFolder convert them: transparency
    is dropped, since every background would be made up. 16 bits of grey are scaled, 65535 to 255; of 16 bits of
    colour Pillow gives the upper 8. Of several pictures in a file it is the first.

    Args:
        file: its path.
        at_least: a JPEG may come at a half, a quarter or an eighth of its size, which is quicker, with sides of
            that many pixels or more; 0: as it is.
        upright: turned as its EXIF orientation says, as people see it.

    Make ``Image.DecompressionBombWarning`` an error before.

    Raises:
        ValueError: on an image that is damaged, has over 16 bits a channel or too many pixels.
    """
    check_file(file, "put an image there, or take it out", _MOST)
    try:
        # In memory: of a file Pillow would take the room that a part of it claims to need.
        data = file.read_bytes()
        source = Image.open(io.BytesIO(data), formats=_FORMATS)
        _check_claim(source, len(data))
        if at_least:
            source.draft(None, (at_least, at_least))
        source.load()
        if upright:
            with suppress(Exception):  # of a damaged note the picture is still there
                ImageOps.exif_transpose(source, in_place=True)
        return _eight_bits(source)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{file} has too many pixels ({reason(error)}): put a smaller image there") from error
    except MemoryError:
        raise
    except _Unfit as error:
        raise one_line(f"{file} {error}") from None
    except Exception as error:  # on damaged bytes the decoders raise errors of many kinds
        why = f"is damaged or no PNG, JPEG, BMP, WebP, TIFF or PPM ({_fault(error)}): replace it"
        raise one_line(f"{file} {why}") from error


def size_of(file: Path) -> tuple[int, int] | None:
    """(height, width), upright, that the head of an image file tells; None where it has none."""
    with suppress(Exception):
        check_file(file, "")
        with Image.open(file, formats=_FORMATS) as image:
            size = image.height, image.width
            return size[::-1] if image.getexif().get(_ORIENTATION, 1) > 4 else size
    return None


def _check_claim(source: Image.Image, nbytes: int) -> None:
    """Raises for more pixels than anyone needs, or than so many bytes hold: decoding takes room for them."""
    wide, high = source.size
    if max(wide, high) > _LONGEST:
        of = f"{wide:,} wide x {high:,} high, and a side may have {_LONGEST:,}"
        raise _Unfit(f"has too many pixels ({of}): put a smaller image there")
    raw = wide * high * _BITS.get(source.mode, 1) // 8
    if source.format == "PNG" and raw > _DEFLATED * nbytes:
        raise _Unfit(f"is damaged ({nbytes:,} bytes cannot hold {wide:,} x {high:,} pixels): replace it")


def _eight_bits(source: Image.Image) -> Image.Image:
    mode = source.mode
    if mode in _GREY:
        return source if mode == "L" else source.convert("L")
    # before Pillow 11 a grey PNG of 16 bits has the mode of 32
    if mode.startswith("I;16") or (mode == "I" and source.format in ("PNG", "PPM")):
        return Image.fromarray(_scaled(np.asarray(source), _most(source)))
    if mode[0] in "IF":
        raise _Unfit(f"has over 16 bits a channel (mode {mode}): save it with 8 or 16")
    return source if mode == "RGB" else source.convert("RGB")


def _most(source: Image.Image) -> int:
    """The value of white: a TIFF may have 12 bits."""
    tags = cast("dict[int, Any]", getattr(source, "tag_v2", {}))
    return int(2 ** tags.get(_BITS_PER_SAMPLE, (16,))[0] - 1)


def _scaled(values: Array, most: int) -> NDArray[np.uint8]:
    """Values up to ``most`` as 0 to 255, rounded."""
    wide = values.astype(np.uint32)
    return cast("NDArray[np.uint8]", np.minimum((wide * 255 + most // 2) // most, 255).astype(np.uint8))


def _fault(error: Exception) -> str:
    """What an error of decoding says; where a format is not known, that has only the address of an object."""
    return "no image" if isinstance(error, UnidentifiedImageError) else reason(error)
