"""Ours beside the published numbers: pairs of them, and the papers' tables made of both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from cl_condense.common.durations import words
from cl_condense.common.plain import Json
from cl_condense.papers.bench import Bench, runnable
from cl_condense.papers.footnotes import Footnotes, not_the_papers, notes, shared
from cl_condense.papers.printed import NETWORKS
from cl_condense.papers.published import Cell, Column, pivot

_NAMED: dict[tuple[str, ...], str] = {
    ("economy",): "economy",
    ("training_precision",): "trained in bfloat16",
    ("economy", "training_precision"): "economy, trained in bfloat16",
    ("economy", "precision", "training_precision"): "economy, bfloat16",
}
"""Settings that have a name, by what is not the papers'."""

_METRICS = {"top1_acc_%": "", "final_CL_acc_%": "class-incremental", "CL_acc_%": "class-incremental"}
_LEAST = 5.0  # points of an axis: fewer would magnify the noise


@dataclass(frozen=True)
class Pair:
    """A cell with a number of ours; in percent.

    Attributes:
        cell: with the published number.
        column: of the table, in words.
        row: of the table: the method as printed.
        way: the settings of ours in a word or two; empty for the papers'.
        mean, std, n: of ours, over networks and over sets or class orders.
        seconds: of condensing and of training the networks, by the clock; None where it was not recorded.
        since: what ours was condensed with otherwise than today, as a sentence; empty where nothing was.
        bench: that has ours.
    """

    cell: Cell
    column: str
    row: str
    way: str
    mean: float
    std: float
    n: int
    seconds: float | None
    since: str
    bench: Bench

    @property
    def label(self) -> str:
        return f"{self.row}, {self.way}" if self.way else self.row

    @property
    def published(self) -> tuple[float, float] | None:
        """Mean and std, 0 where the paper prints none; None without a number."""
        return None if self.cell.mean is None else (self.cell.mean, self.cell.std or 0.0)

    @property
    def outside(self) -> bool:
        """Whether ours lies outside the published mean ± std."""
        return self.published is not None and abs(self.mean - self.published[0]) > self.published[1]


@dataclass(frozen=True)
class Comparison:
    """Cells of tables with ours at one or several settings.

    Attributes:
        cells: of the tables.
        benches: each of other settings, the papers' first where there are several.
    """

    cells: Sequence[Cell]
    benches: Sequence[Bench]

    @cached_property
    def unlike(self) -> list[Json]:
        """What each bench did otherwise than the papers for cells that it filled; for all where none did."""
        return [bench.unlike(own) for bench, own in zip(self.benches, self._told, strict=True)]

    @cached_property
    def ways(self) -> list[str]:
        """A name for the settings of each bench, empty for the papers'."""
        named, others = [], 0
        for unlike in self.unlike:
            way = _NAMED.get((*unlike,), "")
            if unlike and not way:
                others += 1
                way = "other settings" + (f" {others}" if others > 1 else "")
            named.append(way)
        return named

    @cached_property
    def pairs(self) -> list[Pair]:
        """The cells with a number of ours, by column and then by row; each once at the same settings."""
        if not any(self._ours):
            return []
        grid, found = pivot(self.cells), dict[tuple[Cell, str], Pair]()
        read = [bench.results(self.cells) for bench in self.benches]
        sides = [*zip(self.benches, read, self._ours, self.ways, strict=True)]
        for j, column in enumerate(grid.columns):
            for label, row in grid.rows.items():
                for cell, (bench, results, filled, name) in product(row[j], sides):
                    if cell in filled:
                        ours, unlike = filled[cell], bench.unlike([cell])
                        way = _NAMED.get((*unlike,), name) if unlike else ""
                        numbers = float(ours.mean()), float(ours.std()), len(ours)
                        facts = bench.seconds(cell, results), bench.since(cell, results), bench
                        pair = Pair(cell, _heading(grid.fields, column), label, way, *numbers, *facts)
                        found.setdefault((cell, way), pair)
        return [*found.values()]

    @cached_property
    def _ours(self) -> list[dict[Cell, NDArray[np.float64]]]:
        """Accuracies of the cells that each bench filled."""
        found = []
        for bench in self.benches:
            results = bench.results(self.cells)
            ours = ((cell, bench.ours(cell, results)) for cell in self.cells if results)
            found.append({cell: own for cell, own in ours if len(own)})
        return found

    @cached_property
    def _told(self) -> list[Sequence[Cell]]:
        """The cells that each bench filled; all of them where none did."""
        told = [[cell for cell in self.cells if cell in ours] for ours in self._ours]
        return [*told] if any(told) else [self.cells for _ in told]

    def warnings(self) -> list[str]:
        """A line for each of the settings that are not the papers'."""
        many = len(self.benches) > 1
        named = zip(self.unlike, self.ways, strict=True)
        unlike = [
            not_the_papers(unlike, way if many and way not in unlike else "") for unlike, way in named if way
        ]
        return unlike if many else [*unlike, *filter(None, [self.benches[0].lacking(self._told[0])])]

    def assumed(self) -> str:
        """What was assumed where a paper does not state it."""
        each = (bench.assumed(told) for bench, told in zip(self.benches, self._told, strict=True))
        return "; ".join(dict.fromkeys(filter(None, each)))


