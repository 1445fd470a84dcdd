"""The command line: parsing and printing only."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cl_condense.cli.commands import computing, condense, evaluate, export, report, storing, table
from cl_condense.cli.options import COUNT, NETS, ORDERS, SEED, WIDTH, of_run, refuse, written

if TYPE_CHECKING:
    from cl_condense.runs.incremental import Event, Run
    from cl_condense.runs.records import Record
    from cl_condense.runs.settings import Settings

_EXAMPLES = """
\b
Examples:
  cl-condense run --steps 10 --method ddm
  cl-condense run --method random --method dm --method ddm
  cl-condense run --dataset cifar100 --data ~/data --steps 10 --method ddm --out runs/ddm
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="cl-condense")
@click.pass_context
def cli(context: click.Context) -> None:
    """Dataset condensation as memory for continual learning."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command(epilog=_EXAMPLES)
@click.option(
    "--dataset",
    default="digits",
    show_default=True,
    help="digits, mnist, fashion_mnist, svhn, cifar10, cifar100, folder, or of the ImageNet family: "
    "tinyimagenet, imagenette, imagewoof, imagenet10, imagenet100, imagenet1k.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder of the data set's files (digits needs none)."
)
@click.option("--download", is_flag=True, help="Fetch the data set into --data if it is not there.")
@click.option("--steps", type=COUNT, help="Class-incremental steps.  [default: 5; cifar100: 10]")
@click.option(
    "--method",
    "methods",
    multiple=True,
    help="Repeat to compare: ddm, dm, dm+sm, random, herding, ...  [default: random, ddm]",
)
@click.option(
    "--ipc", type=COUNT, help="Images per class: the memory grows.  [default: digits 2, cifar100 20, else 10]"
)
@click.option("--budget", type=COUNT, help="Images in all instead, shared by the classes seen so far.")
@click.option(
    "--bytes", "max_bytes", type=COUNT, help="Bytes in all instead, images and labels, shared likewise."
)
@storing
@click.option("--shrink", help="How a budget's classes shrink: recondense or prefix.  [default: recondense]")
@click.option("--orders", type=ORDERS, help="Class orders.  [default: 5]")
@click.option("--nets", type=NETS, help="Networks trained on each memory.  [default: 3]")
@click.option(
    "--iterations",
    type=COUNT,
    help="Of condensation.  [default: digits 200, else economy's or the method's own]",
)
@click.option(
    "--epochs", type=COUNT, help="Of each network.  [default: digits 200, else 1000, or 300 where plain]"
)
@click.option(
    "--evaluation",
    help="How networks train: augmented, plain (DC's protocol), mixed (IDC's), ... as for evaluate.  "
    "[default: augmented]",
)
@computing
@click.option("--net", help="Network: convnet, resnet18, vgg11, alexnet, ...  [default: convnet]")
@click.option("--width", type=WIDTH, help="Filters of the ConvNets.  [default: digits 32, else 128]")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the results.  [default: one under runs/]"
)
def run(dataset: str, data: Path | None, download: bool, out: Path | None, **given: Any) -> None:
    """Class-incremental run: condense each step's classes into memory, retrain on it, evaluate.

    Writes records.jsonl, accuracy.png, memory.png and the memories to the output folder. Interrupted, the
    same command goes on where it was.
    """
    from cl_condense.common.files import writing  # noqa: PLC0415
    from cl_condense.common.progress_bar import ProgressBar  # noqa: PLC0415
    from cl_condense.data import datasets  # noqa: PLC0415 - they take seconds, and --help should not
    from cl_condense.runs.incremental import Run  # noqa: PLC0415
    from cl_condense.runs.settings import Settings, default_epochs, defaults, fingerprint  # noqa: PLC0415

    compared = given["methods"] or Settings.methods
    refuse(written(), of_run(compared, dataset, given["net"], written()))
    chosen = {k: v for k, v in given.items() if v not in (None, ())}
    if "budget" in chosen or "max_bytes" in chosen:
        chosen["ipc"] = None
    if "evaluation" in chosen:
        chosen.setdefault("epochs", default_epochs(dataset, chosen["evaluation"]))
    train, test = datasets.load(dataset, data, download=download, on_progress=ProgressBar(dataset))
    settings = Settings(
        dataset, data=fingerprint(train, test), **defaults(dataset, compared, given["economy"]) | chosen
    )
    task = Run(
        settings,
        train,
        test,
        out or Path("runs") / f"{dataset}-{'-'.join(settings.methods)}-{settings.digest()}",
    )
    console, errors = _console(), Console(stderr=True)
    with writing(task.out, folder=True):  # the pictures too
        _announce(task, errors)
        _work(task, errors)
        _show(task, console)


@cli.command()
@click.argument("name", required=False)
def methods(name: str | None) -> None:
    """List the methods, or print one in full: cl-condense methods dm+sm."""
    from cl_condense.methods.describe import about, tables  # noqa: PLC0415

    if name:
        click.echo(about(name))
        return
    console = _console()
    for listed in tables():
        console.print(listed)
    _say(console, "One in full, with its formulas, sources and settings: cl-condense methods ddm")


for each in (condense, evaluate, export, report, table):
    cli.add_command(each)


def _announce(task: Run, console: Console) -> None:
    from cl_condense.runs.ways import ways  # noqa: PLC0415

    sizes, s = task.sizes, task.settings
    even = len(set(sizes)) == 1
    split = f"{sizes[0]} new classes each" if even else f"uneven: {', '.join(map(str, sizes))} new classes"
    memory = f"{_budget(s)} as {s.codec}"
    repeats = f"{_count(s.orders, 'class order')} x {_count(s.nets, 'network')}"
    _say(console, f"{s.dataset}: {_count(s.steps, 'step')} ({split}), {memory}, {repeats}, {s.device}")
    for line in ways(s):
        _say(console, line)
    left, units = len(task.missing()), len(task.units)
    if left < units:
        _say(console, f"{units - left} of {units} pieces of work are in {task.out}")


def _work(task: Run, console: Console) -> None:
    """Does what is missing, with one line of progress."""
    missing = task.missing()
    if not missing:
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    done = 0
    with bar:
        line = bar.add_task("starting", total=len(missing))

        def show(event: Event) -> None:
            nonlocal done
            name = f"{event.unit.method}, order {event.unit.order + 1}, step {event.unit.step}: {event.phase}"
            bar.update(line, completed=done + event.share, description=name)
            if event.record:
                done += 1
                if not console.is_terminal:
                    _say(console, _line(event.record, done, len(missing)))

        try:
            task(show)
        except KeyboardInterrupt:
            bar.stop()
            _say(console, f"{len(task.records)} of {len(task.units)} pieces of work are in {task.out}")
            raise


def _say(console: Console, text: str) -> None:
    # Never broken into lines or read as markup: there are paths in it.
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _budget(s: Settings) -> str:
    if s.max_bytes:
        return f"{_count(s.max_bytes, 'byte')} in all"
    return f"{_count(s.ipc, 'image')} per class" if s.ipc else f"{_count(s.budget or 0, 'image')} in all"


def _line(record: Record, done: int, total: int) -> str:
    return (
        f"[{done}/{total}] {record['method']} order {record['order'] + 1} step {record['step']}: "
        f"{100 * record['accuracy']:.1f} % on {record['classes_seen']} classes"
    )


def _show(task: Run, console: Console) -> None:
    """Table on the terminal, pictures in the folder."""
    from cl_condense.condensation.condensed_set import CondensedSet  # noqa: PLC0415
    from cl_condense.data.image_grid import grid_page, panel_grid  # noqa: PLC0415
    from cl_condense.reports import summary  # noqa: PLC0415
    from cl_condense.runs.records import Unit  # noqa: PLC0415

    s = task.settings
    console.print(summary.accuracy_table(task.records, console.width))
    title = f"{s.dataset}, {s.steps} steps, {_budget(s)} as {s.codec}"
    summary.accuracy_plot(task.records, task.out / "accuracy.png", title)
    pages = {}
    for method in s.methods:
        memory = CondensedSet.load(task.memory_file(Unit(0, method, s.steps)))
        names = [task.train.names[i] for i in memory.class_ids]
        pages[method] = grid_page(memory.to_pixels(), memory.counts, names)
    panel_grid(pages, task.out / "memory.png")
    _say(console, f"\nIn {task.out}: records.jsonl, accuracy.png, memory.png, memory/")


def _console() -> Console:
    # Piped output has no width of its own; 100 columns hold a table of six steps.
    return Console() if sys.stdout.isatty() else Console(width=100)


def _warn(message: Warning | str, *where: Any) -> None:
    """One line: where in the code a warning comes from is no matter of the user's."""
    click.echo("Warning: " + " ".join(str(message).split()), err=True)


def main(args: list[str] | None = None) -> None:
    """Entry point: whatever the user can mend is one line on stderr and exit code 2."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="avalanche")
        warnings.filterwarnings("ignore", message="no QP solver found")  # Avalanche's GEM alone needs one
        warnings.showwarning = _warn  # type: ignore[assignment] # one that takes any arguments
        code = _code(args)
    sys.exit(code)


def _code(args: list[str] | None) -> int:
    """Does the command; the exit code."""
    try:
        code = cli.main(args=args, prog_name="cl-condense", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted: the same command goes on.", err=True)
        return 130
    except (click.ClickException, ValueError, OSError) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo("Error: " + " ".join(message.split()), err=True)
        return 2
    return code if isinstance(code, int) else 0
