"""What ``cl-condense table`` prints while it does what is missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console

from cl_condense import datasets
from cl_condense.bench import Bench, side_by_side
from cl_condense.devices import pick_device
from cl_condense.files import atomic, writable, writing
from cl_condense.imageset import ImageSet
from cl_condense.options import Reasons, of_methods, refuse
from cl_condense.origin import command_line
from cl_condense.progress import ProgressBar, decoding
from cl_condense.published import TITLES, Cell, published
from cl_condense.set_work import condensed_once
from cl_condense.settings import check
from cl_condense.stream_work import incremental
from cl_condense.work import Work


def listed() -> Iterator[str]:
    """A line for each table."""
    for name, title in TITLES.items():
        yield f"{name:12}  {title}"


def show(
    name: str,
    data: Path | None,
    dry_run: bool,
    results: Path,
    *,
    dataset: str | None,
    download: bool,
    ipc: int | None,
    methods: tuple[str, ...],
    device: str,
    repetitions: int | None = None,
    orders: int | None = None,
    steps: int | None = None,
    json_file: Path | None = None,
    written: Mapping[str, Any],
    **changes: Any,
) -> None:
    """Does the cells of a table that are missing and prints it; with ``dry_run`` only lists them.

    ``repetitions`` (1) are of condensed sets; ``orders`` (5) and ``steps`` (5, where the paper does not state
    them) of class-incremental cells. ``json_file`` gets the cells that were measured, with all accuracies and
    where they come from. ``written`` are the options of the command line that were given, with their values.

    Raises:
        ValueError: for what the table does not have, options that have no effect on its cells, settings without
            sense, data that are not there, and a folder that another process writes in.
    """
    wanted = methods or (None,)
    cells: list[Cell] = list(dict.fromkeys(c for m in wanted for c in published(name, dataset, ipc, m)))
    numbers = {"repetitions": repetitions, "orders": orders, "steps": steps}
    repeats = {k: v for k, v in numbers.items() if v is not None}
    refuse(written, _useless(name, cells))
    if json_file:
        writable(json_file, "--json")

    @cache
    def load(known: str) -> tuple[ImageSet, ImageSet]:
        return datasets.load(known, data, download=download, on_progress=decoding(known))

    given = {k: v for k, v in changes.items() if v is not None} | {"device": str(pick_device(device))}
    bench = Bench(results, load, given, **repeats)
    missing = bench.missing(cells)
    for work in missing:  # all of them, before the first begins
        check(work.settings, *load(work.settings.dataset))
    console = Console() if sys.stdout.isatty() else Console(width=120)
    if dry_run:
        _list(missing, bench, cells, console)
        return
    if missing:
        _do(bench, cells)
    console.print(side_by_side(f"{name}: {TITLES[name]}", cells, bench))
    if json_file:
        head = {"kind": "table", "command": command_line("cl-condense table"), "table": name, "seed": 0}
        own = {"orders": bench.orders, "steps": bench.steps} if any(map(incremental, cells)) else {}
        text = json.dumps({**head, "settings": given | own, "rows": bench.rows(cells)}, indent=1)
        json_file.parent.mkdir(parents=True, exist_ok=True)
        with atomic(json_file) as temporary:
            temporary.write_text(text + "\n")


def _do(bench: Bench, cells: list[Cell]) -> None:
    errors = Console(stderr=True)
    with writing(bench.folder, "--results", folder=True):
        missing = bench.missing(cells)  # another process may have been here since
        for i, work in enumerate(missing, 1):
            errors.print(f"[{i}/{len(missing)}] {work}", markup=False, highlight=False, soft_wrap=True)
            bench.do(work, ProgressBar(str(work)))


def _useless(name: str, cells: list[Cell]) -> Reasons:
    """Of the options of a table those that have no effect on its cells, with the reason."""
    sets, streams = any(map(condensed_once, cells)), any(map(incremental, cells))
    ours = [cell for cell in cells if condensed_once(cell) or incremental(cell)]
    methods = dict.fromkeys(cell.name for cell in ours if cell.name)
    sources = {cell.dataset for cell in ours}
    nets = {net for cell in ours for net in (cell.condense_net, cell.eval_net)}
    stated = not any(incremental(cell) and cell.steps is None for cell in cells)
    few = f"{name} is class-incremental: repeat it with --orders" if streams and not sets else ""
    many = "" if streams else f"{name} has no class-incremental cells here: repeat them with --repetitions"
    local = f"none of {', '.join(sorted(sources))} is fetched: leave it out"
    found = of_methods([*methods]) if methods else {}
    return {
        **found,
        "--download": "" if sources & {*datasets.SOURCES} else local,
        "--width": "" if nets & {"convnet", "selection"} else f"{name} has no ConvNet here: leave it out",
        "--repetitions": few,
        "--orders": many,
        "--steps": f"{name} states its steps, or has none, here: leave it out" if stated else "",
    }


def _list(missing: list[Work], bench: Bench, cells: list[Cell], console: Console) -> None:
    total = 0.0
    for work in missing:
        seconds = bench.estimate(work)
        total += seconds
        console.print(f"{work}: about {_time(seconds)}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(missing)} to do, about {_time(total)} on {bench.changes['device']}", highlight=False)
    if assumed := bench.assumed(cells):
        console.print(assumed, highlight=False)


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