def filled(cells: Iterable[Cell], pairs: Iterable[Pair]) -> str:
    """How many of the cells that are ours to run have a number, and at which settings."""
    own, done, by = {*filter(runnable, cells)}, set[Cell](), dict[str, int]()
    for pair in pairs:
        if pair.cell in own:
            done.add(pair.cell)
            by[pair.way] = by.get(pair.way, 0) + 1
    split = ", ".join(f"{n} {_at(way)}" for way, n in by.items())
    return f"{len(done)} of the {len(own)} cells that are ours to run{f': {split}' if split else ''}"


def axis(pairs: Iterable[Pair]) -> tuple[float, float]:
    """Whole numbers around the means ± std of both sides, in percent."""
    sides = [side for p in pairs for side in ((p.mean, p.std), p.published) if side]
    low, high = min(m - s for m, s in sides), max(m + s for m, s in sides)
    more = max(0.0, _LEAST - (high - low)) / 2
    return float(max(0, math.floor(low - more))), float(min(100, math.ceil(high + more)))


def panels(pairs: Iterable[Pair]) -> dict[str, list[Pair]]:
    """Pairs by the column of their table, which a picture has on one axis."""
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(pair.column, []).append(pair)
    return found


def per_class(ipc: object) -> str:
    """A number of images, in words."""
    return f"{ipc} image{'s' * (ipc != 1)} per class"


def side_by_side(
    title: str,
    comparison: Comparison,
    *,
    measured: bool = False,
    timed: bool = False,
    remarks: Mapping[Cell, str] = MappingProxyType({}),
) -> Table:
    """Published and ours in a table; ``*`` marks ours outside the published mean ± std.

    Numbers in brackets are of notes (``notes``): beside a method where they hold for
    all its numbers that are ours to run, else beside the number. The caption has a line on the table, one for
    each of the settings that are not the papers', and one for each note.

    Args:
        title: of the table.
        comparison: the cells; where ours are at several settings, each has rows of its own, which say so, as
            do those at settings that have a name.
        measured: only rows and columns with a number of ours, and below it the time that it took.
        timed: the time, below every number of ours.
        remarks: a note on ours, for some of the cells.
    """
    grid, footnotes, many = pivot(comparison.cells), Footnotes(), len(comparison.benches) > 1
    ours: dict[tuple[Cell, str], Pair] = {}
    for pair in comparison.pairs:
        ours.setdefault((pair.cell, pair.way if many or _has_name(pair.way) else ""), pair)
    filled = {cell for cell, _ in ours}
    shown = [
        j
        for j in range(len(grid.columns))
        if not measured or any(c in filled for row in grid.rows.values() for c in row[j])
    ]
    table = Table(title=title, caption_justify="left")
    table.add_column("method")
    for column in (grid.columns[j] for j in shown):
        table.add_column(_words(dict(zip(grid.fields, column, strict=True))), justify="right")
    for label, row in grid.rows.items():
        parts = [row[j] for j in shown]
        every = [cell for own in parts for cell in own]
        common = shared([cell for cell in every if runnable(cell)] or every)
        said = {way for cell, way in ours if cell in every}
        ways = [way for way in dict.fromkeys(["", *comparison.ways]) if way in said]
        for number, way in enumerate(ways or ([] if measured else [""])):
            name = (f"{label}, {way}" if way else label) + footnotes.mark(common)
            texts = []
            for own in parts:
                # What has no number of ours is said once, in the first of a method's rows.
                told = [cell for cell in own if (cell, way) in ours or (number == 0 and cell not in filled)]
                both = (
                    _both(c, ours.get((c, way)), footnotes, common, (measured or timed, remarks.get(c, "")))
                    for c in told
                )
                texts.append("\n".join(both))
            table.add_row(name, *texts)
    table.caption = Text("\n").join(_caption(comparison, measured or timed, footnotes))
    return table


