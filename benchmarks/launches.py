"""Operations that an iteration launches on a GPU, ours and the papers' loops (benchmarks/reference_loops.py).

    python benchmarks/launches.py --json launches.json

Counted on a GPU that is not there (benchmarks/stand_in.py), in iterations after the first: each operation of
torch that is neither a view nor an allocation, and how often the host would wait for the device. Most are
one kernel; cuDNN's convolutions, sorts and norms may take several, and a list of tensors at once
(``_foreach``) one for every few dozen. Ours draws for eight iterations at a time, so that one of eight has
more. Images are of 32 pixels, for which a ConvNet has three blocks; it has 4 filters here, which changes no
number; pools have two networks, which train for an epoch before the first iteration.

Beside it stands what an iteration takes on paper on an H100 at the papers' sizes (128 filters, the method's
real images a class): multiply-adds and the least bytes of the ConvNet's layers, each read and written once in
float32, as in benchmarks/speed.py, and of the statistics that a method reads of every block's maps.
"""

import dataclasses
import json
import random
from collections import Counter
from pathlib import Path

import click
import forms
import reference_loops
import torch
from ceilings import costs
from speed import SIDES, Job, condensing, passes
from stand_in import DEVICE, StandIn

from cl_condense.condensation.objectives.style import CONV_GRAM, GRAM
from cl_condense.condensation.sources.pool import BlendedPool, TrainedPool
from cl_condense.condensation.view import statistics_of
from cl_condense.runs.provenance import command_line, origin


@dataclasses.dataclass(frozen=True)
class Small(Job):
    """A job whose pools are soon trained."""

    def recipe(self):
        recipe = super().recipe()

        def less(source):
            pool = isinstance(source, TrainedPool | BlendedPool)
            return dataclasses.replace(source, size=2, epochs=1) if pool else source

        terms = tuple(dataclasses.replace(term, source=less(term.source)) for term in recipe.terms)
        return dataclasses.replace(recipe, source=less(recipe.source), terms=terms)


_H100 = {
    "launch_us": 5,
    "memory_tbs": 3.35,
    "float32_tflops": 67,
    "tf32_tflops": 494.7,
    "bfloat16_tflops": 989.4,
}
"""An H100 SXM by its data sheet, without sparsity; and a launch: an assumption, of torch's usual pace."""


def on_paper(job):
    """Floating-point operations and bytes of an iteration at the papers' sizes."""
    job = dataclasses.replace(job, width=128, real=0, images=10**6)
    net = reference_loops.ConvNet(job.shape, job.classes, job.width)
    work, traffic = costs(net, job.shape)
    sides = [job.size >> block for block in range(len(net.convs))]
    for statistic in statistics_of(term.objective for term in job.recipe().terms):
        traffic += sum(4 * job.width * side**2 for side in sides)
        if statistic.mean in (GRAM.mean, CONV_GRAM.mean):
            work += sum(job.width**2 * side**2 for side in sides)
    return {"flops": 2 * work * passes(job), "bytes": traffic * passes(job)}


def counted(job, side):
    """Launches and waits of each iteration after the first, and the launches of all by operation."""
    found, each = {"launches": [], "waits": []}, Counter()
    random.seed(0)  # from which the plain loops draw operations
    with StandIn() as gpu:
        once = condensing(job, side, DEVICE)
        once()
        for _ in range(job.iterations if side == "ours" else min(job.iterations, 2)):  # theirs take minutes
            gpu.clear()
            once()
            found["launches"].append(gpu.launches.total())
            found["waits"].append(len(gpu.waits))
            each += gpu.launches
    return found, each


def compare(job, most):
    """A row of the record; printed with the ``most`` frequent operations."""
    row = {"method": job.method, "classes": job.classes, "ipc": job.ipc, "paper": on_paper(job)}
    for side in SIDES:
        row[side] = None
        if side == "ours" or job.method in reference_loops.LOOPS:
            row[side], each = counted(job, side)
    shown = ", ".join(f"{name[5:]} {n / job.iterations:.0f}" for name, n in each.most_common(most))
    print(f"{job.method}, {job.classes} classes: {shown}" if most else f"{job.method}, {job.classes} classes")
    return row


@click.command()
@click.option("--method", "methods", multiple=True, help="[default: those with a plain loop]")
@click.option("--classes", "counts", multiple=True, type=click.IntRange(2), help="[default: 10, 100]")
@click.option("--ipc", type=click.IntRange(1), default=10, show_default=True, help="Images per class.")
@click.option(
    "--iterations",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Of ours; of a plain loop at most 2.",
)
@click.option("--most", type=click.IntRange(0), default=0, help="How many operations of ours to name.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all counts.")
def main(methods, counts, most, json_file, **sizes) -> None:
    """Operations launched in an iteration."""
    torch.set_num_threads(1)
    made = origin("cpu")
    settings = {**sizes, "size": 32, "width": 4, "real": 4, "images": max(20, sizes["ipc"])}
    try:
        jobs = [
            Small("cuda", threads=1, repeats=1, method=method, classes=classes, **settings)
            for method in methods or reference_loops.LOOPS
            for classes in counts or (10, 100)
        ]
        rows = [compare(job, most) for job in jobs if job.recipe()]
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    command = command_line("python benchmarks/launches.py")
    record = {
        "kind": "launches",
        "command": command,
        **made,
        "seed": 0,
        "settings": settings | {"paper": _H100},
        "rows": rows,
    }
    print(forms.launches(record), forms.roofline(record), sep="\n\n")
    if json_file:
        json_file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
