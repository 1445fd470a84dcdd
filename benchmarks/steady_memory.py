"""Whether memory stays flat: resident bytes while a memory takes experiences, and while a set is condensed.

    python benchmarks/steady_memory.py --json steady-memory.json

On digits, at a size at which an experience takes a moment: a ClassMemory and a CondensedBuffer take two classes
at a time, five pairs in turn, again and again, and dm condenses one image a class for many iterations. What the
process has resident (Linux says it) is sampled after each experience, and every so many iterations; --json has
every sample. The table has the growth after the first tenth of the samples, in which allocators warm up: the
slope of a line by least squares, and the most that a sample is above the first one that counts.
"""

import json
import resource
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace

import click
import forms
import torch
from avalanche.benchmarks.utils import as_classification_dataset
from torch.utils.data import TensorDataset

from cl_condense import ClassMemory, CondensedBuffer, ImageSet, MakeConvNet, condense, load
from cl_condense.runs.provenance import command_line, origin

PAIRS = tuple((c, c + 1) for c in range(0, 10, 2))


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def experiences(train):
    """The images of each pair of classes, for a memory and for a buffer."""
    parts = [train.only(pair) for pair in PAIRS]
    floats = [ImageSet.of(part.take(torch.arange(len(part))), part.labels) for part in parts]
    return floats, [_experience(part) for part in floats]


def _experience(images):
    """To a buffer an experience is what has a dataset."""
    dataset = TensorDataset(images.images, images.labels)
    dataset.targets = images.labels.tolist()
    return SimpleNamespace(dataset=as_classification_dataset(dataset))


def taking(take, parts, number):
    """Resident bytes after each of so many experiences."""
    found = []
    for _, part in zip(range(number), cycle(parts), strict=False):
        take(part)
        found.append(resident())
    return [*range(1, number + 1)], found


def condensing(train, network, iterations, every):
    """The same every so many iterations of a condensation."""
    at, found = [], []

    def sample(progress) -> None:
        if progress.done % every == 0:
            at.append(int(progress.done))
            found.append(resident())

    condense(train, "dm", ipc=1, network=network, iterations=iterations, real_per_class=16, on_iteration=sample)
    return at, found


@click.command()
@click.option("--experiences", "number", default=200, show_default=True)
@click.option("--iterations", default=20_000, show_default=True)
@click.option("--every", default=100, show_default=True, help="Iterations between samples.")
@click.option("--width", default=8, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all samples.")
def main(number, iterations, every, width, json_file) -> None:
    torch.set_num_threads(1)
    made = origin("cpu")
    train, _ = load("digits")
    network = MakeConvNet(train.shape, width)
    options = {"method": "dm", "iterations": 20, "network": network, "device": "cpu"}
    memory, buffer = (kind(40, **options) for kind in (ClassMemory, CondensedBuffer))
    parts, shown = experiences(train)
    rows = []
    for what, unit, (at, found) in (
        ("ClassMemory", "experiences", taking(memory.update, parts, number)),
        ("CondensedBuffer", "experiences", taking(lambda e: buffer.post_adapt(None, e), shown, number)),
        ("condense", "iterations", condensing(train, network, iterations, every)),
    ):
        rows.append({"what": what, "unit": unit, "at": at, "resident_bytes": found})
    settings = {"dataset": "digits", "width": width, "method": "dm", "iterations_each": options["iterations"]}
    head = {"kind": "steady_memory", "command": command_line("python benchmarks/steady_memory.py")}
    record = {**head, **made, "seed": 0, "settings": settings, "rows": rows}
    print(forms.steady_memory(record))
    if json_file:
        json_file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
