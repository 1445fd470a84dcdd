"""Ranks as processes: ``python rank_processes.py "SIZE WORK ... / SIZE WORK ..."``, one work after another.

They are children of one process that has imported everything, since that takes longer than the work. It prints
the ids of those of each work, and their exit codes.

    images FOLDER STOP NAME,...  Methods condensed; each ends once STOP calls told of it (0: never), and goes
                                 on from the checkpoints in FOLDER, which gets the images as SIZE.pt.
    command FOLDER WORDS ...     A command, whose streams go to FOLDER/RANK.out and RANK.err.
"""

import os
import shlex
import socket
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from cl_condense.cli.main import main
from cl_condense.common import checkpoint as checkpoints
from cl_condense.common.checkpoint import Checkpoint
from cl_condense.common.distributed import distributed
from cl_condense.common.ranks import ALONE
from cl_condense.condensation.sources.pool import BlendedPool
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.condensation.sources.training import DynamicLoop, InnerLoop, RealTraining
from cl_condense.data.datasets import load
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet

COUNTS = (9, 14, 9, 20, 12)
LESS = {
    type(source): source
    for source in (
        BlendedPool(size=3, epochs=2, batch=16),
        DynamicLoop(window=2, epochs=2, real_per_class=8),
        InnerLoop(outer=4, inner=2),
        ModelQueue(push_every=2, train_steps=2, size=4, batch=16),
        RealTraining(steps=4, images=64),
    )
}
SIDE = {"large": 20}
"""Of images; of the large ones networks of a CPU train one by one."""

NORM = {"mixing": "batch"}
"""Of networks, in which the images of a batch may depend on one another."""


class Enough(Exception):
    """Raised where work is to be stopped."""


def few(side):
    """Some digits of five classes, not equally many of each."""
    train = load("digits")[0]
    rows = torch.cat([torch.where(train.labels == c)[0][:n] for c, n in enumerate(COUNTS)])
    x = F.interpolate(train.take(rows), size=(side, side), mode="nearest")
    return ImageSet.of(x, train.labels[rows], normalisation=(train.mean, train.std))


def small(name):
    """A method with little to do."""
    made = build(name, "digits", iterations=6, real_per_class=8)
    pools = {term.source: replace(term.source, size=3, epochs=2) for term in made.terms if term.source}
    terms = tuple(replace(term, source=pools.get(term.source)) for term in made.terms)
    source = LESS.get(type(made.source), made.source)
    return replace(made, terms=terms, source=source, real_per_class=8)


def images(folder, stop, name, ranks=ALONE):
    """The images that a method makes, with learned labels; None where it was stopped.

    Words before its name say what is other.
    """
    *other, method = name.split()
    real = few(next((SIDE[word] for word in other if word in SIDE), 8))
    norm = next((NORM[word] for word in other if word in NORM), "instance")
    calls = 0

    def on_iteration(progress):
        nonlocal calls
        calls += 1
        if stop and calls >= stop:
            raise Enough

    network = MakeConvNet(real.shape, width=8, depth=2, norm=norm)
    checkpoint = Checkpoint(folder / f"{name}.checkpoint", {"name": name})
    try:
        made = condense(
            real,
            small(method),
            ipc=2,
            network=network,
            ranks=ranks,
            checkpoint=checkpoint,
            on_iteration=on_iteration,
        )
    except Enough:
        return None
    soft = made.soft_labels()
    return made.pixels if soft is None else torch.cat([made.pixels.flatten(), soft.flatten()])


def condensing(folder, stop, names):
    """What a rank does; its exit code."""
    ranks = distributed()
    if not ranks.leads:
        return ranks.follow()
    made = {name: images(Path(folder), int(stop), name, ranks) for name in names.split(",")}
    torch.save(made, Path(folder) / f"{ranks.size}.pt")
    ranks.end(0)
    return 0


def commanding(folder, *words):
    for number, name in enumerate(("out", "err"), 1):
        file = os.open(Path(folder) / f"{os.environ['RANK']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    try:
        main(list(words))
    except SystemExit as end:
        return end.code
    raise AssertionError("a command ends with a code")


def free_port():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def start(number, size, port, work):
    """The id of a process that is a rank."""
    child = os.fork()
    if child:
        return child
    place = {"RANK": number, "WORLD_SIZE": size, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()}
    code = 70
    try:
        code = work()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def ranks_of(size, kind, *words):
    """Exit codes of ranks that do something."""
    do, port = {"images": condensing, "command": commanding}[kind], free_port()
    children = [start(number, size, port, lambda: do(*words)) for number in range(size)]
    print(*children, flush=True)  # for who wants to end one
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


if __name__ == "__main__":
    torch.set_num_threads(1)
    few(8)  # what reads them is imported
    checkpoints._SOONEST = 0.05
    for line in sys.argv[1].split(" / "):
        size, *words = shlex.split(line)
        print(*ranks_of(int(size), *words), flush=True)
