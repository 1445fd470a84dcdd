"""Text of others, made safe for HTML and for Markdown."""

from __future__ import annotations

import re
from html import escape


def safe(text: str) -> str:
    """Text for HTML, without what no page may contain."""
    return escape(re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text))


def plain(text: str) -> str:
    """Text for a line of Markdown that means nothing but itself."""
    escaped = re.sub(r"([\\`*_\[\]|#~])", r"\\\1", " ".join(text.split()))
    return safe(escaped).replace("&#x27;", "'").replace("&quot;", '"')
