"""The picture of a table's record: curves where its methods differ in a setting, else dots."""

from dataclasses import fields

import numpy as np

from cl_condense.papers.beside import Pair, per_class
from cl_condense.papers.published import Cell
from cl_condense.reports.html.curves import Point, curve_plot, curves, places
from cl_condense.reports.html.dots import dot_plot

_OF_A_CELL = {field.name for field in fields(Cell)} - {"moments"}


def picture(record):
    """A PNG of what ``cl-condense table --json`` wrote."""
    rows = record["rows"]
    drawn = curves(Point(*place, *_percent(row)) for row in rows for place in _places(row))
    on_lines = {point for lines in drawn.values() for own in lines.values() for point in own}
    return curve_plot(drawn) if 2 * len(on_lines) > len(rows) else dot_plot([*map(_pair, rows)])


def _places(row):
    return places(row["name"], row.get("after", ""), f", {per_class(row['ipc'])}")


def _pair(row):
    cell = Cell(**{key: value for key, value in row.items() if key in _OF_A_CELL})
    column, n = f"{cell.dataset}, {per_class(cell.ipc)}", np.size(row["accuracies"])
    return Pair(cell, column, cell.name, "", *_percent(row), n, seconds=None, since="", bench=None)


def _percent(row):
    return 100 * float(np.mean(row["accuracies"])), 100 * float(np.std(row["accuracies"]))
