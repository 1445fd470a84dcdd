"""What ``cl-condense table`` prints: the tables with ours, or what is missing of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from cl_condense.cli.console import console, say
from cl_condense.common.files import atomic
from cl_condense.common.foreign import parse_object
from cl_condense.common.stopping import Limit
from cl_condense.papers.bench import Bench
from cl_condense.papers.beside import Comparison, side_by_side
from cl_condense.papers.campaign import listing
from cl_condense.papers.footnotes import not_the_papers
from cl_condense.papers.forecast import Forecast, Order
from cl_condense.papers.published import Cell
from cl_condense.papers.stream_work import incremental
from cl_condense.papers.titles import TIMED, TITLES
from cl_condense.reports.dots import Dots
from cl_condense.runs.provenance import command_line

_WIDTH = 120


def show(bench: Bench, tables: Mapping[str, list[Cell]], json_file: Path | None) -> None:
    """The tables, ours beside the published; a file gets our accuracies, with where they come from."""
    to = console(_WIDTH)
    for name, own in tables.items():
        comparison = Comparison(own, [bench])
        to.print(side_by_side(f"{name}: {TITLES[name]}", comparison, timed=name in TIMED))
        to.print(Dots(comparison.pairs))
    if json_file:
        _write(json_file, bench, tables)


def _write(path: Path, bench: Bench, tables: Mapping[str, list[Cell]]) -> None:
    cells = [cell for own in tables.values() for cell in own]
    names = ", ".join(tables)
    head = {"kind": "table", "command": command_line("cl-condense table"), "table": names, "seed": 0}
    own = {"orders": bench.orders, "steps": bench.steps} if any(map(incremental, cells)) else {}
    text = json.dumps({**head, "settings": bench.changes | own, "rows": bench.rows(cells)}, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n")


def ours(path: Path) -> bool:
    """Whether a table wrote the file, so that another one may replace it."""
    try:
        return bool(parse_object(path.read_bytes()).get("kind") == "table")
    except ValueError:
        return False


def preview(bench: Bench, cells: list[Cell], order: Order, limit: Limit) -> None:
    """What is missing, with estimates where the data are there."""
    tell = partial(say, console(_WIDTH))
    lacking: dict[str, ValueError] = {}
    for dataset in dict.fromkeys(work.condense.dataset for cell in cells for work in bench.works(cell)):
        try:
            bench.data(dataset)
        except ValueError as error:
            lacking[dataset] = error
    there = [cell for cell in cells if cell.dataset not in lacking]
    missing, without = bench.missing(there), bench.missing([c for c in cells if c.dataset in lacking])
    for work in missing:
        work.check(*bench.data(work.condense.dataset))
    planned = Forecast(bench, there).plan(missing, order) if missing else []
    for work in without:
        tell(f"{work}: no estimate without the data")
    if planned or not without:
        seconds = limit.seconds if math.isfinite(limit.seconds) else None
        listing(planned, seconds, f" on {bench.changes['device']}", tell)
    if without:
        tell(f"{len(without)} to do without an estimate")
    for fault in lacking.values():
        tell(str(fault))
    for line in filter(None, (bench.assumed(cells), not_the_papers(bench.unlike(cells)), bench.lacking(cells))):
        tell(line)
