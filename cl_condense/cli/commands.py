"""Commands on condensed sets, the papers' tables and reports; parsing and printing only."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl_condense.cli.options import (
    COUNT,
    DURATION,
    NETS,
    ORDERS,
    REPETITIONS,
    SEED,
    WIDTH,
    of_condense,
    of_data,
    of_report,
    of_table,
    of_width,
    refuse,
    written,
)

if TYPE_CHECKING:
    from cl_condense.common.progress import Progress

_DATA = [
    click.option("--dataset", default="digits", show_default=True, help="As for run."),
    click.option("--data", type=click.Path(path_type=Path), help="Folder of the data set's files."),
    click.option("--download", is_flag=True, help="Fetch the data set into --data if it is not there."),
]
_COMPILE = click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="ConvNets through torch.compile: minutes at first, then half the time.",
)
_COMPUTING = [
    click.option(
        "--economy/--papers",
        default=None,
        help="Condense in fewer iterations with fewer real images, where a method allows it, or as published.  "
        "[default: economy; digits has settings of its own]",
    ),
    click.option("--precision", help="Of condensation: float32 or bfloat16.  [default: float32]"),
    _COMPILE,
    click.option(
        "--reuse",
        type=COUNT,
        help="Iterations that share a network and a real batch: less work.  [default: economy 10, else 1]",
    ),
]
_CONDENSE = """
\b
Examples:
  cl-condense condense --method ddm --ipc 10
  cl-condense condense --dataset cifar10 --data ~/data --method idm --ipc 10 --out idm.safetensors
  cl-condense condense --method ddm --ipc 10 --from ddm.safetensors --iterations 500 --out more.safetensors
"""
_EVALUATE = """
\b
Examples:
  cl-condense evaluate ddm.safetensors
  cl-condense evaluate idm.safetensors res_DM_CIFAR10_ConvNet_10ipc.pt --dataset cifar10 --data ~/data
  cl-condense evaluate idc.pt --factor 2 --space unit --dataset cifar10 --data ~/data
"""
_EXPORT = """
\b
Examples:
  cl-condense export ddm.safetensors --format pt --out ddm.pt
  cl-condense export ddm.safetensors --format png --out ddm-images
