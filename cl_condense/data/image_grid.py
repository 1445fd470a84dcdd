"""Pictures of condensed images: a row a class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cl_condense.common.files import atomic
from cl_condense.common.lettering import Font, drawable, fonts_for

SHOWN = 20
"""Images of a class that are shown."""

_MARGIN, _GAP, _LABEL, _TITLE = 8, 2, 120, 28


def image_grid(
    images: Tensor, counts: Sequence[int], names: Sequence[str], path: str | Path, ids: Sequence[int] = ()
) -> None:
    """Writes the PNG of ``grid_page``; errors as there."""
    _save(grid_page(images, counts, names, ids), path)


def panel_grid(panels: Mapping[str, Image.Image], path: str | Path) -> None:
    """Writes a PNG of pages under their titles: side by side where they are higher than wide, else stacked.

    Raises:
        ValueError: without a page.
    """
    if not panels:
        raise ValueError("no pictures to show: give at least one")
    pages, fonts = [], fonts_for(panels, 16)
    for (title, page), font in zip(panels.items(), fonts, strict=True):
        width = max(page.width, math.ceil(font.getlength(title)) + 2 * _MARGIN)
        pages.append(Image.new("RGB", (width, page.height + _TITLE), "white"))
        pages[-1].paste(page, (0, _TITLE))
        ImageDraw.Draw(pages[-1]).text((_MARGIN, _TITLE // 2 + 2), title, "black", font, anchor="lm")
    beside = pages[0].height > pages[0].width
    sizes = [(page.width, page.height) for page in pages]
    widths, heights = zip(*sizes, strict=True)
    sheet = Image.new("RGB", (sum(widths), max(heights)) if beside else (max(widths), sum(heights)), "white")
    x = y = 0
    for page in pages:
        sheet.paste(page, (x, y))
        x, y = (x + page.width, y) if beside else (x, y + page.height)
    _save(sheet, path)


def grid_page(
    images: Tensor, counts: Sequence[int], names: Sequence[str], ids: Sequence[int] = ()
) -> Image.Image:
    """A page of class-major images, a row a class, its name at the left.

    ``images`` is uint8 ``[n, c, h, w]``; of other than 3 channels the first is shown in grey. Class i has
    ``counts[i]`` images, of which 20 are shown, and is called ``names[i]``, or ``ids[i]`` without names; where
    no font here has its letters, ``class ids[i]``.
    Small images are magnified by a whole number, their pixels as sharp squares.

    Raises:
        ValueError: where images, counts and names do not fit one another.
    """
    names = [" ".join(str(name).split()) for name in names or ids or range(len(counts))]
    _check_images(images, counts, names)
    names = drawable(names, ids or range(len(counts)))
    h, w = images.shape[2:]
    shown = [min(m, SHOWN) for m in counts]
    scale = max(1, 64 // w if sum(shown) <= 100 else math.ceil(32 / w))
    w, h = w * scale, h * scale
    fonts, plain = fonts_for(names, 14), ImageFont.load_default(size=14)
    labels = [_shorten(name, font) for name, font in zip(names, fonts, strict=True)]
    rests = [f"+{m - SHOWN}" if m > SHOWN else "" for m in counts]
    left = 2 * _MARGIN + max(math.ceil(f.getlength(text)) for text, f in zip(labels, fonts, strict=True))
    right = 2 + max(math.ceil(plain.getlength(text)) for text in rests)
    width, pitch = left + max(shown) * (w + _GAP) + right + _MARGIN, max(h, 18) + _GAP
    blocks = _blocks(len(counts), width, pitch)
    rows = math.ceil(len(counts) / blocks)
    page = Image.new("RGB", (blocks * width, rows * pitch + 2 * _MARGIN), "white")
    draw = ImageDraw.Draw(page)
    start = 0
    for i, m in enumerate(counts):
        x, y = left + i // rows * width, _MARGIN + i % rows * pitch
        draw.text((x - _MARGIN, y + h // 2), labels[i], "black", fonts[i], anchor="rm")
        for tile in images[start : start + shown[i]].cpu():
            pixels = (tile if len(tile) == 3 else tile[:1].expand(3, -1, -1)).permute(1, 2, 0).numpy()
            page.paste(Image.fromarray(pixels).resize((w, h), Image.Resampling.NEAREST), (x, y))
            x += w + _GAP
        draw.text((x + 2, y + h // 2), rests[i], "dimgrey", plain, anchor="lm")
        start += m
    return page


def _save(page: Image.Image, path: str | Path) -> None:
    with atomic(path) as file:
        page.save(file, "PNG")


def _check_images(images: Tensor, counts: Sequence[int], names: Sequence[str]) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"{images.dtype} images {tuple(images.shape)}: give uint8 [n, c, height, width]")
    if sum(counts) != len(images) or min(counts) < 0:
        raise ValueError(f"counts add up to {sum(counts)} for {len(images)} images: give one a class")
    if len(names) != len(counts):
        raise ValueError(f"{len(names)} class names for {len(counts)} classes: give one a class, or none")


def _shorten(label: str, font: Font) -> str:
    """The label, with an ellipsis where it is too wide."""
    if font.getlength(label) <= _LABEL:
        return label
    while font.getlength(label + "…") > _LABEL:
        label = label[:-1]
    return label.rstrip() + "…"


def _blocks(rows: int, width: int, pitch: int) -> int:
    """How many blocks of rows to put side by side: up to 25 rows one, then what comes nearest to a square."""
    if rows <= 25:
        return 1
    return min(range(2, rows), key=lambda b: abs(math.log(b * width / (math.ceil(rows / b) * pitch))))
