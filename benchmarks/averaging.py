"""Whether the quiet end should begin with the mean of the images before it, on held-out images.

    python benchmarks/averaging.py --data ~/data --method dm --ipc 10 --json averaging.json

Each draw condenses training images once by economy; where the quiet end of each --iterations begins it goes on
with the last images, and with their mean over each share of the iterations before, at rest. Networks trained on
what comes of it, of the same weights and mini-batches for all, are tested on other training images. Seconds are
of the CPU, and of one condensation: the iterations before the end and its own.
"""

import json
from dataclasses import replace
from pathlib import Path

import click
import torch
from economy import cpu_seconds

from cl_condense.condensation.engine import Condensation
from cl_condense.data.datasets import load
from cl_condense.data.held_out import split
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.runs.build import method_for, training_for
from cl_condense.runs.defaults import DEFAULTS
from cl_condense.runs.provenance import command_line, origin
from cl_condense.runs.run_config import RunConfig
from cl_condense.training.evaluate import score


class Draw:
    """One condensation, that goes on in several ways from the starts of their quiet ends."""

    def __init__(self, parts, settings, seed, *, iterations, shares, pools):
        self.fit, self.held = parts
        self.settings, self.seed, self.pools = settings, seed, pools
        self.network = MakeConvNet(self.fit.shape, settings.main.width, settings.main.depth)
        self.recipe = method_for(settings.main).settled(settings.main.ipc)
        if not self.recipe.quiet:
            raise click.UsageError(f"{self.recipe.name} has no quiet end: take another method, such as dm")
        if len(iterations) > 1 and (self.recipe.halvings or any(term.when for term in self.recipe.terms)):
            raise click.UsageError(
                f"what {self.recipe.name} does depends on the share done: give one --iterations"
            )
        self.ends = {self._of(n).quiet.start(n): n for n in iterations or [self.recipe.iterations]}
        self.shares = shares

    def rows(self):
        """A row for each number of iterations and each share."""
        noisy, spent, sums = self._job(max(self.ends.values())), 0.0, {}
        noisy.prepare()
        for start, number in sorted(self.ends.items()):
            while noisy.iteration < start:
                spent += cpu_seconds(noisy.step)
                self._add(sums, noisy)
            before = {name: value.clone() for name, value in noisy.state().items()}
            for share in self.shares:
                yield self._row(number, share, before, sums.get((start, share)), spent)

    def _add(self, sums, noisy):
        """To each sum whose iterations have begun."""
        pixels = noisy.state()["pixels"]
        for start in self.ends:
            for share in self.shares:
                if start - round(share * start) < noisy.iteration <= start:
                    sums[start, share] = sums.get((start, share), 0) + pixels

    def _row(self, number, share, before, total, spent):
        job, state = self._job(number), {name: value.clone() for name, value in before.items()}
        if total is not None:
            state["pixels"] = total / round(share * int(before["iteration"]))
            state["momentum"].zero_()
        job.restore(state)
        while job.iteration < number:
            spent += cpu_seconds(job.step)
        s = self.settings.train
        how = {"training": training_for(s), "networks": s.networks, "keys": (s.seed,), "network": self.network}
        found = score(*job.result().decode(), self.held, **how).double().tolist()
        return {
            "iterations": number,
            "averaged": share,
            "draw": self.seed,
            "seconds": spent,
            "accuracies": found,
        }

    def _of(self, iterations):
        return replace(self.recipe, iterations=iterations)

    def _job(self, iterations):
        made = {"ipc": self.settings.main.ipc, "network": self.network, "seed": self.seed, "pools": self.pools}
        return Condensation(self.fit, self._of(iterations), **made)


@click.command()
@click.option("--dataset", default="cifar10", show_default=True)
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--method", default="dm", show_default=True)
@click.option("--iterations", multiple=True, type=click.IntRange(2), help="Repeat.  [default: economy's]")
@click.option(
    "--share", "shares", multiple=True, type=click.FloatRange(0, 1), default=(0.0, 0.5), show_default=True
)
@click.option(
    "--draw", "draws", multiple=True, type=click.IntRange(0), default=(0, 1), show_default=True, help="Seeds."
)
@click.option("--pools", type=click.Path(path_type=Path), help="Folder of trained pools, kept for other calls.")
@click.option("--fit", default=4000, show_default=True, help="Images of each class to condense.")
@click.option("--held", default=1000, show_default=True, help="Images of each class to evaluate on.")
@click.option("--ipc", default=10, show_default=True)
@click.option("--networks", default=3, show_default=True)
@click.option("--epochs", default=1000, show_default=True)
@click.option("--width", default=128, show_default=True)
@click.option("--compile", "compiled", is_flag=True, help="Networks through torch.compile.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all accuracies.")
def main(*, dataset, data, method, iterations, shares, draws, pools, fit, held, json_file, **given) -> None:
    torch.set_num_threads(1)
    made, rows = origin("cpu"), []
    settings = RunConfig.of(dataset, (method,), **DEFAULTS.get(dataset, {}) | given | {"economy": True})
    parts = split(load(dataset, data)[0], fit, held)
    head = {"kind": "averaging", "command": command_line("python benchmarks/averaging.py"), **made, "seed": 0}
    own = {"dataset": dataset, "method": method, "fit": fit, "held": held, "draws": draws, **given}
    for seed in draws:
        for row in Draw(parts, settings, seed, iterations=iterations, shares=shares, pools=pools).rows():
            rows.append(row)
            accuracy = ", ".join(f"{100 * each:.1f}" for each in row["accuracies"])
            print(
                "{iterations} iterations, averaged {averaged}, draw {draw}, {seconds:.0f} s".format(**row),
                end="",
            )
            print(f": {accuracy}", flush=True)
            if json_file:
                json_file.write_text(json.dumps(head | {"settings": own, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
