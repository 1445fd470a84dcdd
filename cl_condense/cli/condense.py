"""``cl-condense condense``: a data set into files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl_condense.cli import loading, shared, types
from cl_condense.cli.config import config, one_of
from cl_condense.cli.stopping import stoppable
from cl_condense.cli.useless import of_condense, refuse, written
from cl_condense.common.plain import Json

if TYPE_CHECKING:
    from cl_condense.common.progress import Progress
    from cl_condense.data.imageset import ImageSet
    from cl_condense.runs.config import CondenseConfig

_EXAMPLES = """
\b
Examples:
  cl-condense condense --method ddm --ipc 10
  cl-condense condense --dataset cifar10 --data ~/data \\
      --method idm --ipc 10 --out idm.safetensors
  cl-condense condense --dataset folder --data photos --size 64 --method dm
  cl-condense condense --method ddm --ipc 10 \\
      --from ddm.safetensors --iterations 500 --out more.safetensors
"""


@click.command(epilog=_EXAMPLES)
@config
@shared.data
@click.option(
    "--method",
    type=types.METHOD,
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
    "--from", "start", type=shared.PATH, help="Go on from this set, with as many images, for --iterations more."
)
@shared.pools
@shared.seed
@shared.device
@shared.logs
@shared.out("File of the set.  [default: one under condensed/]")
def condense(
    dataset: str, method: str, start: Path | None, out: Path | None, pools: Path | None, **given: Any
) -> None:
    """Condense a data set: the images, a picture of them, a record, and a TOML file that repeats it.

    Interrupted, the same command goes on where it was (after a crash, from the last half minute) and ends with
    the same images. Where its set is there, it says so.
    """
    from cl_condense.cli.remedies import foreseeing, of_condensing  # noqa: PLC0415
    from cl_condense.common.devices import pick_device  # noqa: PLC0415
    from cl_condense.common.files import writable  # noqa: PLC0415
    from cl_condense.common.progress import telling  # noqa: PLC0415
    from cl_condense.common.progress_bar import ProgressBar  # noqa: PLC0415
    from cl_condense.common.recorder import Recorder  # noqa: PLC0415
    from cl_condense.data.placing import placed  # noqa: PLC0415
    from cl_condense.runs.checks import check_condensing  # noqa: PLC0415 - they take seconds
    from cl_condense.runs.single import Job, check_path, run  # noqa: PLC0415
    from cl_condense.runs.ways import ways  # noqa: PLC0415

    logs, given = given.pop("logs"), one_of(given, "ipc", "max_bytes")
    refuse(written(), of_condense(method, dataset, given["network"], written()))
    if out:
        check_path(out)
    if pools:
        writable(pools, "--pools", folder=True)
    data, device = given.pop("data"), str(pick_device(given.pop("device")))
    given |= _as_many(start, given)
    real = loading.read(dataset, data, given)
    train, chosen = real.train, _config(dataset, method, real.train, given)
    check_condensing(chosen, train)
    path = out or Path("condensed") / f"{dataset}-{method}-ipc{chosen.ipc}-seed{chosen.seed}.safetensors"
    job = Job(chosen, path, start, device, data, real.preparation, real.notes, pools)
    if record := job.finished():
        click.echo(f"{path} is there, made by the same command: {record['images']} images; nothing to do")
        return
    unsaid = [*loading.lines(real.notes, job.files()["record"]), *ways([chosen])]
    # drawn from the start on: the first iteration may compile for minutes
    with (
        stoppable(lambda: "the same command goes on.") as limit,
        Recorder(*logs, name=job.name()) as recorder,
        ProgressBar(f"{method} on {dataset}") as bar,
    ):
        tell = telling(bar, recorder, foreseeing(device, of_condensing([chosen])))

        def on_iteration(progress: Progress) -> None:
            while unsaid:  # not before the first step: what cannot be done is one line, its error
                click.echo(unsaid.pop(0), err=True)
            tell(progress)
            limit.check()

        record = run(job, placed(train, device), on_iteration, shared.present())
    click.echo(
        f"{record['images']} images of {len(train.class_ids)} classes in {record['seconds']:.0f} s: {path}"
    )
    click.echo(f"picture: {job.files()['picture']}, record: {job.files()['record']}")


def _as_many(start: Path | None, given: Json) -> Json:
    """The images per class of the set that is gone on from, where nothing else is said."""
    from cl_condense.condensation.condensed_set import CondensedSet  # noqa: PLC0415

    if start is None or given["ipc"] or given["max_bytes"]:
        return {}
    counts = {*CondensedSet.load(start).counts}
    return {"ipc": counts.pop()} if len(counts) == 1 else {}


def _config(dataset: str, method: str, train: ImageSet, given: Json) -> CondenseConfig:
    """Of options, where those that are None are the data set's own, or the published."""
    from cl_condense.runs.checks import fingerprint, ipc_within  # noqa: PLC0415
    from cl_condense.runs.config import CondenseConfig  # noqa: PLC0415
    from cl_condense.runs.defaults import defaults  # noqa: PLC0415

    chosen = defaults(dataset, (method,), given["economy"]) | {k: v for k, v in given.items() if v is not None}
    made = CondenseConfig.of({**chosen, "dataset": dataset, "method": method, "data": fingerprint(train)})
    if given["max_bytes"] is None:
        return made
    return replace(made, ipc=ipc_within(given["max_bytes"], train, made.codec))
