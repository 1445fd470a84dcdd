"""Operations that an iteration launches on a GPU, ours and the papers' loops (benchmarks/reference_loops.py).

    python benchmarks/launches.py --json launches.json

Counted on a GPU that is not there (benchmarks/stand_in.py), in iterations after the first: each operation of
torch that is neither a view nor an allocation, and how often the host would wait for the device. Most are
one kernel; cuDNN's convolutions, sorts and norms may take several, and a list of tensors at once
(``_foreach``) one for every few dozen. Images are of 8 pixels and networks of 4 filters in three blocks, which
changes no number; pools have two networks, which train for an epoch before the first iteration.
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
from speed import SIDES, Job, condensing
from stand_in import DEVICE, StandIn

from cl_condense.condensation.sources.pool import BlendedPool, TrainedPool
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


def counted(job, side):
    """Launches and waits of each iteration after the first, and the launches of all by operation."""
    found, each = {"launches": [], "waits": []}, Counter()
    random.seed(0)  # from which the plain loops draw operations
    with StandIn() as gpu:
        once = condensing(job, side, DEVICE)
        once()
        for _ in range(job.iterations):
            gpu.clear()
            once()
            found["launches"].append(gpu.launches.total())
            found["waits"].append(len(gpu.waits))
            each += gpu.launches
    return found, each


def compare(job, most):
    """A row of the record; printed with the ``most`` frequent operations."""
    row = {"method": job.method, "classes": job.classes, "ipc": job.ipc}
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
@click.option("--iterations", type=click.IntRange(1), default=3, show_default=True)
@click.option("--most", type=click.IntRange(0), default=0, help="How many operations of ours to name.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all counts.")
def main(methods, counts, most, json_file, **sizes) -> None:
    """Operations launched in an iteration."""
    torch.set_num_threads(1)
    made = origin("cpu")
    settings = {**sizes, "size": 8, "width": 4, "real": 4, "images": max(20, sizes["ipc"])}
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
    record = {"kind": "launches", "command": command, **made, "seed": 0, "settings": settings, "rows": rows}
    print(forms.launches(record))
    if json_file:
        json_file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