def _caption(comparison: Comparison, timed: bool, footnotes: Footnotes) -> Iterator[Text]:
    head = ["published | ours ± std (n); * outside the published mean ± std"]
    head += ["below, the time of ours by the clock, of condensing and of training"] if timed else []
    yield Text("; ".join(filter(None, [*head, _means(comparison.cells), comparison.assumed()])))
    for line in comparison.warnings():
        yield Text(line, "not dim yellow")
    for line in footnotes.lines():
        yield Text(line)


def _both(
    cell: Cell, pair: Pair | None, footnotes: Footnotes, common: Sequence[str], more: tuple[bool, str]
) -> str:
    timed, remark = more
    published = "-" if cell.mean is None else f"{cell.mean:.1f}" + (f" ± {cell.std:.1f}" if cell.std else "")
    published += footnotes.mark(text for text in notes(cell) if text not in common)
    if not pair:
        return f"{published} | {'not measured' if runnable(cell) else '-'}"
    said = footnotes.mark(filter(None, [pair.since, remark]))
    time = f"\n{words(pair.seconds) if pair.seconds is not None else 'time not recorded'}" if timed else ""
    ours = f"{pair.mean:.1f} ± {pair.std:.1f} ({pair.n}){'*' if pair.outside else ''}"
    return f"{published} | {ours}{said}{time}"


def _means(cells: Sequence[Cell]) -> str:
    """What the means of the tables' own papers are over."""
    papers = dict.fromkeys(cell.table.partition("-")[0] for cell in cells)
    return "; ".join(f"{paper.upper()}'s own: {NETWORKS[paper]}" for paper in papers if paper in NETWORKS)


def _heading(fields: Sequence[str], column: Column) -> str:
    """A column of a table in words that need no header."""
    said = dict(zip(fields, column, strict=True))
    dataset, ipc = said.pop("dataset"), said.pop("ipc")
    each = "the whole data set" if ipc is None else per_class(ipc)
    return _words({"dataset": dataset, "each": each, **said})


def _words(values: Mapping[str, object]) -> str:
    """What a column is of; None where it is not stated, but for steps, which most cells have none of."""
    said = {**values, "metric": _METRICS.get(str(values.get("metric")), values.get("metric", ""))}
    steps, after = said.pop("steps", None), str(said.pop("after", ""))
    if "classes" in said:
        said["classes"] = f"{said['classes']} classes" if said["classes"] else ""
    of = "of the iterations" if after.endswith("%") else "iterations"
    more = (f"{steps} steps" if steps else "", f"after {after} {of}" if after else "")
    return ", ".join(str(v) for v in (*said.values(), *more) if v != "")


def _at(way: str) -> str:
    return "at the papers' settings" if not way else way if _has_name(way) else f"at {way}"


def _has_name(way: str) -> bool:
    return way in _NAMED.values()
