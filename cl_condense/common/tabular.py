"""A table of texts, for terminals and for notebooks."""

from __future__ import annotations

import html
from collections.abc import Sequence

Rows = Sequence[Sequence[str]]


def as_text(head: Sequence[str], rows: Rows) -> str:
    """Columns side by side, the first to the left and the others to the right."""
    table = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    forms = [f"{{:{'>' * bool(i)}{width}}}" for i, width in enumerate(widths)]
    return "\n".join("  ".join(forms).format(*row).rstrip() for row in table)


def as_html(head: Sequence[str], rows: Rows) -> str:
    """A table of HTML."""
    names = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"
