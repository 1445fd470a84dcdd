"""``cl-condense run``: a run over a stream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl_condense.cli import loading, names, shared, types
from cl_condense.cli.config import config, one_of
from cl_condense.cli.console import console as standard_output
from cl_condense.cli.console import say
from cl_condense.cli.run_print import announce, line_of, show_results
from cl_condense.cli.stopping import stoppable
from cl_condense.cli.useless import of_run, refuse, written
from cl_condense.common.plain import Json

if TYPE_CHECKING:
    from rich.console import Console

    from cl_condense.data.imageset import ImageSet
    from cl_condense.runs.events import Event
    from cl_condense.runs.incremental import Run
    from cl_condense.runs.run_config import RunConfig


_EXAMPLES = """
\b
Examples:
  cl-condense run --steps 10 --method ddm
  cl-condense run --method random --method dm --method ddm
  cl-condense run --method idm --sweep ce=0.001,0.005,0.02
  cl-condense run --dataset cifar100 --data ~/data --steps 10 \\
      --method ddm --out runs/ddm
  cl-condense run --scenario domain --dataset rotated_mnist --data ~/data \\
      --method random --method dm
  cl-condense run --scenario online --dataset mnist --data ~/data \\
      --method reservoir --method dm
  cl-condense run --config runs/ddm/config.toml --orders 10 --out runs/ddm
