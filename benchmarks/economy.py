"""Accuracy against CPU time: economy, the paper's settings and the paper's plain loop, on held-out images.

    python benchmarks/economy.py --data ~/data --method dm --ipc 1 --json economy.json

Each condenses training images, and at marks of its CPU seconds networks are trained on what there is and
tested on other training images; their time does not count. Economy is looked at before its quiet end and after
it; with --times 2 once more with twice its iterations, which tells whether it stopped too early. The plain loop
is that of benchmarks/reference_loops.py, for methods that have one; it and the paper's settings go on for
--seconds.
"""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import click
import torch
from reference_loops import LOOPS

from cl_condense.condensation.engine import Condensation
from cl_condense.data.datasets import load
from cl_condense.data.held_out import split
from cl_condense.networks.contract import Precision
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.runs.build import method_for, training_for
from cl_condense.runs.defaults import DEFAULTS
from cl_condense.runs.provenance import command_line, origin
from cl_condense.runs.run_config import RunConfig
from cl_condense.training.evaluate import score


class Measure:
    """Goes on with a condensation and says how good its images are at marks of CPU time or iterations."""

    def __init__(self, fit, held, settings, pools=None):
        self.fit, self.held, self.settings, self.pools = fit, held, settings, pools
        self.network = MakeConvNet(fit.shape, settings.main.width, settings.main.depth)

    def economy(self, times):
        """Rows before and after the quiet end, of as many iterations as economy has, times a number."""
        recipe = method_for(self.settings.main).settled(self.settings.main.ipc)
        recipe = replace(recipe, iterations=times * recipe.iterations)
        job = self._job(recipe)
        spent = cpu_seconds(job.prepare)
        if spent > 1:
            print(f"a pool of networks, {spent:.0f} s", flush=True)
        for phase in recipe.phases():
            while job.iteration < phase.stop:
                spent += cpu_seconds(job.step)
            yield self._row(f"economy, {times} times the iterations", job.iteration, spent, job)

    def papers(self, seconds, marks):
        """Rows at shares of the time, by the paper's settings."""
        recipe = method_for(self._papers())
        job = self._job(recipe)
        for count, spent in until(job.step, seconds, marks):
            yield self._row("the paper's settings", count, spent, job)

    def plain(self, seconds, marks):
        """Rows at shares of the time, by the loop of the papers."""
        c, fit = self.settings.main, self.fit
        real = method_for(self._papers()).settled(c.ipc).real_per_class
        images, targets = fit.images.view(-1, *fit.shape), fit.targets
        sizes = {"ipc": c.ipc, "width": c.width, "real_per_class": real}
        loop = LOOPS[c.method](images, targets, fit.mean, fit.std, **sizes)
        for count, spent in until(loop.step, seconds, marks):
            shown = loop.shown()
            labels = torch.tensor(fit.class_ids).repeat_interleave(shown.shape[1])
            yield row("the plain loop", count, spent, self._scores(shown.flatten(0, 1), labels))

    def _papers(self):
        own = {"iterations": 10**9, "real_per_class": None}
        return replace(self.settings.main, economy=False, reuse=None, **own)

    def _job(self, recipe):
        return Condensation(
            self.fit, recipe, ipc=self.settings.main.ipc, network=self.network, pools=self.pools
        )

    def _row(self, what, iterations, spent, job):
        return row(what, iterations, spent, self._scores(*job.result().decode()))

    def _scores(self, images, labels):
        s = self.settings.train
        options = {
            "network": self.network,
            "training": training_for(s),
            "networks": s.networks,
            "keys": (s.seed,),
        }
        return score(images, labels, self.held, **options).double().tolist()


def row(what, iterations, spent, accuracies):
    return {"way": what, "iterations": iterations, "seconds": spent, "accuracies": accuracies}


def cpu_seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def until(step, seconds, marks):
    """(iterations, CPU seconds) each time that a share of the seconds has passed."""
    count, spent = 0, 0.0
    for mark in sorted(marks):
        while spent < mark * seconds:
            spent += cpu_seconds(step)
            count += 1
        yield count, spent


@click.command()
@click.option("--dataset", default="cifar10", show_default=True)
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--method", default="dm", show_default=True)
@click.option("--times", multiple=True, type=click.IntRange(1), default=(1,), show_default=True)
@click.option("--seconds", default=0.0, show_default=True, help="Of each of the other ways; 0: without them.")
@click.option("--mark", "marks", multiple=True, type=float, default=(0.5, 1.0), show_default=True)
@click.option("--pools", type=click.Path(path_type=Path), help="Folder of trained pools, kept for other calls.")
@click.option("--fit", default=4000, show_default=True, help="Images of each class to condense.")
@click.option("--held", default=1000, show_default=True, help="Images of each class to evaluate on.")
@click.option("--iterations", type=click.IntRange(2), help="Of economy.  [default: its own]")
@click.option("--ipc", default=1, show_default=True)
@click.option("--networks", default=3, show_default=True)
@click.option("--epochs", default=1000, show_default=True)
@click.option("--width", default=128, show_default=True)
@click.option(
    "--compile", "compiled", is_flag=True, help="Networks through torch.compile, but the plain loop's."
)
@click.option("--precision", type=click.Choice(get_args(Precision)), help="Of condensing, but the plain loop.")
@click.option("--training-precision", type=click.Choice(get_args(Precision)), help="Of those that judge.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all accuracies.")
def main(dataset, data, method, json_file, pools, **given) -> None:
    torch.set_num_threads(1)
    made, rows = origin("cpu"), []
    times, seconds, marks, fit, held = (given.pop(k) for k in ("times", "seconds", "marks", "fit", "held"))
    given = {name: value for name, value in given.items() if value is not None}
    settings = RunConfig.of(dataset, (method,), **DEFAULTS.get(dataset, {}) | given | {"economy": True})
    measure = Measure(*split(load(dataset, data)[0], fit, held), settings, pools)
    ways = [measure.economy(n) for n in times]
    ways += [measure.papers(seconds, marks)] if seconds else []
    ways += [measure.plain(seconds, marks)] if seconds and method in LOOPS else []
    head = {"kind": "economy", "command": command_line("python benchmarks/economy.py"), **made, "seed": 0}
    own = {"dataset": dataset, "method": method, "fit": fit, "held": held, **given}
    for way in ways:
        for each in way:
            rows.append(each)
            accuracy = 100 * torch.tensor(each["accuracies"])
            result = f"{accuracy.mean():.1f} ± {accuracy.std(correction=0):.1f} (n = {len(accuracy)})"
            print(f"{each['way']}, {each['iterations']}, {each['seconds']:.0f} s: {result}", flush=True)
            if json_file:
                json_file.write_text(json.dumps(head | {"settings": own, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