"""


def storing(command: Any) -> Any:
    """The option on how images are stored."""
    return click.option("--codec", help="How images are stored: uint8, float16, float32.  [default: uint8]")(
        command
    )


def _with_data(command: Any) -> Any:
    for option in reversed(_DATA):
        command = option(command)
    return command


def computing(command: Any) -> Any:
    """The options on how condensation computes."""
    for option in reversed(_COMPUTING):
        command = option(command)
    return command


@click.command(epilog=_CONDENSE)
@_with_data
@click.option("--method", default="ddm", show_default=True, help="As for run: cl-condense methods lists them.")
@click.option("--ipc", type=COUNT, help="Images per class.  [default: digits 2, cifar100 20, else 10]")
@click.option("--bytes", "max_bytes", type=COUNT, help="Bytes in all instead, of images and labels.")
@storing
@click.option("--iterations", type=COUNT, help="[default: digits 200, else economy's or the method's own]")
@click.option(
    "--real-per-class",
    type=COUNT,
    help="Real images a class and step.  [default: digits 32, else economy's or the method's own]",
)
@computing
@click.option("--net", help="Network: convnet, resnet18, vgg11, alexnet, ...  [default: convnet]")
@click.option("--width", type=WIDTH, help="Filters of the ConvNet.  [default: digits 32, else 128]")
@click.option(
    "--from", "start", type=click.Path(path_type=Path), help="Go on from this set, for --iterations more."
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option(
    "--out", type=click.Path(path_type=Path), help="File of the set.  [default: one under condensed/]"
)
def condense(dataset: str, method: str, start: Path | None, out: Path | None, **given: Any) -> int:
    """Condense a data set: the images, a picture of them and a record.

    Interrupted, the same command goes on where it was (after a crash, from the last half minute) and ends with
    the same images.
    """
    from cl_condense.common.devices import pick_device  # noqa: PLC0415
    from cl_condense.common.progress_bar import ProgressBar  # noqa: PLC0415
    from cl_condense.common.stopping import Limit, Stop, exit_code  # noqa: PLC0415
    from cl_condense.data import datasets  # noqa: PLC0415 - they take seconds, and --help should not
    from cl_condense.runs.settings import Settings, check, defaults, fingerprint, ipc_within  # noqa: PLC0415
    from cl_condense.runs.single import Job, run  # noqa: PLC0415
    from cl_condense.runs.ways import ways  # noqa: PLC0415

    refuse(written(), of_condense(method, dataset, given["net"], written()))
    data, download = given.pop("data"), given.pop("download")
    train, test = datasets.load(dataset, data, download=download, on_progress=ProgressBar(dataset))
    chosen = defaults(dataset, (method,), given["economy"]) | {k: v for k, v in given.items() if v is not None}
    chosen |= {
        "methods": (method,),
        "steps": 1,
        "data": fingerprint(train),
        "device": str(pick_device(given["device"])),
    }
    max_bytes = chosen.pop("max_bytes", None)
    settings = Settings(dataset, **chosen)
    if max_bytes is not None:
        settings = replace(settings, ipc=ipc_within(max_bytes, train, settings.codec))
    check(settings, train, test)
    path = out or Path("condensed") / f"{dataset}-{method}-ipc{settings.ipc}-seed{settings.seed}.safetensors"
    if path.suffix != ".safetensors":
        raise ValueError(f"--out {path}: name a .safetensors file")
    job = Job(settings, path, start)
    bar, limit, unsaid = ProgressBar(f"{method} on {dataset}"), Limit(), ways(settings)

    def on_iteration(progress: Progress) -> None:
        while unsaid:  # not before the first step: what cannot be done is one line, its error
            click.echo(unsaid.pop(0), err=True)
        bar(progress)
        limit.check()

    try:
        with limit.watching():
            record = run(job, train.to(settings.device), on_iteration)
    except Stop as stop:
        bar.close()
        code = exit_code(stop.signal)
        click.echo("Stopped: the same command goes on.", err=True)
        return code
    click.echo(
        f"{record['images']} images of {len(train.class_ids)} classes in {record['seconds']:.0f} s: {path}"
    )
    click.echo(f"picture: {job.files()['picture']}, record: {job.files()['record']}")
    return 0


@click.command(epilog=_EVALUATE)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@_with_data
@click.option(
    "--factor", type=COUNT, help="Each image holds N x N smaller ones.  [default: as the file says, else 1]"
)
@click.option(
    "--space",
    default="auto",
    show_default=True,
    help="Values of a .pt file: normalised, unit (0 to 1, black to white), pixels (0 to 255), or auto.",
)
@click.option("--pair", type=COUNT, help="Which [images, labels] of a .pt file, from 1.  [default: the last]")
@click.option("--networks", type=NETS, default=5, show_default=True, help="Fresh networks trained on each set.")
@click.option(
    "--epochs", type=COUNT, help="Of each network.  [default: digits 200, else those of --evaluation]"
)
@click.option(
    "--evaluation",
    default="augmented",
    show_default=True,
    help="augmented, plain (DC's protocol), mixed (IDC's and M3D's), or that of a paper: cafe, datadam, "
    "dc_mnist, idc_mnist.",
)
@click.option("--net", help="Network: convnet, resnet18, vgg11, alexnet, ...  [default: convnet]")
@click.option("--width", type=WIDTH, help="Filters of the ConvNet.  [default: digits 32, else 128]")
@_COMPILE
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option(
    "--records", type=click.Path(path_type=Path), help="Add a line for each set to this JSON lines file."
)
def evaluate(files: tuple[Path, ...], dataset: str, data: Path | None, download: bool, **given: Any) -> None:
    """Train fresh networks on condensed sets and test them on the data set's test images.

    FILES are sets that `condense` wrote, published .pt sets, or folders of images by class. Classes go by their
    names where a set has names, else by their numbers; each line says what had to be assumed of a file.
    """
    from cl_condense.common.progress_bar import ProgressBar  # noqa: PLC0415
    from cl_condense.runs.evaluate_sets import evaluate_files  # noqa: PLC0415

    refuse(written(), of_data(dataset) | {"--width": of_width(given["net"])})

    for line in evaluate_files(files, dataset, data, download, watch=ProgressBar, **given):
        click.echo(line)


@click.command(epilog=_EXPORT)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "kind", required=True, help="pt (the published layout), npz or png.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File, or folder for png.")
def export(file: Path, kind: str, out: Path) -> None:
    """Write a condensed set for other programs: .pt, .npz, or a folder of PNG files."""
    from cl_condense.condensation.condensed_set import CondensedSet  # noqa: PLC0415
    from cl_condense.condensation.formats.export import export as write  # noqa: PLC0415

    click.echo(f"wrote {write(CondensedSet.load(file), out, kind)}")


_TABLE = """
\b
Examples:
  cl-condense table
  cl-condense table ddm-1 --only cifar10 --ipc 10 --data ~/data --dry-run
  cl-condense table ddm-1 --only cifar10 --ipc 10 --method random --method dm --data ~/data
  cl-condense table idm-fig8 --method dm --data ~/data
  cl-condense table ddm-1 idm-1 iid-1 --only cifar10 --ipc 1 --ipc 10 --data ~/data --for 2h30m
