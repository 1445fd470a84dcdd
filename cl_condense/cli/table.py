"""``cl-condense table``: a paper's table with ours beside it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl_condense.cli import names, shared, types
from cl_condense.cli.useless import of_table, refuse, written

if TYPE_CHECKING:
    from cl_condense.common.stopping import Limit
    from cl_condense.data.imageset import ImageSet
    from cl_condense.papers.bench import Bench
    from cl_condense.papers.forecast import Order
    from cl_condense.papers.published import Cell
    from cl_condense.runs.tasks import Executor

_CHANGES = (
    "iterations real_per_class width epochs networks economy precision training_precision compiled reuse"
).split()
"""Options that change how cells are computed: fields of the configs."""

_EXAMPLES = """
\b
Examples:
  cl-condense table
  cl-condense table ddm-1 --only cifar10 --ipc 10 --data ~/data --dry-run
  cl-condense table ddm-1 --only cifar10 --ipc 10 \\
      --method random --method dm --data ~/data
  cl-condense table idm-fig8 --method dm --data ~/data
  cl-condense table m3d-2 --only cifar10 --ipc 10 --method m3d \\
      --sweep steps=1,5,10 --data ~/data
  cl-condense table ddm-1 idm-1 iid-1 --only cifar10 --ipc 1 --ipc 10 \\
      --data ~/data --for 2h30m
