"""Text of others, made safe for HTML and for Markdown."""

from __future__ import annotations

import re
from html import escape


def safe(text: str) -> str:
    """Text for HTML, without what no page may contain."""
    return escape(re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text))


def plain(text: str) -> str:
    """Text for a line of Markdown that means nothing but itself, but for papers, which are linked."""
    escaped = re.sub(r"([\\`*_\[\]|#~])", r"\\\1", " ".join(text.split()))
    shown = safe(escaped).replace("&#x27;", "'").replace("&quot;", '"')
    return re.sub(_PAPER, r"[\g<0>](https://arxiv.org/abs/\1)", shown, flags=re.ASCII)


def linked(text: str) -> str:
    """Text that is safe for HTML already, with links to the papers in it."""
    return re.sub(_PAPER, r'<a href="https://arxiv.org/abs/\1">\g<0></a>', text, flags=re.ASCII)


_PAPER = r"\barXiv:(\d{4}\.\d{4,5})\b"
