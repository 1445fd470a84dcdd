"""Published and ours as dots on a line, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cl_condense.common.lettering import label
from cl_condense.common.plain import Json
from cl_condense.papers.beside import Pair, axis, panels
from cl_condense.reports.html.plots import COLOURS, DPI, WIDTH, png

_ROW, _REST, _HEAD = 0.24, 0.62, 0.45  # inches: of a row, of an axis with its heading, of the legend
_LOOKS: dict[str, Json] = {
    "published ± std": {"color": COLOURS[0], "marker": "o", "mfc": "white", "ms": 6.5, "lw": 1.4},
    "ours ± std": {"color": COLOURS[1], "marker": "D", "ms": 4.5, "lw": 1.4},
}


def dot_plot(pairs: Sequence[Pair]) -> bytes:
    """A PNG with a row a pair: published, and ours a little below it; an axis for each data set and budget.

    It is as wide as a phone can show with text that can be read.
    """
    groups = panels(pairs)
    heights = [_ROW * len(own) + _REST for own in groups.values()]
    figure = Figure(figsize=(WIDTH, sum(heights) + _HEAD), dpi=DPI, layout="constrained")
    drawn = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, own) in zip(drawn, groups.items(), strict=True):
        _panel(axes, name, own)
    looks = [*_LOOKS.items()][0 if any(pair.published for pair in pairs) else 1 :]
    handles = [drawn[0].errorbar([], [], xerr=[], ls="", capsize=2, label=name, **look) for name, look in looks]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    drawn[-1].set_xlabel("accuracy (%)", fontsize=9)
    return png(figure)


def _panel(axes: Axes, name: str, pairs: Sequence[Pair]) -> None:
    rows = range(len(pairs))
    published = [(i - 0.14, *side) for i, side in zip(rows, (p.published for p in pairs), strict=True) if side]
    ours = [(i + 0.14, p.mean, p.std) for i, p in zip(rows, pairs, strict=True)]
    for points, look in zip((published, ours), _LOOKS.values(), strict=True):
        if points:
            y, mean, std = zip(*points, strict=True)
            axes.errorbar(mean, y, xerr=std, ls="", capsize=2, **look)
    low, high = axis(pairs)
    pad = (high - low) / 40  # whole markers at the ends
    axes.set(xlim=(low - pad, high + pad), ylim=(len(pairs) - 0.4, -0.6), yticks=rows)
    axes.set_yticks(rows, [label(p.label, 34) for p in pairs])
    axes.set_title(label(name), loc="left", fontsize=9.5, fontweight="bold", pad=4)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, steps=[1, 2, 5, 10]))
    axes.tick_params(labelsize=8.5, length=2)
    axes.tick_params("y", length=0)
    axes.grid(alpha=0.3, lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