"""


@click.command(epilog=_EXAMPLES)
@config
@shared.stream
@click.option(
    "--steps",
    type=types.COUNT,
    help="Of the stream; of rotated_ and permuted_ data the domains.  [default: 5; cifar100: 10]",
)
@click.option(
    "--method",
    "methods",
    type=names.MEMORY,
    multiple=True,
    help="Repeat to compare: ddm, dm, dm+sm, random, herding, ...; dm:herding:0.5 has a half of the memory for "
    "real images, dm:herding:auto the best share on held-out training images.  [default: random, ddm]",
)
@click.option(
    "--ipc",
    type=types.COUNT,
    help="Images per class: the memory grows with the classes; with --scenario domain or online it has so many "
    "for all of them from the start.  [default: digits 2, cifar100 20, else 10]",
)
@click.option("--budget", type=types.COUNT, help="Images in all instead, shared by the classes seen so far.")
@click.option(
    "--bytes", "max_bytes", type=types.COUNT, help="Bytes in all instead, images and labels, shared likewise."
)
@shared.storing
@click.option(
    "--shrink",
    type=names.SHRINK,
    help="How a budget's classes shrink: recondense or prefix.  [default: recondense]",
)
@shared.arriving
@click.option(
    "--after",
    type=types.STEPS,
    metavar="STEPS",
    help="Train networks after these steps alone, such as 5,10 or last: far less work. Without it the same "
    "command does the others.  [default: each]",
)
@click.option("--orders", type=types.COUNT, help="Of the classes, or the domains.  [default: 5]")
@click.option(
    "--order-seed",
    type=types.SEED,
    help="Of the first order; iCaRL and many since have 1993.  [default: --seed]",
)
@click.option(
    "--order-file",
    type=types.PATH,
    help="JSON list of all classes, by id or name, or a list of such lists: the class orders.",
)
@click.option(
    "--trainer",
    "trainers",
    type=names.TRAINER,
    multiple=True,
    help="Repeat to compare: gdumb, fresh networks at each step; idc, which go on.  [default: gdumb]",
)
@click.option("--networks", type=types.COUNT, help="Networks trained on each memory.  [default: 3]")
@shared.sweeps
@shared.iterations
@shared.real_per_class
@shared.epochs
@shared.evaluation
@shared.computing
@shared.training_precision
@shared.network
@shared.pools
@shared.seed
@shared.device
@shared.ray
@shared.out("Folder for the results.  [default: one under runs/]")
@shared.logs
@click.option("--remake", is_flag=True, help="Make memories that were lost since again.")
def run(dataset: str, data: Path | None, out: Path | None, *, remake: bool, **given: Any) -> None:
    """Run over a stream: condense each step's classes into memory, retrain on it, evaluate.

    Writes records.jsonl, accuracy.png, memory.png, the memories and config.toml, which repeats it, to the
    output folder. Interrupted, the same command goes on where it was (after a crash, from the last half minute)
    and ends with the same records.
    """
    from cl_condense.cli.cluster import executor  # noqa: PLC0415
    from cl_condense.common.files import writable, writing  # noqa: PLC0415
    from cl_condense.runs import config_file  # noqa: PLC0415 - they take seconds, and --help should not
    from cl_condense.runs.checks import fingerprint  # noqa: PLC0415
    from cl_condense.runs.class_orders import read_orders  # noqa: PLC0415
    from cl_condense.runs.incremental import Run  # noqa: PLC0415
    from cl_condense.runs.run_config import METHODS  # noqa: PLC0415
    from cl_condense.runs.stream import steps_named  # noqa: PLC0415

    compared, pools, logs, after = (given.pop(name) for name in ("methods", "pools", "logs", "after"))
    cluster = given.pop("ray"), given.pop("gpu_share")
    compared, kept = shared.swept(compared or METHODS, given.pop("sweeps"))
    given = one_of(given, "ipc", "budget", "max_bytes")
    given = one_of(given, "order_seed", "order_file")
    order_file = given.pop("order_file")
    scenario = given["scenario"] or "class"
    refuse(written(), of_run(compared, dataset, given["network"], written(), scenario))
    if scenario == "online" and shared.present().size > 1:
        raise ValueError(
            "--scenario online under torchrun: such a memory is made by one process; leave torchrun out"
        )
    domains = _domains(dataset, scenario, given["steps"])
    if out:
        writable(out, "--out", folder=True)
    if pools:
        writable(pools, "--pools", folder=True)
    train, test, prepared, notes = loading.read(dataset, data, given, domains)
    if order_file:
        given["class_orders"] = orders = read_orders(order_file, train)
        given["orders"] = given["orders"] or len(orders)
    chosen = _config(dataset, compared, {**given, "data": fingerprint(train, test)}, train)
    only = steps_named("--after", after, chosen.stream.steps) if after else ()
    default = Path("runs") / f"{dataset}-{_all(chosen.methods)}-{chosen.digest()}"
    written_paths = (("data", data), ("order-file", order_file), ("pools", pools), ("after", after))
    repeats = {k: str(path) for k, path in written_paths if path} | config_file.reading_options(prepared)
    with executor(*cluster) as units:
        files = out or default, prepared.options(), pools
        task = Run(chosen, train, test, *files, units, shared.present(), only)
        with writing(task.out, folder=True):  # the pictures too
            config_file.write(task.out / "config.toml", config_file.options(task.settings) | repeats)
            loading.say(notes, loading.write_skipped(notes, task.out))
            _do(task, logs, remake, kept)


def _do(task: Run, logs: tuple[str, ...], remake: bool, kept: Sequence[str]) -> None:
    """Does what is missing, and shows all."""
    from cl_condense.common.drawing import stderr  # noqa: PLC0415

    errors = stderr()
    announce(task, errors)
    for line in kept:
        say(errors, line)
    _work(task, errors, logs)
    if remake:
        _remake(task, errors)
    show_results(task, standard_output())


def _all(methods: Sequence[str]) -> str:
    """Methods in the name of a folder, which has at most 255 characters: of many the first ones."""
    named = "-".join(methods)
    return named if len(named) <= 120 else f"{named[:100]}...-{len(methods)}-methods"


def _domains(dataset: str, scenario: str, steps: int | None) -> Json | None:
    """What decides the domains of a data set; None where it has none.

    Raises:
        ValueError: for a data set that does not go with the scenario.
    """
    from cl_condense.common.numbers import whole  # noqa: PLC0415
    from cl_condense.data.domain_names import is_domains  # noqa: PLC0415
    from cl_condense.data.domains import check_domains  # noqa: PLC0415
    from cl_condense.runs.stream import NEW_CLASSES  # noqa: PLC0415

    if scenario in NEW_CLASSES and is_domains(dataset):
        raise ValueError(f"--dataset {dataset} is of several domains: give --scenario domain, or online")
    if scenario == "domain" or is_domains(dataset):
        check_domains(dataset)
        return {"domains": steps and whole("--steps", steps, 2)}
    return None


def _config(dataset: str, methods: Sequence[str], given: Json, train: ImageSet) -> RunConfig:
    """Of options, where those that are None are the data set's own, or the published."""
    from cl_condense.runs.config import ONLINE_ITERATIONS, CondenseConfig  # noqa: PLC0415
    from cl_condense.runs.defaults import default_epochs, defaults  # noqa: PLC0415
    from cl_condense.runs.run_config import RunConfig  # noqa: PLC0415
    from cl_condense.runs.stream import NEW_CLASSES, domains_in, labels_in  # noqa: PLC0415

    chosen = {k: v for k, v in given.items() if v not in (None, ())}
    if chosen.keys() & {"budget", "max_bytes"}:
        chosen.setdefault("ipc", None)
    if "evaluation" in chosen:
        chosen.setdefault("epochs", default_epochs(dataset, chosen["evaluation"]))
    chosen = defaults(dataset, methods, given["economy"]) | chosen
    domains = len(domains_in(train))
    chosen |= {"steps": domains} if domains > 1 else {}
    if chosen.get("scenario") == "online":
        chosen["iterations"] = given["iterations"] or ONLINE_ITERATIONS
    fixed = chosen.get("scenario", "class") not in NEW_CLASSES
    if fixed and given["budget"] is None and given["max_bytes"] is None:
        # So many for all classes from the start; every domain has one of each at least.
        if given["ipc"] and given["ipc"] < domains:
            said = f"--ipc {given['ipc']}: {domains} domains share the images of a class"
            raise ValueError(f"{said}: give at least {domains}")
        ipc = given["ipc"] or max(chosen.get("ipc") or 0, CondenseConfig.ipc or 0, domains)
        chosen |= {"ipc": None, "budget": ipc * len(labels_in(train))}
    return RunConfig.of(dataset, methods, **chosen)


