"""What a process holds while it works on images that are more than it may hold.

    python benchmarks/beyond_memory.py --json beyond-memory.json

Writes a made-up data set of 64 x 64 pixels into a file, maps it, and does each piece of work in a process of
its own: condensations (dm, ddm, idm, and dance with its pool of networks trained on all images), a coreset that
trains on and looks at all of them, a class-incremental run, an evaluation beside networks trained on all of
them. Networks are tiny and iterations few: what is measured is memory.

Counted is anonymous memory (RssAnon, sampled every 10 ms): what a process holds of its own and nobody can take
back. A hard limit (RLIMIT_DATA) on what importing takes and ``--room`` more makes an allocation beyond it fail,
as a copy of the set is, or of its images as floats. Resident pages of the mapped file are the system's to take
back; ``peak_bytes`` has them too.
"""

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from cl_condense.common.peaks import peaks
from cl_condense.condensation.sources.pool import BlendedPool
from cl_condense.data.image_checks import Constants
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import build
from cl_condense.networks.contract import Features
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.runs.baselines import Parts, Real, reached
from cl_condense.runs.config import TrainConfig
from cl_condense.runs.incremental import Run
from cl_condense.runs.provenance import command_line, origin
from cl_condense.runs.run_config import RunConfig
from cl_condense.training.augment import DSA

SHAPE, CLASSES = (3, 64, 64), 10
NORMALISATION: Constants = ((0.5,) * 3, (0.25,) * 3)
SMALL = {"dataset": "made-up", "width": 1, "depth": 1, "networks": 1, "augment": "none", "evaluation": "plain"}


class Glance(nn.Module):
    """A network for which an epoch of millions of images takes minutes."""

    def __init__(self, classes):
        super().__init__()
        self.classifier = nn.Linear(12, classes)

    def features(self, x, taps=frozenset()):
        embedding = F.avg_pool2d(x, 32).flatten(1)
        return Features(embedding, self.classifier(embedding))

    def forward(self, x):
        return self.features(x).logits


def written(path, gib):
    """A file of that many GiB: the same random images again and again, each class a little brighter."""
    each = int(np.prod(SHAPE))
    n = int(gib * 2**30) // each // CLASSES
    block = np.random.default_rng(0).integers(0, 200, (1024, *SHAPE), dtype=np.uint8)
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (n * CLASSES, *SHAPE)}
        np.lib.format.write_array_header_1_0(file, header)
        for label in range(CLASSES):
            own = block + np.uint8(5 * label)
            for start in range(0, n, len(own)):
                file.write(own[: n - start].data)
    return n * CLASSES


def mapped(path):
    images = np.load(path, mmap_mode="r")
    labels = np.arange(CLASSES).repeat(len(images) // CLASSES)
    return ImageSet.of(images, labels, normalisation=NORMALISATION)


def condensing(name):
    def work(real, folder):
        recipe = build(name, iterations=4, real_per_class=64)
        if name == "dance":
            recipe = replace(
                recipe, source=BlendedPool(size=1, epochs=1, batch=256, cutmix=0.0, augment=DSA("none"))
            )
        network = Glance if name == "dance" else MakeConvNet(SHAPE, 4, 1)
        condense(real, recipe, ipc=2, network=network)

    return work


def selecting(real, folder):
    condense(real, build("herding", iterations=1), ipc=2, network=Glance)


def test_of(real):
    """A few images as test images of all classes."""
    images = real.only(real.class_ids[:2]).store.whole[:: len(real) // 200]
    return ImageSet.of(images, [i % CLASSES for i in range(len(images))], normalisation=NORMALISATION)


def running(real, folder):
    less = {"iterations": 2, "real_per_class": 64, "epochs": 1, "ipc": 2, "economy": False}
    settings = RunConfig.of(methods=("random", "dm"), steps=5, orders=1, **SMALL, **less)
    Run(settings, real, test_of(real), folder / "run")()


def evaluating(real, folder):
    made = condense(real, "random", ipc=2, network=Glance)
    config = TrainConfig(epochs=1, **SMALL)
    own = reached(made, real, config, "cpu").tolist()
    Real(real, test_of(real)).beside(made, own, config, "cpu", Parts())


WORK = {
    "dm": condensing("dm"),
    "ddm": condensing("ddm"),
    "idm": condensing("idm"),
    "dance": condensing("dance"),
    "herding": selecting,
    "run": running,
    "evaluate": evaluating,
}


def _status(*names):
    found = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [1024 * int(found[name].split()[0]) for name in names]


@contextmanager
def watched():
    """A dict that has the highest anonymous memory once the block is through."""
    over, found = threading.Event(), {"anonymous_bytes": 0}

    def look():
        while not over.wait(0.01):
            found["anonymous_bytes"] = max(found["anonymous_bytes"], *_status("RssAnon"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def done(name, path):
    """Does one piece of work; what is to be said of it."""
    begun = time.perf_counter()
    with watched() as found, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        real = mapped(path)
        WORK[name](real, Path(folder))
    seconds = round(time.perf_counter() - begun, 1)
    return {"work": name, "set_bytes": real.store.nbytes, **found, **peaks("cpu"), "seconds": seconds}


def apart(name, path, room):
    """The same in a process of its own."""
    options = "--one", name, "--file", str(path), "--room", str(room)
    command = [sys.executable, "-W", "ignore", __file__, *options]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        raise click.ClickException(f"{name} did not get through with {room} GiB")
    return json.loads(ended.stdout.splitlines()[-1])


@click.command()
@click.option("--gib", default=4.0, show_default=True, help="Size of the set.")
@click.option("--room", default=0.5, show_default=True, help="GiB beyond what importing takes.")
@click.option("--work", multiple=True, type=click.Choice([*WORK]), help="[default: all]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for the figures.")
@click.option("--one", multiple=True, type=click.Choice([*WORK]), hidden=True)
@click.option("--file", type=click.Path(path_type=Path), hidden=True)
def main(*, gib, room, work, json_file, one, file):
    if one:
        torch.set_num_threads(1)
        imported, data = _status("RssAnon", "VmData")
        limit = data + int(room * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        for name in one:
            click.echo(json.dumps({**done(name, file), "imported_bytes": imported, "limit_bytes": limit}))
        return
    head = {"kind": "beyond_memory", "command": command_line("python benchmarks/beyond_memory.py")}
    head, rows = head | origin("cpu") | {"seed": 0}, []
    with tempfile.TemporaryDirectory(dir=json_file.parent if json_file else None) as folder:
        path = Path(folder) / "made-up.npy"
        images = written(path, gib)
        for name in work or WORK:
            rows.append(apart(name, path, room))
            held, of = (f"{rows[-1][key] / 2**30:.2f} GiB" for key in ("anonymous_bytes", "set_bytes"))
            click.echo(f"{name}: {held} held of a set of {of}, {rows[-1]['seconds']} s")
            settings = {"images": images, "shape": SHAPE, "classes": CLASSES, "room_gib": room}
            if json_file:
                record = {**head, "settings": settings, "rows": rows}
                json_file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
