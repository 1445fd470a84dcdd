"""Cells of the papers' tables that a campaign filled, as docs/campaign keeps them.

It has what `cl-condense table --results DIR` leaves in DIR, without images: scores.jsonl, the records of the
sets that were scored, and the records of runs. remarks.json is written by people: a list of objects with the
keys table, dataset, ipc, method, eval_net and text: a sentence on a number of ours.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cl_condense.common.files import atomic
from cl_condense.papers.beside import Comparison, filled
from cl_condense.papers.published import published, tables
from cl_condense.papers.titles import TITLES
from cl_condense.reports.html.curves import curve_plot, curves, points
from cl_condense.reports.html.dots import dot_plot
from cl_condense.reports.html.found import benches
from cl_condense.reports.html.parts import Paragraph
from cl_condense.reports.html.tables import alike, behind, compared

_KEYS = "table dataset ipc method eval_net text".split()


@dataclass(frozen=True)
class Image:
    """A picture beside the page, as a block of it."""

    tag: str

    def html(self):
        return self.tag

    def markdown(self):
        return self.tag


def lines_of(pairs):
    """Curves, where most numbers of a table are on one; else nothing."""
    drawn = curves(points(pairs))
    on_one = {point for lines in drawn.values() for own in lines.values() for point in own}
    return drawn if 2 * len(on_one) > len(pairs) else {}


def picture(pairs):
    """Curves, or dots."""
    drawn = lines_of(pairs)
    return curve_plot(drawn) if drawn else dot_plot(pairs)


@dataclass(frozen=True)
class Campaign:
    """What docs/campaign of a repository holds, beside the papers' tables.

    Errors of all: ValueError for what is damaged.
    """

    root: Path

    @property
    def home(self):
        return self.root / "docs" / "campaign"

    @cached_property
    def filled(self):
        """Comparisons by the name of their table, of tables with a number of ours.

        A figure whose published values are only drawn is one of them once it has a number of ours that no table
        with printed numbers has.
        """

        def damaged(name, why):
            raise ValueError(f"{self.home}/{name}: {why}")

        found = benches(self.home, damaged)
        every = {name: Comparison(table.cells, found) for name, table in tables().items()}
        pairs = [pair for comparison in every.values() for pair in comparison.pairs]
        printed = {alike(pair.cell, found) for pair in pairs if pair.cell.mean is not None}
        return {
            name: comparison
            for name, comparison in every.items()
            if any(p.cell.mean is not None or alike(p.cell, found) not in printed for p in comparison.pairs)
        }

    @cached_property
    def remarks(self):
        """The sentences of remarks.json by their cells."""
        path = self.home / "remarks.json"
        try:
            listed = json.loads(path.read_text("utf-8")) if path.exists() else []
            said = [{key: each[key] for key in _KEYS} for each in listed if len(each) == len(_KEYS)]
        except (ValueError, TypeError, KeyError):
            said = None
        if said is None or len(said) != len(listed):
            raise ValueError(f"{path} is damaged: give a list of objects with the keys {', '.join(_KEYS)}")
        return {cell: each["text"] for each in said for cell in self._of(path, each)}

    def _of(self, path, each):
        """The cells of a remark."""
        name = ", ".join(str(each[key]) for key in _KEYS[:-1])
        if not isinstance(each["text"], str) or not each["text"].strip() or "\n" in each["text"]:
            raise ValueError(f"{path}: the text of {name} is {each['text']!r}: give a sentence")
        try:
            known = published(*(each[key] for key in _KEYS[:4]))
        except ValueError as error:
            raise ValueError(f"{path}: {name} is no cell: {error}") from None
        known = [cell for cell in known if cell.eval_net == each["eval_net"]]
        if not known:
            raise ValueError(f"{path}: {name} is no cell: no number of this evaluation network")
        measured = (
            {pair.cell for pair in self.filled[each["table"]].pairs} if each["table"] in self.filled else ()
        )
        if not any(cell in measured for cell in known):
            raise ValueError(f"{path}: {name} has no number of ours to remark on: take it out")
        return known

    def show(self, name):
        """A table as Markdown; all that have a number of ours, with headings, for ``all``.

        Raises:
            ValueError: for an unknown table, a wrong remark, and a picture that is not there.
        """
        remarks = self.remarks  # wrong ones are told wherever they belong
        if name == "all":
            parts = [f"### {each}: {TITLES[each]}\n\n{self._table(each, remarks)}" for each in self.filled]
            return "\n\n".join(parts) or "No cell has a number of ours yet."
        if name not in TITLES:
            raise ValueError(f"<!-- campaign: {name} -->: use all, or one of {', '.join(TITLES)}")
        return self._table(name, remarks)

    def _table(self, name, remarks):
        if name not in self.filled:
            return f"No cell of {name} has a number of ours yet."
        comparison, picture = self.filled[name], self.picture(name)
        if not picture.exists():
            raise ValueError(f"{picture} is not there: python benchmarks/reproducibility.py campaign draws it")
        many = len(comparison.pairs)
        rows = f"{many} row{'s' * (many != 1)}"
        shape = "ours as curves" if lines_of(comparison.pairs) else f"published and ours as {rows} of dots"
        alt = f"{name}, {shape}; the table has the numbers"
        image = Image(f'<img src="docs/{picture.name}" width="560" alt="{alt}">')
        shown = compared(comparison, [image], remarks)
        blocks = [
            Paragraph(filled(comparison.cells, comparison.pairs) + "."),
            *shown,
            behind(comparison, "RESULTS", scores=False),
        ]
        return "\n\n".join(block.markdown() for block in blocks)

    def picture(self, name):
        return self.root / "docs" / f"campaign-{name}.png"

    def draw(self):
        """Writes the pictures of tables with a number of ours, takes others away, and yields the files."""
        for name in TITLES:
            path = self.picture(name)
            if name in self.filled:
                with atomic(path) as temporary:
                    temporary.write_bytes(picture(self.filled[name].pairs))
                yield path
            else:
                path.unlink(missing_ok=True)
