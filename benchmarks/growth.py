"""What ImageNet-1K at 64 pixels, 50 images a class, takes of ranks from 1 to 64: computed from measured pieces.

    python benchmarks/growth.py measure --json growth.json
    python benchmarks/growth.py table --pieces docs/records/growth.json

Measured, in seconds of one core, are an iteration of one class and of two (of made-up images, a fifth of the
real and of the synthetic ones that a class has), with new real images and with kept ones, and the training of a
network per image; and counted are the bytes that a class adds to what tensors hold. All else is arithmetic,
``of_ranks``, and its assumptions are ``ASSUMED``.
"""

import gc
import json
import os
import time
from dataclasses import replace
from math import ceil
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.sources.pool import BlendedPool
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.economy import economical
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.runs.provenance import command_line, origin

DATASET, IMAGES, CLASSES, IPC, SHAPE = "imagenet1k", 1_281_167, 1000, 50, (3, 64, 64)
METHODS = ("dm", "ddm", "idm", "dance")
RANKS = (1, 2, 4, 8, 16, 32, 64)
ASSUMED = """\
- A rank is one core of the processor that was measured; ranks do not slow one another down.
- A class costs what one more class cost in the measurement, an iteration without classes what was left.
- A class of five times the images, real and synthetic, costs and holds five times as much.
- Classes are shared out evenly: the slowest rank has one in ceil(1000 / ranks).
- Of networks in a pool each rank trains ceil(size / ranks), of a queue's two in ten iterations ceil(2 / ranks).
- What travels is as long on its way as it takes at 1 GB a second, one message after another.
- The images lie in a file that every rank maps: they take no memory that the system cannot take back.
- Beside what is counted a rank takes what importing takes, and the maps of the classes in passing."""
_BYTES_A_SECOND = 1e9
_EACH = 64  # images of a class that is measured
_TIMES = 2  # each is measured, of which the shorter counts
_PART = 5  # of the real and synthetic images of a class one in so many is measured


def recipe_of(name):
    """As the command condenses ImageNet-1K: by economy where the method has one."""
    return economical(build(name, DATASET)).settled(IPC)


