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
from cl_condense.bench import Bench, Work, side_by_side
from cl_condense.devices import pick_device
from cl_condense.imageset import ImageSet
from cl_condense.origin import command_line
from cl_condense.progress import ProgressBar, decoding
from cl_condense.published import TITLES, Cell, published
from cl_condense.settings import check


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
    ipc: int | None,
    methods: tuple[str, ...],
    repetitions: int,
    device: str,
    json_file: Path | None = None,
    **changes: Any,
) -> None:
    """Does the cells of a table that are missing and prints it; with ``dry_run`` only lists them.

    ``json_file`` gets the cells that were measured, with all accuracies and where they come from.

    Raises:
        ValueError: for what the table does not have, settings without sense, and data that are not there.
    """
    if repetitions < 1:
        raise ValueError(f"{repetitions} repetitions: give at least 1")
    wanted = methods or (None,)
    cells: list[Cell] = list(dict.fromkeys(c for m in wanted for c in published(name, dataset, ipc, m)))

    @cache
    def load(known: str) -> tuple[ImageSet, ImageSet]:
        return datasets.load(known, data, on_progress=decoding(known))

    given = {k: v for k, v in changes.items() if v is not None} | {"device": str(pick_device(device))}
    bench = Bench(results, load, given, repetitions)
    missing = bench.missing(cells)
    for work in missing:  # all of them, before the first begins
        check(work.settings, *load(work.settings.dataset))
    console, errors = Console() if sys.stdout.isatty() else Console(width=120), Console(stderr=True)
    if dry_run:
        _list(missing, bench, console)
        return
    for i, work in enumerate(missing, 1):
        errors.print(f"[{i}/{len(missing)}] {work}", markup=False, highlight=False, soft_wrap=True)
        bench.do(work, ProgressBar(str(work)))
    console.print(side_by_side(f"{name}: {TITLES[name]}", cells, bench))
    if json_file:
        head = {"kind": "table", "command": command_line("cl-condense table"), "table": name, "seed": 0}
        text = json.dumps({**head, "settings": given, "rows": bench.rows(cells)}, indent=1)
        json_file.write_text(text + "\n")


def _list(missing: list[Work], bench: Bench, console: Console) -> None:
    total = 0.0
    for work in missing:
        seconds = bench.estimate(work)
        total += seconds
        console.print(f"{work}: about {_time(seconds)}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(missing)} to do, about {_time(total)} on {bench.changes['device']}", highlight=False)


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
