"""A memory that shrinks: first images, multi-size sets, condensing again, at equal bytes, on held-out images.

    python benchmarks/shrinking.py --method dm --method ddm
    python benchmarks/shrinking.py --dataset cifar10 --data ~/data --fit 1000 --method dm --width 32

Condenses training images of all classes once a seed, and makes the memory smaller, size by size: it keeps the
first images of an ordinary set, or those of one that was made for it (`dm@multisize=0.5`), or condenses the
images that it has again. Prints for each size bytes, seconds, and the accuracy of three networks on other
training images; settings that are not given are those of `cl-condense run`. --json keeps every accuracy.
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import click
import torch

from cl_condense.data.datasets import load
from cl_condense.data.held_out import split
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.runs.build import method_for, network_for, training_for
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.runs.defaults import DEFAULTS
from cl_condense.runs.provenance import command_line, origin
from cl_condense.training.evaluate import score


def ways(method: str, share: float) -> dict[str, tuple[str, str]]:
    """What is compared: a method, and how its memory shrinks."""
    nested = f"{method}{',' if '@' in method else '@'}multisize={share}"
    return {"first": (method, "prefix"), "multisize": (nested, "prefix"), "recondense": (method, "recondense")}


def shrink(config, train, parts, sizes, how) -> list[dict]:
    """A memory's bytes, seconds and accuracies at each size, the first of which is what it begins with."""
    (fit, held), rows = parts, []
    memory = ClassMemory(
        sizes[0] * len(fit.class_ids),
        method=method_for(config),
        network=network_for(config, fit.shape),
        codec=config.codec,
        dataset=config.dataset,
        shrink=how,
        seed=config.seed,
        device="cpu",
    )
    for size in sizes:
        start = time.perf_counter()
        if memory.condensed is None:
            memory.update(fit)
        else:
            memory.resize(size * len(fit.class_ids))
        seconds = time.perf_counter() - start
        options = {"training": training_for(train), "networks": train.networks, "keys": (config.seed,)}
        found = score(*memory.decode(), held, network=network_for(train, fit.shape), **options)
        accuracies = found.double().tolist()
        rows.append({"ipc": size, "bytes": memory.nbytes, "seconds": seconds, "accuracies": accuracies})
    return rows


def show(name: str, seeds: list[list[dict]]) -> None:
    """Prints a line a size."""
    for rows in zip(*seeds, strict=True):
        pool = 100 * torch.tensor([row["accuracies"] for row in rows]).flatten()
        seconds = sum(row["seconds"] for row in rows) / len(rows)
        print(
            f"{name}, {rows[0]['ipc']} images a class, {rows[0]['bytes']} bytes: {pool.mean():.1f} ± "
            f"{pool.std(unbiased=False):.1f} (n = {len(pool)}), {seconds:.2f} s",
            flush=True,
        )


@click.command()
@click.option("--dataset", default="digits", show_default=True)
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--method", "methods", multiple=True, default=["dm"], show_default=True)
@click.option("--fit", default=100, show_default=True, help="Images of each class to condense.")
@click.option("--held", type=int, help="Images of each class to evaluate on.  [default: the rest, at most 200]")
@click.option("--ipc", default=10, show_default=True, help="Images of each class at first.")
@click.option("--sizes", default="5,2,1", show_default=True, help="To which it shrinks, falling.")
@click.option("--share", default=0.5, show_default=True, help="Of multisize.")
@click.option("--iterations", type=int)
@click.option("--real-per-class", type=int)
@click.option("--epochs", type=int)
@click.option("--width", type=int)
@click.option("--seeds", default=2, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all accuracies.")
def main(methods, sizes, share, seeds, json_file, **given) -> None:
    torch.set_num_threads(1)
    made = origin("cpu")
    fit, held = given.pop("fit"), given.pop("held")
    dataset = given["dataset"]
    images = load(dataset, given.pop("data"))[0]
    held = held or min(200, min(images.counts) - fit)
    values = (
        {"dataset": dataset} | DEFAULTS.get(dataset, {}) | {k: v for k, v in given.items() if v is not None}
    )
    config, train = CondenseConfig.of(values), TrainConfig.of(values)
    parts, steps = split(images, fit, held), [config.ipc, *map(int, sizes.split(","))]
    settings = values | {"methods": methods, "fit": fit, "held": held, "sizes": steps, "share": share}
    head = {"kind": "shrinking", "command": command_line("python benchmarks/shrinking.py"), **made, "seed": 0}
    record = head | {"settings": settings, "rows": []}
    for method in methods:
        for name, (each, how) in ways(method, share).items():
            own = [replace(config, method=each, seed=seed) for seed in range(seeds)]
            found = [shrink(c, train, parts, steps, how) for c in own]
            record["rows"].append({"method": method, "way": name, "seeds": found})
            show(f"{method}, {name}", found)
            if json_file:  # after every way, since a stopped comparison does not go on
                json_file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