def _work(task: Run, console: Console, logs: tuple[str, ...]) -> None:
    """Does what is missing, with one line of progress."""
    missing = task.missing()
    if not missing:
        return
    from cl_condense.cli.remedies import foreseeing, of_run  # noqa: PLC0415
    from cl_condense.common.progress import telling  # noqa: PLC0415
    from cl_condense.common.progress_bar import ProgressBar  # noqa: PLC0415
    from cl_condense.common.recorder import Recorder  # noqa: PLC0415
    from cl_condense.runs.watching import in_units, to_recorder  # noqa: PLC0415

    def how() -> str:
        there = f"{len(task.records)} of {len(task.units)} pieces of work are in {task.out}"
        return f"{there}; the same command goes on."

    done, long = 0, foreseeing(task.settings.device, of_run(task.settings))
    with (
        stoppable(how) as limit,
        Recorder(*logs, name=task.name()) as recorder,
        ProgressBar(console=console) as bar,
    ):
        tell = in_units(len(missing), telling(bar, long), task.executor.where)
        record = to_recorder(recorder)

        def show(event: Event) -> None:
            nonlocal done
            tell(event)
            record(event)
            if event.record:
                done += 1
                if not console.is_terminal:
                    say(console, line_of(event.record, done, len(missing)))
            limit.check()

        task(show, limit.check)


def _remake(task: Run, console: Console) -> None:
    """Makes the memories again that are not there."""
    from cl_condense.common.progress import Progress  # noqa: PLC0415
    from cl_condense.common.progress_bar import ProgressBar  # noqa: PLC0415

    lost = task.lost()

    def how() -> str:
        return f"{len(lost) - len(task.lost())} of {len(lost)} memories made again; the same command goes on."

    with stoppable(how) as limit, ProgressBar("lost memories", console) as bar:

        def show(event: Event) -> None:
            done = 2 * event.share  # a half of a unit is condensing
            bar(Progress("condensing", done, len(lost), unit="steps"))
            limit.check()

        task.remake(show, limit.check)
