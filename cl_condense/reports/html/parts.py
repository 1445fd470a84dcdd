"""What a report is made of: blocks that are written as HTML, complete in itself, and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

from rich.table import Table
from rich.text import Text

from cl_condense.common.plain import Values
from cl_condense.reports.html.text import linked, plain, safe
from cl_condense.reports.html.words import plainly

_LONG = 24  # characters of a cell that may take more than a line


class Block(Protocol):
    """A piece of a report."""

    def html(self) -> str: ...

    def markdown(self) -> str: ...


@dataclass(frozen=True)
class Section:
    """A heading with what is below it."""

    level: int
    title: str
    blocks: Sequence[Block]
    anchor: str = ""

    def html(self) -> str:
        name = f' id="{escape(self.anchor)}"' if self.anchor else ""
        inner = "\n".join(block.html() for block in self.blocks)
        return f"<section{name}>\n<h{self.level}>{safe(self.title)}</h{self.level}>\n{inner}\n</section>"

    def markdown(self) -> str:
        parts = [f"{'#' * self.level} {plain(self.title)}", *(block.markdown() for block in self.blocks)]
        return "\n\n".join(part for part in parts if part)


@dataclass(frozen=True)
class Contents:
    """Links to sections and to those in them, for pages; Markdown has its own ways."""

    sections: Sequence[Section]

    def html(self) -> str:
        return f'<nav aria-label="Contents">{self._list(self.sections)}</nav>'

    def _list(self, blocks: Sequence[Block]) -> str:
        sections = [block for block in blocks if isinstance(block, Section) and block.anchor]
        items = "".join(
            f'<li><a href="#{escape(s.anchor)}">{safe(s.title)}</a>{self._list(s.blocks)}</li>'
            for s in sections
        )
        return f"<ul>{items}</ul>" if items else ""

    def markdown(self) -> str:
        return ""


@dataclass(frozen=True)
class Beside:
    """Blocks side by side where there is room."""

    blocks: Sequence[Block]

    def html(self) -> str:
        inner = "\n".join(block.html() for block in self.blocks)
        return f'<div class="beside">\n{inner}\n</div>'

    def markdown(self) -> str:
        return "\n\n".join(block.markdown() for block in self.blocks)


@dataclass(frozen=True)
class Folded:
    """Blocks that are out of the way until they are asked for."""

    summary: str
    blocks: Sequence[Block]

    def html(self) -> str:
        inner = "\n".join(block.html() for block in self.blocks)
        return f"<details>\n<summary>{safe(self.summary)}</summary>\n{inner}\n</details>"

    def markdown(self) -> str:
        # What is Markdown between the tags needs empty lines around it.
        parts = (block.markdown() for block in self.blocks)
        head = f"<details>\n<summary>{safe(self.summary)}</summary>"
        return "\n\n".join([head, *(part for part in parts if part), "</details>"])


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; ``kind`` is nothing, ``note`` or ``warning``."""

    text: str
    kind: str = ""

    def html(self) -> str:
        return f'<p class="{self.kind}">{linked(safe(self.text))}</p>'

    def markdown(self) -> str:
        return plain(self.text)


@dataclass(frozen=True)
class Grid:
    """A table; ``strong`` has the (row, column) of what stands out, ``text`` says that cells are words."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    strong: frozenset[tuple[int, int]] = frozenset()
    text: bool = False

    @staticmethod
    def of(table: Table) -> Grid:
        """A rich table; what it styles is strong, and so are ours beside the published."""
        cells = [list(column.cells) for column in table.columns]
        strong = {
            (i, j)
            for j, column in enumerate(cells)
            for i, cell in enumerate(column)
            if isinstance(cell, Text) and cell.spans
        }
        rows = [[str(cell) for cell in row] for row in zip(*cells, strict=True)]
        return Grid([str(c.header) for c in table.columns], rows, str(table.caption or ""), frozenset(strong))

    def html(self) -> str:
        head = "".join(f'<th scope="col">{_lines(name)}</th>' for name in self.header)
        body = "\n".join(
            "<tr>" + "".join(self._cell(i, j, cell) for j, cell in enumerate(row)) + "</tr>"
            for i, row in enumerate(self.rows)
        )
        # Below what scrolls: a caption in the table would go away with it.
        caption = f"<figcaption>{linked(safe(self.caption))}</figcaption>" if self.caption else ""
        kind = ' class="text"' if self.text else ""
        # It scrolls, so that whoever has no mouse has to reach it.
        return (
            f'<figure><div class="scroll" tabindex="0"><table{kind}>\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>{caption}</figure>"
        )

    def _cell(self, i: int, j: int, cell: str) -> str:
        long = ' class="long"' if len(cell) > _LONG else ""
        if j == 0:
            return f'<th scope="row"{long}>{_lines(cell)}</th>'
        return f"<td{long}>{f'<strong>{_lines(cell)}</strong>' if (i, j) in self.strong else _lines(cell)}</td>"

    def markdown(self) -> str:
        def cell(i: int, j: int, text: str) -> str:
            shown = "<br>".join(plain(line) for line in text.splitlines())
            return f"**{shown}**" if (i, j) in self.strong else shown

        rows = [[cell(-1, j, name) for j, name in enumerate(self.header)]]
        rows += [["---"] + ["---" if self.text else "---:"] * (len(self.header) - 1)]
        rows += [[cell(i, j, text) for j, text in enumerate(row)] for i, row in enumerate(self.rows)]
        lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        return lines + (f"\n\n{plain(self.caption)}" if self.caption else "")


@dataclass(frozen=True)
class Facts:
    """Names with values; those without a value are left out. ``kind`` is nothing or ``notes``: short names."""

    values: Values
    kind: str = ""

    def _shown(self) -> dict[str, str]:
        return {k: plainly(v) for k, v in self.values.items() if v not in (None, "", [], {})}

    def html(self) -> str:
        shown = (f"<dt>{safe(k)}</dt><dd>{linked(safe(v))}</dd>" for k, v in self._shown().items())
        kind = f' class="{self.kind}"' if self.kind else ""
        return f"<dl{kind}>{''.join(shown)}</dl>"

    def markdown(self) -> str:
        return "\n".join(f"- {plain(k)}: {plain(v)}" for k, v in self._shown().items())


@dataclass(frozen=True)
class Command:
    """Lines for a shell."""

    lines: Sequence[str]

    def html(self) -> str:
        # An option in two lines, broken after its hyphens, would not be read as one.
        words = (re.sub(r"(?<!\S)(-\S{1,30})(?!\S)", r"<span>\1</span>", safe(line)) for line in self.lines)
        return f"<pre><code>{chr(10).join(words)}</code></pre>"

    def markdown(self) -> str:
        # On one line each: a line of nothing but fence marks would end the block.
        return "\n".join(["```sh", *(" ".join(line.split()) for line in self.lines), "```"])


def _lines(cell: str) -> str:
    """Lines of a cell; of ``published | ours`` the latter in bold, in a colour where it is marked."""
    shown = []
    for line in cell.splitlines():
        published, bar, ours = line.rpartition(" | ")
        kind = ' class="outside"' if ")*" in ours else ""
        measured = bar and ours[:1].isdigit()
        both = f"{safe(published)} | <strong{kind}>{safe(ours)}</strong>"
        shown.append(both if measured else linked(safe(line)))
    return "<br>".join(shown)