"""


@click.command(epilog=_EXAMPLES)
@click.argument("names", metavar="[NAME]...", nargs=-1, type=names.TABLE)
@click.option(
    "--only",
    "datasets",
    type=names.PRINTED_DATASET,
    multiple=True,
    help="Repeat: data sets of the tables.  [default: all]",
)
@click.option(
    "--ipc", "ipcs", type=types.COUNT, multiple=True, help="Repeat: images per class.  [default: all]"
)
@click.option(
    "--method",
    "methods",
    type=names.PRINTED_METHOD,
    multiple=True,
    help="Repeat: ours or as printed.  [default: all]",
)
@shared.files
@click.option("--dry-run", is_flag=True, help="List what would be done, with an estimate of time.")
@click.option(
    "--for", "seconds", type=types.DURATION, help="End within 2h30m, 45m, 90s; the same command goes on."
)
@click.option(
    "--order",
    type=names.ORDER,
    help="Of what is missing: printed, cheapest, dearest.  [default: printed; --for: cheapest; --ray: dearest]",
)
@click.option("--repetitions", type=types.COUNT, help="Sets of each cell.  [default: 1]")
@click.option("--orders", type=types.COUNT, help="Class orders, where class-incremental.  [default: 5]")
@click.option(
    "--steps", type=types.COUNT, help="Of class-incremental cells that do not state them.  [default: 5]"
)
@click.option(
    "--networks",
    type=types.COUNT,
    help="Networks on each set or memory.  [default: 5, class-incremental 3]",
)
@click.option("--iterations", type=types.COUNT, help="Of condensation.  [default: economy's or the papers']")
@click.option(
    "--real-per-class",
    type=types.COUNT,
    help="Real images a class and iteration.  [default: economy's or the papers']",
)
@click.option("--epochs", type=types.COUNT, help="Of each network.  [default: the papers']")
@shared.computing
@shared.training_precision
@click.option("--width", type=types.COUNT, help="Filters of the ConvNets.  [default: 128]")
@shared.sweeps
@shared.checkpoints
@shared.device
@shared.ray
@shared.logs
@click.option(
    "--results", type=shared.PATH, default=Path("results"), show_default=True, help="Folder of all results."
)
@click.option("--json", "json_file", type=shared.PATH, help="A file for all our accuracies.")
def table(names: tuple[str, ...], data: Path | None, dry_run: bool, results: Path, **given: Any) -> int:
    """A paper's table with ours beside it: does the cells that are missing, and shows all.

    Networks train as in the papers; condensation is by economy, or with --papers as published.
    Without NAME it lists the tables; what several have in common is done once. Results stay in one folder and
    are not computed again; interrupted, or after --for, the same command goes on.
    """
    begun = time.monotonic()
    from cl_condense.cli.cluster import executor  # noqa: PLC0415
    from cl_condense.common.stopping import Limit  # noqa: PLC0415
    from cl_condense.papers.titles import TITLES  # noqa: PLC0415

    refuse(written(), of_table(names, dry_run, written()))
    if not names:
        click.echo("\n".join(f"{name:12}  {title}" for name, title in TITLES.items()))
        return 0
    limit = Limit(given.pop("seconds"), begun)
    with executor(given.pop("ray"), given.pop("gpu_share")) as units:
        given["device"] = units.device(given["device"])
        return _show(names, dry_run, limit, _bench(results, data, **given), units, **given)


def _bench(results: Path, data: Path | None, *, download: bool, device: str, **given: Any) -> Bench:
    """The folder of results, and how its cells are to be computed."""
    from cl_condense.common.progress_bar import ProgressBar  # noqa: PLC0415
    from cl_condense.data import datasets  # noqa: PLC0415
    from cl_condense.papers.bench import Bench  # noqa: PLC0415

    @cache
    def load(known: str) -> tuple[ImageSet, ImageSet]:
        return datasets.load(known, data, download=download, on_progress=ProgressBar(known))

    changes = {k: given[k] for k in _CHANGES if given[k] is not None}
    repeats = {k: given[k] for k in ("repetitions", "orders", "steps") if given[k] is not None}
    return Bench(results, load, {"economy": True} | changes | {"device": device}, **repeats)


def _show(
    names: tuple[str, ...],
    dry_run: bool,
    limit: Limit,
    bench: Bench,
    units: Executor,
    *,
    datasets: tuple[str, ...],
    ipcs: tuple[int, ...],
    methods: tuple[str, ...],
    order: Order | None,
    sweeps: tuple[str, ...],
    checkpoints: str | None,
    json_file: Path | None,
    logs: tuple[str, ...],
    **_: object,
) -> int:
    """Does the cells of tables that are missing and prints them; a dry run only lists what is missing.

    A dry run goes without data, and without estimates then.

    Returns:
        the exit code: 0, also at the limit of time, or that of a signal.

    Raises:
        ValueError: for what the tables do not have, options that have no effect on their cells, settings
            without sense, data that are not there, and a folder that another process writes in.
    """
    from cl_condense.cli import table_print  # noqa: PLC0415
    from cl_condense.common.files import writable  # noqa: PLC0415
    from cl_condense.common.stopping import exit_code  # noqa: PLC0415
    from cl_condense.papers.campaign import Campaign  # noqa: PLC0415

    tables, notes = _tables(names, (datasets, ipcs, methods), sweeps, checkpoints)
    cells = [cell for own in tables.values() for cell in own]
    if json_file:
        writable(json_file, "--json", ours=table_print.ours)
    for line in notes:
        click.echo(line, err=True)
    order = order or ("cheapest" if math.isfinite(limit.seconds) else "dearest" if units.where else "printed")
    if dry_run:
        table_print.preview(bench, cells, order, limit)
        return 0
    missing = bench.missing(cells)
    if missing:
        writable(bench.folder, "--results", folder=True)
    for work in missing:  # all of them, before the first begins
        work.check(*bench.data(work.condense.dataset))
    number = Campaign(bench, cells, limit, order, logs, units)() if missing else 0
    if number:
        return exit_code(number)
    table_print.show(bench, tables, json_file)
    return 0


def _tables(
    names: Sequence[str], asked: tuple[Any, ...], sweeps: Sequence[str], checkpoints: str | None
) -> tuple[dict[str, list[Cell]], list[str]]:
    """The cells of each table that are asked for, with sweeps and checkpoints; lines on what these pass over.

    Raises:
        ValueError: for what the tables do not have, and options that have no effect on their cells.
    """
    from cl_condense.cli.table_cells import chosen, useless, widened  # noqa: PLC0415
    from cl_condense.methods.sweeps import Sweep  # noqa: PLC0415
    from cl_condense.papers.bench import runnable  # noqa: PLC0415

    tables = {name: chosen(name, names, *asked) for name in dict.fromkeys(names)}
    cells = [cell for own in tables.values() for cell in own]
    refuse(written(), useless(", ".join(tables), cells))
    used = [*dict.fromkeys(cell.name for cell in cells if cell.name and runnable(cell))]
    _, notes = shared.swept(used, sweeps)
    read = [Sweep.of(text) for text in sweeps]
    kept = checkpoints.split(",") if checkpoints else []
    return {name: widened(own, read, kept) for name, own in tables.items()}, notes
