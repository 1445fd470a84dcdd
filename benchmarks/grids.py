"""A table on Ray against the same in one process: seconds by the clock, and whether the records are the same.

    OMP_NUM_THREADS=1 python benchmarks/grids.py --data DIR --json grids.json

Twelve cells of DDM's table 1 on CIFAR-10, cut short: four methods at 1, 10 and 50 images per class. They are
done in this process, one after another on one CPU thread, and by so many workers of Ray with a thread each. The
time of Ray has its start and its end in it. What the machine had to do besides is told by the load before each.
"""

import json
import logging
import os
import tempfile
import time
from functools import cache
from pathlib import Path

import click
import forms
import torch
from rich.console import Console

from cl_condense import load
from cl_condense.common.stopping import Limit
from cl_condense.papers.bench import Bench
from cl_condense.papers.campaign import Campaign
from cl_condense.papers.published import published
from cl_condense.runs.provenance import command_line, origin
from cl_condense.runs.ray.address import quiet
from cl_condense.runs.ray.executor import Ray
from cl_condense.runs.tasks import Local

METHODS = ("random", "herding", "dm", "ddm")
IPCS = (1, 10, 50)


def grid(bench, cells, workers):
    """Seconds in which the cells are done, by workers of Ray or, without any, here."""
    begun = time.perf_counter()
    if workers:
        quiet()
        import ray  # noqa: PLC0415 - it takes a second, which is Ray's

        silent = {"log_to_driver": False, "logging_level": logging.CRITICAL, "include_dashboard": False}
        ray.init("local", num_cpus=workers, **silent)
    executor, order = (Ray(), "dearest") if workers else (Local(), "printed")
    assert Campaign(bench, cells, Limit(), order, console=Console(quiet=True), executor=executor)() == 0
    if workers:
        ray.shutdown()
    return time.perf_counter() - begun


def accuracies(bench, cells):
    """All accuracies, by cell."""
    results = bench.results(cells)
    return [bench.ours(cell, results).tolist() for cell in cells]


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of CIFAR-10's files.")
@click.option("--workers", type=int, multiple=True, default=(1, 2), show_default=True, help="Repeat: of Ray.")
@click.option("--iterations", default=100, show_default=True)
@click.option("--width", default=32, show_default=True)
@click.option("--epochs", default=60, show_default=True)
@click.option("--networks", default=2, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all figures.")
def main(data, workers, json_file, **settings) -> None:
    torch.set_num_threads(1)
    made = origin("cpu")
    cells = [c for ipc in IPCS for method in METHODS for c in published("ddm-1", "cifar10", ipc, method)]
    rows, first = [], None
    images = cache(lambda name: load(name, data))
    images("cifar10")
    with tempfile.TemporaryDirectory() as folder:
        for number in (0, *workers):
            bench = Bench(Path(folder) / str(number), images, {"economy": True, "device": "cpu", **settings})
            busy = os.getloadavg()[0]
            seconds = grid(bench, cells, number)
            found = accuracies(bench, cells)
            first = first or found
            row = {"workers": number, "cells": len(cells), "seconds": seconds, "load": busy}
            rows.append({**row, "equal": found == first})
            print(forms.grids({"rows": rows[-1:]}).splitlines()[-1], flush=True)
    head = {"kind": "grids", "command": command_line("python benchmarks/grids.py")}
    record = {**head, **made, "seed": 0, "settings": settings, "rows": rows}
    print(forms.grids(record))
    if json_file:
        json_file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
