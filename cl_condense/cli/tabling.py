"""What ``cl-condense table`` prints while it does what is missing."""

from __future__ import annotations

import codecs
import io
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console

from cl_condense.cli.options import Reasons, of_methods, refuse
from cl_condense.common.devices import pick_device
from cl_condense.common.files import atomic, writable
from cl_condense.common.progress_bar import ProgressBar
from cl_condense.common.stopping import Limit, exit_code
from cl_condense.data import datasets as sources
from cl_condense.data.imageset import ImageSet
from cl_condense.papers.bench import Bench
from cl_condense.papers.beside import Comparison, side_by_side
from cl_condense.papers.campaign import Campaign, listing
from cl_condense.papers.footnotes import not_the_papers
from cl_condense.papers.forecast import Forecast
from cl_condense.papers.published import TITLES, Cell, published
from cl_condense.papers.set_work import condensed_once
from cl_condense.papers.stream_work import incremental
from cl_condense.reports.dots import Dots
from cl_condense.runs.provenance import command_line
from cl_condense.runs.settings import check


def listed() -> Iterator[str]:
    """A line for each table."""
    for name, title in TITLES.items():
        yield f"{name:12}  {title}"


def show(
    names: Sequence[str],
    data: Path | None,
    dry_run: bool,
    results: Path,
    *,
    datasets: tuple[str, ...],
    download: bool,
    ipcs: tuple[int, ...],
    methods: tuple[str, ...],
    device: str,
    limit: Limit,
    order: str | None = None,
    repetitions: int | None = None,
    orders: int | None = None,
    steps: int | None = None,
    json_file: Path | None = None,
    written: Mapping[str, Any],
    **changes: Any,
) -> int:
    """Does the cells of tables that are missing and prints them; with ``dry_run`` only lists what is missing.

    ``repetitions`` (1) are of condensed sets; ``orders`` (5) and ``steps`` (5, where the paper does not state
    them) of class-incremental cells. ``order`` is ``cheapest`` or ``printed``. ``json_file`` gets the cells
    that were measured, with all accuracies and where they come from. ``written`` are the options of the
    command line that were given, with their values. A dry run goes without data, and without estimates then.

    Returns:
        the exit code: 0, also at the limit of time, or that of a signal.

    Raises:
        ValueError: for what the tables do not have, options that have no effect on their cells, settings
            without sense, data that are not there, and a folder that another process writes in.
    """
    tables = {name: chosen(name, names, datasets, ipcs, methods) for name in dict.fromkeys(names)}
    cells = [cell for own in tables.values() for cell in own]
    numbers = {"repetitions": repetitions, "orders": orders, "steps": steps}
    repeats = {k: v for k, v in numbers.items() if v is not None}
    refuse(written, _useless(", ".join(tables), cells))
    if json_file:
        writable(json_file, "--json")

    @cache
    def load(known: str) -> tuple[ImageSet, ImageSet]:
        return sources.load(known, data, download=download, on_progress=ProgressBar(known))

    given = {k: v for k, v in changes.items() if v is not None}
    given = {"economy": True} | given | {"device": str(pick_device(device))}
    bench = Bench(results, load, given, **repeats)
    cheapest = order == "cheapest" or (order is None and math.isfinite(limit.seconds))
    if dry_run:
        _list(bench, cells, cheapest, limit)
        return 0
    missing = bench.missing(cells)
    for work in missing:  # all of them, before the first begins
        check(work.settings, *load(work.settings.dataset))
    number = Campaign(bench, cells, limit, cheapest)() if missing else 0
    if number:
        return exit_code(number)
    _print(bench, tables, json_file)
    return 0


def _console() -> Console:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_PLAIN)  # a table is no reason to fail in an encoding without ±
    return Console() if sys.stdout.isatty() else Console(width=120)


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join({"±": "+-"}.get(character, "?") for character in lost), error.end


_PLAIN = "cl_condense.plainly"
codecs.register_error(_PLAIN, _plainly)


def _print(bench: Bench, tables: Mapping[str, list[Cell]], json_file: Path | None) -> None:
    console = _console()
    for name, own in tables.items():
        comparison = Comparison(own, [bench])
        console.print(side_by_side(f"{name}: {TITLES[name]}", comparison))
        console.print(Dots(comparison.pairs))
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


