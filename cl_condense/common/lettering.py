"""Letters of every script in pictures, with the fonts that matplotlib brings and finds on the system."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from PIL import ImageFont, features

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_FIRST = "DejaVu Sans"  # which matplotlib brings: Latin, Greek, Cyrillic, Arabic, Hebrew and more
_NOT = "LastResort"  # has a box for every letter
_INVISIBLE = ("Cc", "Cf", "Zs")
_BOUND = ("Mn", "Mc", "Me")  # letters that join another one
_LEFTWARDS = ("R", "AL", "AN")


class _Face(NamedTuple):
    path: str
    number: int  # in a file of several
    family: str


def drawable(names: Iterable[str], ids: Sequence[object]) -> list[str]:
    """The names; ``class ID`` for one with a letter that no font here has, or that would be set wrongly.

    Boxes in the place of letters tell nothing; the number is that of tables and files.
    """
    return [
        name if name.isascii() or _face(name) else f"class {own}" for name, own in zip(names, ids, strict=True)
    ]


def label(text: str, most: int = 60, *, any_script: bool = False) -> str:
    """Text as matplotlib shows it: no mathematics, no leading underscore, which hides it.

    What its own font has no letter for becomes a question mark, unless others are given for ``any_script``.
    """
    known = None if any_script else _letters(_faces()[0])
    whole = "".join(each if known is None or ord(each) in known else "?" for each in text)
    shown = whole if len(whole) <= most else whole[: most - 1] + "…"
    return " " * shown.startswith("_") + shown.replace("$", r"\$")


def fonts_for(texts: Iterable[str], size: int) -> list[Font]:
    """A font for each text that can be drawn; Pillow's own for all of them, where it has all letters."""
    texts = [*texts]
    if all(text.isascii() for text in texts):
        return [ImageFont.load_default(size)] * len(texts)
    return [_opened(_face(text), size) for text in texts]


def families(texts: Iterable[str]) -> list[str]:
    """What to give matplotlib as ``fontfamily`` for texts that can be drawn."""
    faces = [_face(text) for text in texts if not text.isascii()]
    return [*dict.fromkeys([_FIRST, *(face.family for face in faces if face)])]


@lru_cache(2000)
def _face(text: str) -> _Face | None:
    """The first font that has all letters of a text."""
    text = unicodedata.normalize("NFC", text)
    letters = {ord(each) for each in text if unicodedata.category(each) not in _INVISIBLE}
    if not features.check("raqm") and any(map(_shaped, text)):
        return None
    return next((face for face in _faces() if letters <= _letters(face)), None)


def _shaped(letter: str) -> bool:
    """Whether a letter takes a place or a form by those beside it, which only libraqm finds."""
    return unicodedata.bidirectional(letter) in _LEFTWARDS or unicodedata.category(letter) in _BOUND


@cache
def _faces() -> list[_Face]:
    """All fonts, the first one first, then upright ones of an ordinary weight."""
    from matplotlib.font_manager import fontManager  # noqa: PLC0415 - only where it is needed

    def rank(entry: Any) -> tuple[bool, bool, int, str]:
        weight = entry.weight if isinstance(entry.weight, int) else 400
        return entry.name != _FIRST, entry.style != "normal", abs(weight - 400), entry.fname

    entries = sorted(fontManager.ttflist, key=rank)
    faces = [_Face(entry.fname, getattr(entry, "index", 0), entry.name) for entry in entries]
    return [face for face in dict.fromkeys(faces) if _NOT not in face.path]


@cache
def _letters(face: _Face) -> frozenset[int]:
    """The letters of a font; none of one that cannot be opened, or has pictures of one size only."""
    from matplotlib.ft2font import FT2Font  # noqa: PLC0415

    try:
        font = FT2Font(face.path, face_index=face.number) if face.number else FT2Font(face.path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError, TypeError, ValueError):
        return frozenset()


def _opened(face: _Face | None, size: int) -> Font:
    return ImageFont.truetype(face.path, size, face.number) if face else ImageFont.load_default(size)