"""


@click.command(epilog=_TABLE)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--only", "datasets", multiple=True, help="Repeat: data sets of the tables.  [default: all]")
@click.option("--ipc", "ipcs", type=COUNT, multiple=True, help="Repeat: images per class.  [default: all]")
@click.option("--method", "methods", multiple=True, help="Repeat: ours or as printed.  [default: all]")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets' files.")
@click.option("--download", is_flag=True, help="Fetch a data set into --data if it is not there.")
@click.option("--dry-run", is_flag=True, help="List what would be done, with an estimate of time.")
@click.option("--for", "seconds", type=DURATION, help="End within 2h30m, 45m, 90s; the same command goes on.")
@click.option(
    "--order",
    type=click.Choice(["cheapest", "printed"]),
    help="Of what is missing.  [default: printed; with --for cheapest]",
)
@click.option("--repetitions", type=REPETITIONS, help="Sets of each cell.  [default: 1]")
@click.option("--orders", type=ORDERS, help="Class orders, where class-incremental.  [default: 5]")
@click.option("--steps", type=COUNT, help="Of class-incremental cells that do not state them.  [default: 5]")
@click.option(
    "--networks", "nets", type=NETS, help="Networks on each set or memory.  [default: 5, class-incremental 3]"
)
@click.option("--iterations", type=COUNT, help="Of condensation.  [default: economy's or the papers']")
@click.option(
    "--real-per-class", type=COUNT, help="Real images a class and step.  [default: economy's or the papers']"
)
@click.option("--epochs", type=COUNT, help="Of each network.  [default: the papers']")
@computing
@click.option("--width", type=WIDTH, help="Filters of the ConvNets.  [default: 128]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all our accuracies.")
def table(names: tuple[str, ...], data: Path | None, dry_run: bool, results: Path, **given: Any) -> int:
    """A paper's table with ours beside it: does the cells that are missing, and shows all.

    Networks train as in the papers; condensation is by economy, or with --papers as published.
    Without NAME it lists the tables; what several have in common is done once. Results stay in one folder and
    are not computed again; interrupted, or after --for, the same command goes on.
    """
    begun = time.monotonic()
    from cl_condense.cli import tabling  # noqa: PLC0415 - it takes seconds, and --help should not
    from cl_condense.common.stopping import Limit  # noqa: PLC0415

    refuse(written(), of_table(names, dry_run, written()))
    if not names:
        click.echo("\n".join(tabling.listed()))
        return 0
    limit = Limit(given.pop("seconds"), begun)
    return tabling.show(names, data, dry_run, results, limit=limit, written=written(), **given)


_REPORT = """
\b
Examples:
  cl-condense report results
  cl-condense report runs --out pages/runs.html
  cl-condense report condensed --figures --data ~/data
"""


@click.command(epilog=_REPORT)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="HTML file.  [default: report.html in DIR]")
@click.option(
    "--figures",
    is_flag=True,
    help="Condensed sets beside their real images: where they started, t-SNE, style drift, consistency ratio.",
)
@click.option("--data", type=click.Path(path_type=Path), help="With --figures: folder of the data sets' files.")
@click.option("--device", default="auto", show_default=True, help="For --figures: auto, cpu, cuda, cuda:1, ...")
def report(folder: Path, out: Path | None, figures: bool, data: Path | None, device: str) -> None:
    """What is in a folder of results, as one HTML page that loads nothing, and as Markdown.

    DIR holds, at any depth, what `table`, `run` and `condense` wrote. With --figures it takes a minute or more
    for each data set; what was measured is kept beside the sets.
    """
    from cl_condense.common.files import writable  # noqa: PLC0415
    from cl_condense.common.progress_bar import ProgressBar  # noqa: PLC0415
    from cl_condense.reports.html import write  # noqa: PLC0415 - it takes seconds, and --help should not
    from cl_condense.reports.html.realdata import RealData  # noqa: PLC0415

    refuse(written(), of_report(figures))
    if out:
        writable(out, "--out")
    look = partial(RealData.of, data=data, device=device, watch=ProgressBar) if figures else None
    for path in write(folder, out, look):
        click.echo(f"wrote {path}")