def made_up(classes, each):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (classes * each, *SHAPE), dtype=torch.uint8, generator=generator)
    return ImageSet.of(pixels, torch.arange(classes * each) // each)


def core_seconds(work):
    begun = time.process_time()
    work()
    return time.process_time() - begun


def held():
    """Bytes of all tensors there are, each storage once."""
    found = {}
    for each in gc.get_objects():
        if issubclass(type(each), torch.Tensor):  # isinstance would ask lazy modules
            storage = each.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


def iterations(recipe, classes, width):
    """Core seconds of an iteration with new and with kept real images, bytes, seconds of a pool's training."""
    real = made_up(classes, _EACH)
    before = held()
    job = Condensation(real, recipe, ipc=IPC // _PART, network=MakeConvNet(SHAPE, width))
    prepared = core_seconds(job.prepare)
    seconds = [core_seconds(job.step) for _ in range(2 * _TIMES)]  # new and kept ones take turns
    added = held() - before
    new, kept = (min(seconds[::2]), min(seconds[1::2])) if recipe.reuse > 1 else (min(seconds),) * 2
    return {"new": new, "kept": kept, "bytes": added, "prepared": prepared}


def pieces_of(name, width):
    """What is measured of a method: of one class more, and of none."""
    recipe = recipe_of(name)
    source = recipe.source
    if isinstance(source, ModelQueue):  # its training is added up by itself
        source = replace(source, train_steps=1, batch=1, trained=1)
    if isinstance(source, BlendedPool):
        source = replace(source, size=1, epochs=1, batch=64)
    less = replace(recipe, source=source, real_per_class=max(1, recipe.real_per_class // _PART), quiet=None)
    less = replace(less, reuse=min(less.reuse, 2), iterations=2 * _TIMES + 1)
    less = replace(less, syn_per_class=less.syn_per_class and less.syn_per_class // _PART)
    one, two = (iterations(less, classes, width) for classes in (1, 2))
    own = {key: max(two[key] - one[key], 0.0) for key in ("new", "kept", "bytes")}
    rest = {key: max(one[key] - own[key], 0.0) for key in own}
    row = {"method": name, "of_a_class": {k: _PART * v for k, v in own.items()}, "of_none": rest}
    if isinstance(source, BlendedPool):
        row["training_an_image"] = two["prepared"] / (2 * _EACH)
    return row


def measured(width):
    torch.set_num_threads(1)
    iterations(replace(recipe_of("dm"), real_per_class=2, quiet=None), 1, 8)  # warms up
    return [pieces_of(name, width) for name in METHODS]


def seconds_of(row, classes, recipe):
    """All iterations with so many classes on a core."""
    own, rest = row["of_a_class"], row["of_none"]
    new, kept = (rest[key] + classes * own[key] for key in ("new", "kept"))
    if recipe.reuse == 1:
        return recipe.iterations * new
    real, more = max(new - kept, 0.0) / recipe.reuse, 0.0
    if recipe.quiet:
        more = recipe.quiet.share * (recipe.quiet.real_per_class / recipe.real_per_class - 1)
    return recipe.iterations * (kept + real * (1 + more))


def of_ranks(record, name, ranks):
    """Hours, GiB that a rank holds, and GB that travel, of a method over ranks."""
    rows = {row["method"]: row for row in record["rows"]}
    row, recipe = rows[name], recipe_of(name)
    classes, weights = ceil(CLASSES / ranks), 4 * record["settings"]["weights"]
    image = rows["dance"]["training_an_image"]
    seconds = seconds_of(row, classes, recipe)
    held = row["of_none"]["bytes"] + classes * row["of_a_class"]["bytes"]
    pixels = 4 * CLASSES * IPC * SHAPE[0] * SHAPE[1] * SHAPE[2]
    travels = pixels * (ranks - 1) / ranks
    nets = recipe.source
    if isinstance(nets, BlendedPool):
        seconds += ceil(nets.size / ranks) * nets.epochs * IMAGES * image
        travels += nets.size * weights * (ranks - 1)
        held += 2 * nets.size * weights
    if isinstance(nets, ModelQueue):
        turns = recipe.iterations / nets.steps
        seconds += turns * ceil(nets.trained / ranks) * nets.train_steps * nets.batch * image
        travels += turns * nets.trained * 2 * weights * (ranks - 1)
        held += 2 * nets.size * weights
    seconds += travels / _BYTES_A_SECOND if ranks > 1 else 0
    return {"hours": seconds / 3600, "gib": held / 2**30, "gb": travels / 1e9 if ranks > 1 else 0.0}


def shown(record, ranks=RANKS):
    """A row a method and what it takes, a column a number of ranks."""
    rows = []
    for name in (row["method"] for row in record["rows"]):
        cells = [of_ranks(record, name, n) for n in ranks]
        for what, key, digits in (("hours", "hours", 1), ("GiB a rank", "gib", 1), ("GB sent", "gb", 0)):
            rows.append(
                [name, what, *(f"{cell[key]:,.{0 if cell[key] >= 100 else digits}f}" for cell in cells)]
            )
    return ["method", "ranks", *map(str, ranks)], rows


@click.group()
def main():
    """Growth of ImageNet-1K over ranks."""


@main.command()
@click.option("--width", default=128, show_default=True, help="Filters of the ConvNet.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), required=True)
def measure(width, json_file):
    """Measures the pieces; takes minutes."""
    made, load = origin("cpu"), os.getloadavg()[0]
    weights = sum(p.numel() for p in MakeConvNet(SHAPE, width)(CLASSES).parameters())
    rows = measured(width)
    settings = {"width": width, "ipc": IPC, "shape": SHAPE, "weights": weights}
    settings["load"] = [load, os.getloadavg()[0]]
    head = {"kind": "growth", "command": command_line("python benchmarks/growth.py measure"), **made}
    record = {**head, "threads": 1, "seed": 0, "settings": settings, "rows": rows}
    json_file.write_text(json.dumps(record, indent=1) + "\n")


@main.command()
@click.option("--pieces", type=click.Path(path_type=Path, exists=True), required=True)
def table(pieces):
    """Says what ranks take."""
    head, rows = shown(json.loads(pieces.read_text()))
    drawn = Table(*head)
    for row in rows:
        drawn.add_row(*row)
    Console().print(drawn)
    click.echo(ASSUMED)


if __name__ == "__main__":
    main()
