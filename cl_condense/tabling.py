"""What ``cl-condense table`` prints while it does what is missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console

from cl_condense import datasets
from cl_condense.bench import Bench, side_by_side
from cl_condense.devices import pick_device
from cl_condense.imageset import ImageSet
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
    **changes: Any,
) -> None:
    """Does the cells of a table that are missing and prints it; with ``dry_run`` only lists them.

    ``repetitions`` (1) are of condensed sets; ``orders`` (5) and ``steps`` (5, where the paper does not state
    them) of class-incremental cells. ``json_file`` gets the cells that were measured, with all accuracies and
    where they come from.

    Raises:
        ValueError: for what the table does not have, settings without sense, and data that are not there.
    """
    wanted = methods or (None,)
    cells: list[Cell] = list(dict.fromkeys(c for m in wanted for c in published(name, dataset, ipc, m)))
    numbers = {"repetitions": repetitions, "orders": orders, "steps": steps}
    repeats = {k: v for k, v in numbers.items() if v is not None}
    _check(name, cells, repeats)

    @cache
    def load(known: str) -> tuple[ImageSet, ImageSet]:
        return datasets.load(known, data, download=download, on_progress=decoding(known))

    given = {k: v for k, v in changes.items() if v is not None} | {"device": str(pick_device(device))}
    bench = Bench(results, load, given, **repeats)
    missing = bench.missing(cells)
    for work in missing:  # all of them, before the first begins
        check(work.settings, *load(work.settings.dataset))
    console, errors = Console() if sys.stdout.isatty() else Console(width=120), Console(stderr=True)
    if dry_run:
        _list(missing, bench, cells, console)
        return
    for i, work in enumerate(missing, 1):
        errors.print(f"[{i}/{len(missing)}] {work}", markup=False, highlight=False, soft_wrap=True)
        bench.do(work, ProgressBar(str(work)))
    console.print(side_by_side(f"{name}: {TITLES[name]}", cells, bench))
    if json_file:
        head = {"kind": "table", "command": command_line("cl-condense table"), "table": name, "seed": 0}
        own = {"orders": bench.orders, "steps": bench.steps} if any(map(incremental, cells)) else {}
        text = json.dumps({**head, "settings": given | own, "rows": bench.rows(cells)}, indent=1)
        json_file.write_text(text + "\n")


def _check(name: str, cells: list[Cell], repeats: dict[str, int]) -> None:
    """Raises ValueError for a number below 1, and for one that none of the cells has a use for."""
    sets, streams = any(map(condensed_once, cells)), any(map(incremental, cells))
    stated = not any(incremental(cell) and cell.steps is None for cell in cells)
    useless = {
        "repetitions": "is class-incremental: repeat it with --orders" if streams and not sets else "",
        "orders": "" if streams else "has no class-incremental cells here: repeat them with --repetitions",
        "steps": "states its steps, or has none, here: leave --steps out" if stated else "",
    }
    for option, value in repeats.items():
        if value < 1:
            raise ValueError(f"{value} {option}: give at least 1")
        if useless[option]:
            raise ValueError(f"--{option} {value}: {name} {useless[option]}")


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
