"""``cl-condense evaluate``: what networks trained on condensed sets reach."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl_condense.cli import loading, names, shared, types
from cl_condense.cli.config import config
from cl_condense.cli.console import count
from cl_condense.cli.stopping import stoppable
from cl_condense.cli.useless import of_convnet, of_data, of_evaluation, refuse, written
from cl_condense.common.plain import Json

if TYPE_CHECKING:
    from cl_condense.common.progress import OnProgress, Progress

_EXAMPLES = """
\b
Examples:
  cl-condense evaluate ddm.safetensors
  cl-condense evaluate idm.safetensors res_DM_CIFAR10_ConvNet_10ipc.pt \\
      --dataset cifar10 --data ~/data
  cl-condense evaluate idc.pt --factor 2 --space unit \\
      --dataset cifar10 --data ~/data
  cl-condense evaluate mtt/images_best.pt --space whitened \\
      --dataset cifar10 --data ~/data
  cl-condense evaluate ddm.safetensors --baselines
"""


@click.command(epilog=_EXAMPLES)
@config
@click.argument("files", nargs=-1, required=True, type=shared.PATH)
@shared.data
@click.option(
    "--factor",
    type=types.COUNT,
    help="Each image holds N x N smaller ones.  [default: as the file says, else 1]",
)
@click.option(
    "--space",
    type=names.SPACE,
    default="auto",
    show_default=True,
    help="Values of a file of others: normalised, unit (0 to 1, black to white), pixels (0 to 255), whitened "
    "(by ZCA, and then the test images too), or auto.",
)
@click.option(
    "--pair", type=types.COUNT, help="Which [images, labels] of a .pt file, from 1.  [default: the last]"
)
@click.option(
    "--networks",
    type=types.COUNT,
    default=5,
    show_default=True,
    help="Fresh networks trained on each set.",
)
@shared.epochs
@shared.evaluation
@shared.network
@shared.training_precision
@shared.compiling
@shared.seed
@shared.device
@shared.logs
@click.option(
    "--weights",
    type=shared.PATH,
    help="Keep those of the first network, trained on the only FILE, in this .safetensors file.",
)
@click.option(
    "--baselines",
    is_flag=True,
    help="Train on the whole training set and on as many random images too: DD-Ranking's HLR and IOR.",
)
@click.option("--records", type=shared.PATH, help="Add a line for each set to this JSON lines file.")
def evaluate(files: tuple[Path, ...], dataset: str, data: Path | None, download: bool, **given: Any) -> None:
    """Train fresh networks on condensed sets and test them on the data set's test images.

    FILES are sets that `condense` wrote, published .pt and .npz sets, folders of images by class, or of Hugging
    Face's layout. Classes go by their names where a set has names, else by their numbers; each line says what
    had to be assumed of a file, and whether its labels are soft.
    With --records, the same command goes on where it was interrupted, and what the file has is not done again.
    """
    from cl_condense.cli.remedies import foreseeing  # noqa: PLC0415
    from cl_condense.common.devices import pick_device  # noqa: PLC0415
    from cl_condense.common.progress import telling  # noqa: PLC0415
    from cl_condense.common.progress_bar import ProgressBar  # noqa: PLC0415
    from cl_condense.runs.evaluate_sets import evaluate_files  # noqa: PLC0415

    refuse(written(), of_data(dataset) | of_convnet(given["network"]) | of_evaluation(given["evaluation"]))
    done, device = 0, str(pick_device(given["device"]))

    def how() -> str:
        kept = "the same command goes on" if given["records"] else "without --records FILE nothing is kept"
        return f"{done} of {count(len(files), 'set')} evaluated; {kept}."

    with stoppable(how) as limit, ExitStack() as bars:

        def watch(name: str) -> OnProgress:
            bar = ProgressBar(name)
            bars.callback(bar.close)
            tell = telling(bar, foreseeing(device, "shorter with fewer --epochs or --networks"))

            def on_progress(progress: Progress) -> None:
                tell(progress)
                limit.check()

            return on_progress

        prepared = loading.preparation(given)
        read: Json = {
            "preparation": prepared,
            "on_read": lambda notes: loading.say(notes, given["records"] or ""),
        }
        for line in evaluate_files(files, dataset, data, download, watch=watch, **read, **given):
            click.echo(line)
            done += 1
