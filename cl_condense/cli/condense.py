"""``cl-condense condense``: a data set into files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl_condense.cli import loading, names, shared, types
from cl_condense.cli.config import config, one_of
from cl_condense.cli.stopping import stoppable
from cl_condense.cli.useless import of_condense, refuse, written
from cl_condense.common.plain import Json

if TYPE_CHECKING:
    from cl_condense.common.progress import Progress
    from cl_condense.data.imageset import ImageSet
    from cl_condense.runs.config import CondenseConfig
    from cl_condense.runs.single import Job

_EXAMPLES = """
\b
Examples:
  cl-condense condense --method ddm --ipc 10
  cl-condense condense --dataset cifar10 --data ~/data \\
      --method idm --ipc 10 --out idm.safetensors
  cl-condense condense --dataset folder --data photos --size 64 --method dm
  cl-condense condense --method ddm --ipc 10 \\
      --from ddm.safetensors --iterations 500 --out more.safetensors
  cl-condense condense --method ddm --ipc 20 \\
      --from ddm.safetensors --only-new --out twenty.safetensors
  cl-condense condense --method dm --sweep lr=0.1,1 --checkpoints 50,100
"""


@click.command(epilog=_EXAMPLES)
@config
@shared.data
@click.option(
    "--method",
    type=names.METHOD,
    default="ddm",
    show_default=True,
    help="As for run: cl-condense methods lists them.",
)
@click.option("--ipc", type=types.COUNT, help="Images per class.  [default: digits 2, cifar100 20, else 10]")
@click.option("--bytes", "max_bytes", type=types.COUNT, help="Bytes in all instead, of images and labels.")
@shared.storing
@shared.iterations
@shared.real_per_class
@shared.computing
@shared.network
@click.option(
    "--from",
    "start",
    type=shared.PATH,
    help="Go on from the images of this set, for --iterations more: with more classes, more images of each "
    "(--ipc) or another method too. Exactly, where --keep-state left its state and nothing else changes.",
)
@click.option(
    "--only-new", is_flag=True, help="With --from: its images stay as they are, beside those that are new."
)
@click.option(
    "--keep-state", is_flag=True, help="Leave the checkpoint beside the set, so that --from goes on exactly."
)
@shared.pools
@shared.seed
@shared.device
@shared.sweeps
@shared.checkpoints
@shared.logs
@shared.out("File of the set, or the folder of several.  [default: condensed/]")
def condense(dataset: str, method: str, out: Path | None, pools: Path | None, **given: Any) -> None:
    """Condense a data set: the images, a picture of them, a record, and a TOML file that repeats it.

    Interrupted, the same command goes on where it was (after a crash, from the last half minute) and ends with
    the same images. Where its set is there, it says so. With --sweep it makes a set of each value; with
    --checkpoints it keeps what the set was on the way, after N iterations in NAME-afterN.safetensors.
    """
    from cl_condense.common.devices import pick_device  # noqa: PLC0415
    from cl_condense.common.files import writable  # noqa: PLC0415
    from cl_condense.runs.single import Job  # noqa: PLC0415 - they take seconds

    sweeps, given = given.pop("sweeps"), one_of(given, "ipc", "max_bytes")
    logs, start, moments = (given.pop(name) for name in ("logs", "start", "checkpoints"))
    flags = {name: given.pop(name) for name in ("only_new", "keep_state")}
    methods, _ = shared.swept([method], sweeps)
    for each in methods:
        refuse(written(), of_condense(each, dataset, given["network"], written()))
    _check_out(out, len(methods))
    if pools:
        writable(pools, "--pools", folder=True)
    data, device = given.pop("data"), str(pick_device(given.pop("device")))
    given |= _as_many(start, given)
    real = loading.read(dataset, data, given)
    prepared = real.preparation, real.notes
    jobs = []
    for each in methods:
        chosen, kept = _config(dataset, each, real.train, given, moments)
        name = f"{dataset}-{each}-ipc{chosen.ipc}-seed{chosen.seed}.safetensors"
        path = out if out and len(methods) == 1 else (out or Path("condensed")) / name
        jobs.append(Job(chosen, path, start, device, data, *prepared, pools, kept, **flags))
    for job in jobs:
        _do(job, real.train, logs)


def _check_out(out: Path | None, sets: int) -> None:
    """Raises ValueError where no set, or several of them, can be written."""
    from cl_condense.common.files import writable  # noqa: PLC0415
    from cl_condense.runs.single import check_path  # noqa: PLC0415

    if out and sets == 1:
        check_path(out)
    elif out and out.suffix == ".safetensors":
        raise ValueError(f"--out {out}: {sets} sets come of the sweep: name a folder")
    elif out:
        writable(out, "--out", folder=True)


def _do(job: Job, train: ImageSet, logs: tuple[str, ...]) -> None:
    """Condenses, unless it is done, and says what there is."""
    from cl_condense.cli.remedies import foreseeing, of_condensing  # noqa: PLC0415
    from cl_condense.common.progress import telling  # noqa: PLC0415
    from cl_condense.common.progress_bar import ProgressBar  # noqa: PLC0415
    from cl_condense.common.recorder import Recorder  # noqa: PLC0415
    from cl_condense.data.placing import placed  # noqa: PLC0415
    from cl_condense.runs.beginning import beginning  # noqa: PLC0415
    from cl_condense.runs.single import run  # noqa: PLC0415
    from cl_condense.runs.ways import ways  # noqa: PLC0415

    path, c = job.path, job.config
    if record := job.finished():
        click.echo(f"{path} is there, made by the same command: {record['images']} images; nothing to do")
        return
    begun = beginning(c, train, job.start, only_new=job.only_new).said(job.start)
    unsaid = [*loading.lines(job.notes, job.files()["record"]), *ways([c]), *begun]
    # drawn from the start on: the first iteration may compile for minutes
    with (
        stoppable(lambda: "the same command goes on.") as limit,
        Recorder(*logs, name=job.name()) as recorder,
        ProgressBar(f"{c.method} on {c.dataset}") as bar,
    ):
        tell = telling(bar, recorder, foreseeing(job.device, of_condensing([c])))

        def on_iteration(progress: Progress) -> None:
            while unsaid:  # not before the first step: what cannot be done is one line, its error
                click.echo(unsaid.pop(0), err=True)
            tell(progress)
            limit.check()

        record = run(job, placed(train, job.device), on_iteration, shared.present())
    classes = len(train.class_ids)
    click.echo(f"{record['images']} images of {classes} classes in {record['seconds']:.0f} s: {path}")
    if job.checkpoints:
        click.echo(f"on the way: {path.stem}-afterN.safetensors, N {', '.join(map(str, job.checkpoints))}")
    click.echo(f"picture: {job.files()['picture']}, record: {job.files()['record']}")


def _as_many(start: Path | None, given: Json) -> Json:
    """The images per class of the set that is gone on from, the most it has, where nothing else is said."""
    from cl_condense.condensation.condensed_set import CondensedSet  # noqa: PLC0415

    if start is None or given["ipc"] or given["max_bytes"]:
        return {}
    return {"ipc": max(CondensedSet.load(start).counts)}


def _config(
    dataset: str, method: str, train: ImageSet, given: Json, moments: str | None
) -> tuple[CondenseConfig, tuple[int, ...]]:
    """Of options, where those that are None are the data set's own, or the published; and the checkpoints."""
    from cl_condense.runs.checks import check_condensing, fingerprint, ipc_within  # noqa: PLC0415
    from cl_condense.runs.config import CondenseConfig  # noqa: PLC0415
    from cl_condense.runs.defaults import defaults  # noqa: PLC0415
    from cl_condense.runs.moments import checkpoints  # noqa: PLC0415

    chosen = defaults(dataset, (method,), given["economy"]) | {k: v for k, v in given.items() if v is not None}
    made = CondenseConfig.of({**chosen, "dataset": dataset, "method": method, "data": fingerprint(train)})
    if given["max_bytes"] is not None:
        made = replace(made, ipc=ipc_within(given["max_bytes"], train, made.codec))
    check_condensing(made, train)
    return made, checkpoints(made, moments.split(",") if moments else ())
