"""Compare methods on a held-out part of the training images: to choose between them without the test set.

    python benchmarks/held_out.py --method dm --method ddm --method later_ddm
    python benchmarks/held_out.py --dataset cifar10 --data ~/data --fit 300 --ipc 10 --method dm --method ddm
    python benchmarks/held_out.py --dataset cifar10 --data ~/data --economy --method dm --method dm@lr=5

Condenses some training images of each class once a seed, trains --networks networks on each result, and prints
the mean and std of their accuracies on other training images, for networks that train with augmentation and
plainly, for the same number of epochs, and the seconds of a condensation. Settings that are not given are those
of `cl-condense run`, but for economy, which is for --economy. --json keeps every accuracy.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click
import torch

from cl_condense.data.datasets import load
from cl_condense.data.held_out import split
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import condense
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.runs.build import method_for, training_for
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.runs.defaults import DEFAULTS, EPOCHS
from cl_condense.runs.provenance import command_line, origin
from cl_condense.training.evaluate import score


def accuracies(
    config: CondenseConfig,
    trains: list[TrainConfig],
    parts: tuple[ImageSet, ImageSet],
    seed: int,
    changes: dict[str, float],
) -> tuple[torch.Tensor, float]:
    """Accuracies [way to train, network], and the seconds that condensation took."""
    fit, held = parts
    network = MakeConvNet(fit.shape, trains[0].width, trains[0].depth)
    start = time.perf_counter()
    built = method_for(config if config.optimises else replace(config, iterations=None))
    built = built.with_settings(**changes) if built.optimises else built
    condensed = condense(fit, built, ipc=config.ipc or 1, network=network, seed=seed)
    seconds = time.perf_counter() - start
    found = []
    for train in trains:
        training = training_for(train)
        options = {"network": network, "training": training, "networks": train.networks, "keys": (seed,)}
        found.append(score(*condensed.to_train(), held, **options).double())
    return torch.stack(found), seconds


def show(method: str, results: list[tuple[torch.Tensor, float]], evaluations: Sequence[str]) -> None:
    """Prints mean and std of each evaluation."""
    pools = 100 * torch.cat([a for a, _ in results], 1)
    spreads = [
        f"{name} {pool.mean():.1f} ± {pool.std(unbiased=False):.1f}"
        for name, pool in zip(evaluations, pools, strict=True)
    ]
    seconds = sum(t for _, t in results) / len(results)
    print(f"{method}: {', '.join(spreads)} (n = {pools.shape[1]}), {seconds:.1f} s", flush=True)


@click.command()
@click.option("--dataset", default="digits", show_default=True)
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--method", "methods", multiple=True, required=True)
@click.option("--fit", default=100, show_default=True, help="Images of each class to condense.")
@click.option("--held", type=int, help="Images of each class to evaluate on.  [default: the rest, at most 200]")
@click.option("--ipc", type=int)
@click.option("--iterations", type=int)
@click.option("--real-per-class", type=int)
@click.option("--epochs", type=int)
@click.option("--width", type=int)
@click.option("--networks", type=int, help="Trained on each result.")
@click.option("--evaluation", "evaluations", multiple=True, type=click.Choice([*EPOCHS]), default=[*EPOCHS])
@click.option("--economy", is_flag=True, help="Condense by economy.")
@click.option("--compile", "compiled", is_flag=True, help="Networks through torch.compile.")
@click.option("--seeds", default=2, show_default=True)
@click.option("--set", "changed", multiple=True, help="A number of the recipes, such as lr=0.5.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all accuracies.")
def main(*, dataset, methods, seeds, evaluations, changed, json_file, **given) -> None:
    torch.set_num_threads(1)
    made = origin("cpu")
    changes = {name: float(value) for name, value in (pair.split("=") for pair in changed)}
    fit, held = given.pop("fit"), given.pop("held")
    images = load(dataset, given.pop("data"))[0]
    held = held or min(200, min(images.counts) - fit)
    values = {"dataset": dataset} | DEFAULTS.get(dataset, {})
    values |= {k: v for k, v in given.items() if v is not None}
    config, train = CondenseConfig.of(values), TrainConfig.of(values)
    trains, parts = [replace(train, evaluation=each) for each in evaluations], split(images, fit, held)
    print(f"{dataset}: {fit} training images a class condensed to {config.ipc}, {held} others to evaluate on")
    chosen = {k: v for k, v in {**asdict(config), **asdict(train)}.items() if k != "method"}
    chosen |= {"methods": methods, "fit": fit, "held": held, "set": changes}
    head = {"kind": "held_out", "command": command_line("python benchmarks/held_out.py"), **made, "seed": 0}
    record = head | {"settings": chosen, "rows": []}
    for method in methods:
        try:
            own = replace(config, method=method)
            results = [accuracies(own, trains, parts, seed, changes) for seed in range(seeds)]
        except ValueError as error:
            record["rows"].append({"method": method, "error": str(error)})
            print(f"{method}: {error}", flush=True)
        else:
            each = {name: [a[i].tolist() for a, _ in results] for i, name in enumerate(evaluations)}
            record["rows"].append({"method": method, **each, "seconds": [t for _, t in results]})
            show(method, results, evaluations)
        if json_file:  # after every method, since a stopped comparison does not go on
            json_file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