def chosen(
    name: str, names: Sequence[str], datasets: Sequence[str], ipcs: Sequence[int], methods: Sequence[str]
) -> list[Cell]:
    """The cells of a table that are asked for, in the order of what is asked; nothing asked is everything.

    Raises:
        ValueError: for what none of the tables ``names`` has.
    """
    asked: dict[str, Sequence[Any]] = {"dataset": datasets, "ipc": ipcs, "method": methods}
    kept: dict[str, list[Any]] = {}
    for kind, values in asked.items():
        kept[kind] = [value for value in values if _has(name, names, kind, value)]
        if values and not kept[kind]:
            return []  # another of the tables has them
    every = product(*(kept[kind] or [None] for kind in ("method", "dataset", "ipc")))
    wanted = [{"method": m, "dataset": d, "ipc": i} for m, d, i in every]
    found = [cell for some in wanted for cell in _some(name, some, strict=len(wanted) == 1)]
    return list(dict.fromkeys(found))


def _has(name: str, names: Sequence[str], kind: str, value: Any) -> bool:
    """Whether a table has a cell of this kind; one of the tables has to."""
    faults = {}
    for each in dict.fromkeys([name, *names]):
        try:
            published(each, **{kind: value})
        except ValueError as error:
            faults[each] = error
    if len(faults) == len({name, *names}):
        raise faults[name]
    return name not in faults


def _some(name: str, some: dict[str, Any], strict: bool) -> list[Cell]:
    """The cells of one data set, budget and method; where several are asked for, some of them may have none."""
    try:
        return published(name, **some)
    except ValueError:
        if strict:
            raise
        return []


def _useless(name: str, cells: list[Cell]) -> Reasons:
    """Of the options of a table those that have no effect on its cells, with the reason."""
    sets, streams = any(map(condensed_once, cells)), any(map(incremental, cells))
    ours = [cell for cell in cells if condensed_once(cell) or incremental(cell)]
    methods = dict.fromkeys(cell.name for cell in ours if cell.name)
    found_in = {cell.dataset for cell in ours}
    nets = {net for cell in ours for net in (cell.condense_net, cell.eval_net)}
    stated = not any(incremental(cell) and cell.steps is None for cell in cells)
    few = f"{name} is class-incremental: repeat it with --orders" if streams and not sets else ""
    many = "" if streams else f"{name} has no class-incremental cells here: repeat them with --repetitions"
    local = f"none of {', '.join(sorted(found_in))} is fetched: leave it out"
    found = of_methods([*methods]) if methods else {}
    return {
        **found,
        "--download": "" if found_in & {*sources.SOURCES} else local,
        "--width": "" if nets & {"convnet", "selection"} else f"{name} has no ConvNet here: leave it out",
        "--repetitions": few,
        "--orders": many,
        "--steps": f"{name} states its steps, or has none, here: leave it out" if stated else "",
    }


def _list(bench: Bench, cells: list[Cell], cheapest: bool, limit: Limit) -> None:
    """What is missing, with estimates where the data are there."""
    console = _console()

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    lacking: dict[str, ValueError] = {}
    for dataset in dict.fromkeys(work.settings.dataset for cell in cells for work in bench.works(cell)):
        try:
            bench.load(dataset)
        except ValueError as error:
            lacking[dataset] = error
    there = [cell for cell in cells if cell.dataset not in lacking]
    missing, without = bench.missing(there), bench.missing([c for c in cells if c.dataset in lacking])
    for work in missing:
        check(work.settings, *bench.load(work.settings.dataset))
    planned = Forecast(bench, there).plan(missing, cheapest) if missing else []
    for work in without:
        say(f"{work}: no estimate without the data")
    if planned or not without:
        seconds = limit.seconds if math.isfinite(limit.seconds) else None
        listing(planned, seconds, f" on {bench.changes['device']}", say)
    if without:
        say(f"{len(without)} to do without an estimate")
    for fault in lacking.values():
        say(str(fault))
    for line in filter(None, (bench.assumed(cells), not_the_papers(bench.unlike(cells)), bench.lacking(cells))):
        say(line)
