"""Accuracy over a setting of methods, the iterations of a condensation, or the classes of a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from cl_condense.common.lettering import label
from cl_condense.methods.expressions import names_of, parse
from cl_condense.papers.beside import Pair, per_class
from cl_condense.papers.stream_work import CLASSES
from cl_condense.reports.html.plots import COLOURS, DPI, WIDTH, png

_NAMES = {"blocks"}  # settings whose numbers are names
_WIDE = 20  # times between the ends of an axis from which on it is logarithmic


class Point(NamedTuple):
    """A number of ours on a curve.

    Attributes:
        axis: what x is.
        line: what all points of the curve share.
        mean, std: in percent.
    """

    axis: str
    x: float
    line: str
    mean: float
    std: float


def places(method: str, after: str | int, shared: str) -> Iterator[tuple[str, float, str]]:
    """The axes that a number of a method stands on, its place there and the name of its curve.

    Args:
        method: an expression.
        after: the iterations, or the share of them, that its set has gone through; empty or 0: all.
        shared: what else all points of a curve have in common.
    """
    said = parse(method)
    if moment := str(after or ""):
        share = moment.endswith("%")
        yield (
            "share of the iterations (%)" if share else "iterations",
            float(moment.rstrip("%")),
            f"{method}{shared}",
        )
        return
    for name, value in said.settings.items():
        if not isinstance(value, str) and name not in _NAMES:
            rest = ",".join(f"{k}={v}" for k, v in said.settings.items() if k != name)
            line = "+".join(names_of(method)) + (f"@{rest}" if rest else "")
            yield name, float(value), f"{line}{shared}"


def points(pairs: Sequence[Pair]) -> list[Point]:
    """Where the numbers of a table stand; those of a stream's end too, where others are of its steps."""
    found, streams = [], {pair.cell.steps for pair in pairs if pair.cell.classes}
    for pair in pairs:
        cell = pair.cell
        shared = f", {per_class(cell.ipc)}" + (f", {pair.way}" if pair.way else "")
        placed = [*places(cell.name or "", cell.after, shared)]
        if cell.steps in streams and (cell.classes or cell.dataset in CLASSES):
            placed = [("classes seen", float(cell.classes or CLASSES[cell.dataset]), f"{cell.name}{shared}")]
        found += [Point(*place, pair.mean, pair.std) for place in placed]
    return found


def curves(found: Iterable[Point]) -> dict[str, dict[str, list[Point]]]:
    """By axis and line, those of two points and more, from left to right."""
    grouped: dict[str, dict[str, list[Point]]] = {}
    for point in dict.fromkeys(found):
        grouped.setdefault(point.axis, {}).setdefault(point.line, []).append(point)
    long = {
        axis: {
            name: sorted(own, key=lambda p: p.x) for name, own in lines.items() if len({p.x for p in own}) > 1
        }
        for axis, lines in grouped.items()
    }
    return {axis: lines for axis, lines in long.items() if lines}


def curve_plot(found: dict[str, dict[str, list[Point]]]) -> bytes:
    """A PNG with a panel for each axis: curves with their spread, and a legend where there are several."""
    rows = [len(lines) if len(lines) > 1 else 0 for lines in found.values()]
    heights = [2.8 + 0.2 * n for n in rows]
    figure = Figure(figsize=(WIDTH, sum(heights)), dpi=DPI, layout="constrained")
    drawn = figure.subplots(len(found), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, lines) in zip(drawn, found.items(), strict=True):
        _panel(axes, name, lines)
    return png(figure)


def _panel(axes: Axes, name: str, lines: dict[str, list[Point]]) -> None:
    for i, (line, own) in enumerate(lines.items()):
        x, y, std = zip(*((p.x, p.mean, p.std) for p in own), strict=True)
        colour = COLOURS[i % 7]
        axes.errorbar(x, y, std, color=colour, marker="os^DvP*X"[i % 8], ms=4, capsize=2, label=label(line))
    ticks = sorted({p.x for own in lines.values() for p in own})
    if ticks[0] > 0 and ticks[-1] / ticks[0] >= _WIDE:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    if len(ticks) <= 12:
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.set_xlabel(label(name), fontsize=9)
    axes.set_ylabel("accuracy (%)", fontsize=9)
    axes.tick_params(labelsize=8.5)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), frameon=False, fontsize=8.5)
    else:
        axes.set_title(label(next(iter(lines))), loc="left", fontsize=9)
