"""Curves as PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cl_condense.common.lettering import label

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
WIDTH, DPI = 5.4, 192  # inches; a page shows 96 of the pixels in an inch
_LONG = 26  # characters of a legend that has a line to itself


class Line(NamedTuple):
    """Points of a curve, with how far they spread."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    std: Sequence[float] = ()


class Mark(NamedTuple):
    """A point of a group right of the lines, in the colour of the line ``of`` (grey below 0)."""

    label: str
    group: str
    y: float
    of: int


def plot(
    lines: Sequence[Line], labels: tuple[str, str], marks: Sequence[Mark] = (), log: bool = False
) -> bytes:
    """A PNG of curves with their spread as bands, marks, and a legend where there is more than one.

    Narrow, with the legend below: the text stays readable where the page is as wide as a phone.
    """
    names = [line.label for line in lines] + list(dict.fromkeys(mark.group for mark in marks))
    columns = 1 if max(map(len, names)) > _LONG else 2
    rows = -(-len(names) // columns) if len(names) > 1 else 0
    figure = Figure(figsize=(WIDTH, (3.4 if rows else 2.8) + 0.2 * rows), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    for i, line in enumerate(lines):
        x, y = np.array(line.x, float), np.array(line.y, float)
        colour, style = COLOURS[i % 7], ("-", "--", ":")[i // 7 % 3]
        name = label(line.label)
        axes.plot(x, y, color=colour, ls=style, marker="os^DvP*X"[i % 8] if line.std else "", ms=4, label=name)
        if line.std:
            axes.fill_between(x, y - np.array(line.std), y + np.array(line.std), color=colour, alpha=0.15, lw=0)
    _show_marks(axes, marks, max((x for line in lines for x in line.x), default=0.0))
    if rows:
        figure.legend(loc="outside lower center", frameon=False, fontsize=9, ncols=columns)
    if log:
        axes.set_yscale("log")
    axes.set(xlabel=labels[0], ylabel=labels[1])
    ticks = sorted({x for line in lines if line.std for x in line.x})
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    if 1 <= len(ticks) <= 12:
        axes.set_xticks(ticks)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _show_marks(axes: Axes, marks: Sequence[Mark], end: float) -> None:
    """Marks in a column for each group, named where they are: many share a height."""
    for i, group in enumerate(dict.fromkeys(mark.group for mark in marks)):
        x, shape = end * (1.06 + 0.42 * i), "D*Ps"[i % 4]
        axes.plot([], [], color="#666666", ls="", marker=shape, ms=6, label=label(group))
        for mark in marks:
            if mark.group == group:
                colour = COLOURS[mark.of % 7] if mark.of >= 0 else "#666666"
                axes.plot([x], [mark.y], color=colour, ls="", marker=shape, ms=6)
                where = (x, mark.y)
                axes.annotate(
                    label(mark.label), where, (6, 0), textcoords="offset points", va="center", fontsize=7
                )
    if marks:
        axes.set_xlim(right=end * (1.08 + 0.42 * len({mark.group for mark in marks})))
