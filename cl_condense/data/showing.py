"""How sets of images show themselves: two lines, a picture of bounded size, and items one by one."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from operator import index as whole_number

from PIL import Image

_ROOM = 1000  # pixels of a picture's side, about
_CLASSES = _EACH = 10  # that are shown, at most
_NAMES = 10


def position(index: int, n: int) -> int:
    """A place counted from 0, of one that may count from the end.

    Raises:
        IndexError: for one that is not there: loops over sets end by it.
    """
    at = whole_number(index)
    if not -n <= at < n:
        raise IndexError(f"image {at} of {n}: they count from 0 to {n - 1}")
    return at % n


def listed(names: Sequence[str], ids: Sequence[int]) -> str:
    """The line with the first classes."""
    words = [*map(str, names or ids)]
    more = f", ... ({len(words):,} in all)" if len(words) > _NAMES else ""
    return f"classes: {', '.join(words[:_NAMES])}{more}"


def shown_of(shape: tuple[int, int, int]) -> tuple[int, int]:
    """How many classes of images of a shape are shown, and how many images of each."""
    _, h, w = shape
    return max(1, min(_CLASSES, _ROOM // max(64, h))), max(1, min(_EACH, _ROOM // max(64, w)))


def png(page: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def as_html(text: str, page: Image.Image) -> str:
    """Lines, and a picture under them."""
    lines = "<br>".join(html.escape(line) for line in text.splitlines())
    data = base64.b64encode(png(page)).decode()
    return f'<div>{lines}<br><img alt="" src="data:image/png;base64,{data}"></div>'
