"""Accuracy against seconds for ways to look at fewer real images, on held-out training images.

    python benchmarks/less_work.py --dataset cifar10 --data ~/data --ipc 10 --json less.json --plot less.png

A way is REUSE:REAL, iterations that share a network and a real batch, and real images of a class; as many as
--fit are the whole class, once for each network. With a + after it every iteration of a network takes a real
batch of its own and matches what was seen of all of them so far: running means. Each way condenses for the same
time, in seconds that one CPU thread is busy, so that other work does not matter. At some shares of it networks
are trained on what there is; their time does not count.
"""

import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import click
import torch

from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.view import joined
from cl_condense.data.datasets import load
from cl_condense.data.held_out import split
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.runs.build import method_for, training_for
from cl_condense.runs.defaults import DEFAULTS
from cl_condense.runs.provenance import command_line, origin
from cl_condense.runs.run_config import RunConfig
from cl_condense.training.evaluate import score

WAYS = ("1:256", "1:64", "5:256", "5:64", "10:256")
MARKS = (0.25, 0.5, 1.0)


class Running(Condensation):
    """Each iteration of a network has a real batch of its own, in the augmentation that they share."""

    def _batch(self, part, warp, number):
        return super()._batch(part, warp, self.iteration)

    def _accumulate(self, part, terms, looks):
        before = self._kept.pop(part.class_ids, {})  # so that a batch is drawn
        self._before = {nets: view._seen for nets, view in before.items()}
        return super()._accumulate(part, terms, looks)

    def _look(self, part, looks, images, soft=None):
        views = super()._look(part, looks, images, soft)
        for nets, view in views.items():
            if nets in self._before and not images.requires_grad:
                view._seen = joined([[self._before[nets], view._seen]])
        return views


def way(text):
    """(reuse, real images of a class, whether means run) of a word such as 5:256 or 5:64+."""
    try:
        reuse, real = map(int, text.removesuffix("+").split(":"))
    except ValueError:
        raise click.BadParameter(f"{text!r}: give REUSE:REAL, such as 5:256", param_hint="--way") from None
    return reuse, real, text.endswith("+")


def follow(parts, s, running, times):
    """(iterations, seconds, accuracies) of one condensation after each of the times."""
    fit, held = parts
    network = MakeConvNet(fit.shape, s.main.width, s.main.depth)
    recipe = method_for(replace(s.main, iterations=10**9))
    job = (Running if running else Condensation)(fit, recipe, ipc=s.main.ipc, network=network, seed=s.seed)
    spent = 0.0
    for seconds in times:
        while spent < seconds:
            start = time.process_time()
            job.step()
            spent += time.process_time() - start
        options = {"training": training_for(s.train), "networks": s.train.networks, "keys": (s.seed,)}
        yield (
            job.iteration,
            spent,
            score(*job.result().decode(), held, network=network, **options).double().tolist(),
        )


def rows_of(parts, s, running, times, seeds):
    """A row a time: means of iterations and seconds, accuracies by condensation."""
    each = [list(follow(parts, s.changed(seed=seed), running, times)) for seed in range(seeds)]
    head = {"method": s.main.method, "reuse": s.main.reuse, "real_per_class": s.main.real_per_class}
    head["running"] = running
    for same_time in zip(*each, strict=True):
        iterations, spent, accuracies = zip(*same_time, strict=True)
        means = {"iterations": round(statistics.mean(iterations)), "seconds": statistics.mean(spent)}
        yield {**head, **means, "accuracies": list(accuracies)}


def name(row):
    means = ", running means" if row["running"] else ""
    return f"reuse {row['reuse']}, {row['real_per_class']} real of a class{means}"


def plot(rows, path):
    """Accuracy against seconds, a line a way."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 # slow

    figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
    for label in dict.fromkeys(map(name, rows)):
        own = [row for row in rows if name(row) == label]
        accuracy = 100 * torch.tensor([row["accuracies"] for row in own]).flatten(1)
        spread = {"yerr": accuracy.std(1, correction=0), "marker": "o", "capsize": 3, "label": label}
        ax.errorbar([row["seconds"] for row in own], accuracy.mean(1), **spread)
    ax.set(xlabel="CPU seconds of condensing", ylabel="accuracy, %")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)


@click.command()
@click.option("--dataset", default="digits", show_default=True)
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--method", default="dm", show_default=True)
@click.option("--way", "ways", multiple=True, help="REUSE:REAL, repeat to compare.  [default: five of them]")
@click.option("--seconds", default=120.0, show_default=True, help="Of condensing, for each way.")
@click.option("--mark", "marks", multiple=True, type=float, help="Shares of it.  [default: 0.25, 0.5, 1]")
@click.option("--seeds", default=1, show_default=True, help="Condensations of each way.")
@click.option("--fit", default=100, show_default=True, help="Images of each class to condense.")
@click.option("--held", default=50, show_default=True, help="Images of each class to evaluate on.")
@click.option("--ipc", type=int)
@click.option("--epochs", type=int)
@click.option("--width", type=int)
@click.option("--precision")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all accuracies.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path))
def main(dataset, ways, marks, json_file, plot_file, **given) -> None:
    torch.set_num_threads(1)
    made, rows = origin("cpu"), []
    method, seconds, fit, held, seeds = (given.pop(k) for k in ("method", "seconds", "fit", "held", "seeds"))
    images = load(dataset, given.pop("data"))[0]
    parts = split(images, fit, held)
    given = {k: v for k, v in given.items() if v is not None}
    settings = RunConfig.of(dataset, (method,), **{"economy": False} | DEFAULTS.get(dataset, {}) | given)
    ways, marks = ways or WAYS, sorted(marks or MARKS)
    ipc = settings.main.ipc
    print(f"{dataset}: {fit} training images a class condensed to {ipc}, {held} others to evaluate on")
    for reuse, real, running in map(way, ways):
        changed = settings.changed(reuse=reuse, real_per_class=real)
        for row in rows_of(parts, changed, running, [mark * seconds for mark in marks], seeds):
            rows.append(row)
            accuracy = 100 * torch.tensor(row["accuracies"]).flatten()
            result = f"{accuracy.mean():.1f} ± {accuracy.std(correction=0):.1f} (n = {len(accuracy)})"
            print(f"{name(row)}, {row['iterations']} iterations, {row['seconds']:.0f} s: {result}", flush=True)
        chosen = settings.flat() | {"fit": fit, "held": held, "ways": ways, "marks": marks, "seeds": seeds}
        head = {"kind": "less_work", "command": command_line("python benchmarks/less_work.py"), **made}
        if json_file:
            record = head | {"seed": 0, "settings": chosen, "rows": rows}
            json_file.write_text(json.dumps(record, indent=1) + "\n")
    if plot_file:
        plot(rows, plot_file)


if __name__ == "__main__":
    main()
