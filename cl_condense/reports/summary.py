"""What the records of an experiment say: tables and curves of accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cl_condense.common.files import atomic
from cl_condense.common.lettering import label
from cl_condense.common.plain import Values
from cl_condense.reports.forgetting import accuracy_matrix, forgetting, is_whole
from cl_condense.runs.records import row_name, seen_in, several

Record = Values

# Okabe and Ito's colours, which the colour-blind can tell apart, without the yellow that is lost on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "os^DvP*X"
_LINES = ("-", "--", ":")


@dataclass(frozen=True)
class Summary:
    """Accuracies of a method, and a trainer, after one step, pooled over orders and networks; fractions of 1.

    ``seen`` counts the classes, or the domains: ``of``. Where orders differ in how many the step has
    seen, it is the rounded mean.
    """

    method: str
    step: int
    seen: int
    of: str
    mean: float
    std: float
    n: int

    def __str__(self) -> str:
        """In percent; a single accuracy has no spread to show."""
        return f"{100 * self.mean:.1f}" + (f" ± {100 * self.std:.1f}" if self.n > 1 else "")


Curve = dict[int, Summary]


def summarise(records: Sequence[Record]) -> list[Summary]:
    """Mean and std of each ``row_name`` and step, in the order of their first record.

    The accuracies of all orders and networks are pooled, each counting once. The std is that of the pool
    (divided by n, not n - 1): the convention of DC's, DSA's and DM's published code.

    Raises:
        ValueError: without records, for a record without accuracies, for records of several data sets, and
            where a method, order and step occur twice.
    """
    summaries = []
    for method, steps in _group(records).items():
        for step, group in sorted(steps.items()):
            pool = np.concatenate([np.asarray(r["accuracies"], dtype=np.float64) for r in group.values()])
            each = [seen_in(r) for r in group.values()]
            seen = round(sum(n for n, _ in each) / len(group))
            summaries.append(
                Summary(method, step, seen, each[0][1], float(pool.mean()), float(pool.std()), pool.size)
            )
    return summaries


_COSTS = ("seconds", "KiB", "images")
"""Columns that a narrow terminal goes without, in this order."""


def accuracy_table(records: Sequence[Record], width: int = 100) -> Table:
    """A table with a row a method: accuracy after each step, images stored, their KiB, and seconds taken.

    Of more steps than fit in ``width`` columns some are left out, never the first or the last, and then what it
    cost. "average" is
    the mean over all steps, shown or not, "forgets" the ``forgetting`` in points, and "-" stands for what has
    not been run. The best final mean is bold. Errors as in ``summarise``.
    """
    curves = _curves(records)
    steps = shown = _steps(curves)
    table = _table(records, curves, shown)
    without: tuple[str, ...] = ()
    while Console(width=10_000).measure(table).maximum > width and without != _COSTS:
        if len(shown) > 2:
            shown = [steps[round(i)] for i in np.linspace(0, len(steps) - 1, len(shown) - 1)]
        else:
            without = _COSTS[: len(without) + 1]
        table = _table(records, curves, shown, without)
    return table


def accuracy_plot(records: Sequence[Record], path: str | Path, title: str = "") -> None:
    """Writes a PNG of accuracy against classes, or domains, seen: a line a method, mean ± std as a band.

    The legend gives the final accuracies, the best first, and then the methods that are not through yet.
    Errors as in ``summarise``.
    """
    curves = [list(curve.values()) for curve in _curves(records).values()]
    ns = {s.n for curve in curves for s in curve}
    together = len({s.seen for curve in curves for s in curve}) == 1
    ticks = [s.seen for s in max(curves, key=len)]
    last = max(curve[-1].step for curve in curves)
    lines = sum(1 if curve[-1].step == last else 2 for curve in curves)  # of the legend, lest it be clipped
    figure = Figure(figsize=(7.2, max(4.2, 1.4 + 0.21 * lines)), dpi=200, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    for i, curve in sorted(enumerate(curves), key=lambda c: (c[1][-1].step, c[1][-1].mean), reverse=True):
        x, y, std = np.array([(s.seen, 100 * s.mean, 100 * s.std) for s in curve]).T
        if together:  # points at the same place would hide one another
            x = x + (i + 1) / (len(curves) + 1) - 0.5
        end, colour = curve[-1], _COLOURS[i % len(_COLOURS)]
        name = f"{label(end.method)}  {end}" + (f" (n = {end.n})" if len(ns) > 1 else "")
        name += "" if end.step == last else f"\nat {end.seen} {several(end.of)}"
        bars, line, marker = std if len(x) == 1 else None, _LINES[i // len(_COLOURS) % 3], _MARKERS[i % 8]
        axes.errorbar(x, y, bars, capsize=4, color=colour, ls=line, marker=marker, ms=5, label=name)
        axes.fill_between(x, y - std, y + std, color=colour, alpha=0.15, lw=0)
    what = "final mean ± std" + (f" (n = {ns.pop()})" if len(ns) == 1 else "")
    figure.legend(title=what, loc="outside right center", frameon=False)
    figure.suptitle(label(title, 200), x=0.01, ha="left", wrap=True)
    axes.set(xlabel=f"{several(curves[0][0].of)} seen", ylabel="accuracy (%)")
    low, high = axes.get_ylim()
    pad = max(0.0, 2.5 - (high - low) / 2)  # less than five points would magnify the noise
    axes.set_ylim(max(low - pad, -2), min(high + pad, 102))
    if together:
        axes.set_xlim(ticks[0] - 1, ticks[0] + 1)
    axes.set_xticks(ticks[:: -math.ceil(len(ticks) / 12)])
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    with atomic(path) as file:
        canvas.print_png(file)


def _group(records: Sequence[Record]) -> dict[str, dict[int, dict[int, Record]]]:
    """Records by method, step and order."""
    if not records:
        raise ValueError("no records to report on: run an experiment first")
    datasets = sorted({str(r["dataset"]) for r in records})
    if len(datasets) > 1:
        raise ValueError(f"records of several data sets ({', '.join(datasets)}): report on one at a time")
    groups: dict[str, dict[int, dict[int, Record]]] = {}
    for r in records:
        where = f"method {row_name(r)}, order {r['order']}, step {r['step']}"
        if not r["accuracies"]:
            raise ValueError(f"the record of {where} has no accuracies: run this step again")
        group = groups.setdefault(row_name(r), {}).setdefault(r["step"], {})
        if r["order"] in group:
            raise ValueError(f"two records of {where}: report on one experiment at a time")
        group[r["order"]] = r
    return groups


def _curves(records: Sequence[Record]) -> dict[str, Curve]:
    """Summaries by method and step."""
    curves: dict[str, Curve] = {}
    for s in summarise(records):
        curves.setdefault(s.method, {})[s.step] = s
    return curves


def _steps(curves: Mapping[str, Curve]) -> list[int]:
    return sorted({step for curve in curves.values() for step in curve})


def _table(
    records: Sequence[Record], curves: Mapping[str, Curve], shown: Sequence[int], without: Sequence[str] = ()
) -> Table:
    steps = _steps(curves)
    ns = {s.n for curve in curves.values() for s in curve.values()}
    best = max(curve[steps[-1]].mean for curve in curves.values() if steps[-1] in curve)
    caption = f"{_caption(records, ns)}; average: over {_number(len(steps), 'step')}"
    caption += "" if len(shown) == len(steps) else f", {len(shown)} of them shown"
    caption += f"; no room for {', '.join(without)}" if without else ""
    caption += _economy(records)
    table = Table(title=f"{records[0]['dataset']}: accuracy (%)", caption=caption, pad_edge=False, box=None)
    table.add_column("method", overflow="fold")
    of = seen_in(records[0])[1]
    seen = {step: _range([seen_in(r)[0] for r in records if r["step"] == step]) for step in shown}
    headers = [f"step {step}\n{seen[step]} {of if seen[step] == '1' else several(of)}" for step in shown]
    own = {name: [r for r in records if row_name(r) == name] for name in curves}
    lost = {name: forgets(each, len(steps)) for name, each in own.items()}
    known = ["forgets"] if {*lost.values()} != {"-"} else []
    beside = ["average", *known, "images", "KiB", "seconds", *(["n"] if len(ns) > 1 else [])]
    beside = [header for header in beside if header not in without]
    for header in (*headers, *beside):
        table.add_column(header, justify="right", overflow="fold")
    for method, curve in curves.items():
        cells = [Text(str(curve.get(step, "-"))) for step in shown]
        if steps[-1] in curve and curve[steps[-1]].mean == best:
            cells[-1].stylize("bold")
        # Accuracy falls with the steps: an average over fewer of them would flatter.
        through = len(curve) == len(steps)
        average = f"{100 * sum(s.mean for s in curve.values()) / len(steps):.1f}" if through else "-"
        seconds = sum(r["condense_seconds"] + r["train_seconds"] for r in own[method])
        images = str(max(r["stored_images"] for r in own[method]))
        size = f"{max(r['stored_bytes'] for r in own[method]) / 1024:.1f}"
        found = {"average": average, "forgets": lost[method], "images": images, "KiB": size}
        found |= {"seconds": f"{seconds:.{int(seconds < 10)}f}", "n": _range([s.n for s in curve.values()])}
        cells += [Text(found[header]) for header in beside]
        table.add_row(Text(method), *cells)
    return table


def forgets(records: Sequence[Record], steps: int) -> str:
    """Forgetting in points after the last step, of orders that are through; "-" without any."""
    orders = [[r for r in records if r["order"] == order] for order in {r["order"] for r in records}]
    through = [own for own in orders if len(own) == steps and is_whole(own)]
    if steps < 2 or not through:
        return "-"
    return f"{100 * np.mean([forgetting(accuracy_matrix(own)) for own in through]):.1f}"


def _caption(records: Sequence[Record], ns: set[int]) -> str:
    networks = {len(r["accuracies"]) for r in records}
    if len(ns) > 1:
        return "mean ± std over n accuracies (orders x networks)"
    n, m = max(ns), max(networks)
    split = f" ({_number(n // m, 'order')} x {_number(m, 'network')})" if len(networks) == 1 else ""
    return f"mean ± std over n = {_number(n, 'accuracy', 'accuracies')}{split}"


def _economy(records: Sequence[Record]) -> str:
    """What was condensed by economy, if anything was."""
    names = dict.fromkeys(str(r["method"]) for r in records if r.get("economy"))
    return f"; {', '.join(names)} by economy, not at the papers' settings" if names else ""


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}–{high}"


def _number(n: int, noun: str, plural: str = "") -> str:
    return f"{n} {noun if n == 1 else plural or noun + 's'}"
