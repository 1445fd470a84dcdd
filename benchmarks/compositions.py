"""The best composition at small cost, by successive halving on held-out training images.

    python benchmarks/compositions.py --data ~/data --pools pools --json compositions.json

Every candidate condenses training images for the same CPU seconds, at each of the budgets (images per class,
seconds, epochs of the networks that are trained on the result); networks are tested on other training images.
The better half, by the mean of the budgets' accuracies, goes on to the next rung with twice the seconds. A pool
of networks is trained once for all that look through it: its seconds are given apart.

    python benchmarks/compositions.py --data ~/data --on test --rungs 1 --candidate dm --json equal.json

measures the same on the test images, for what is chosen already. There each candidate trains its own pool, and
the seconds of that are among those that it has.

    python benchmarks/compositions.py --data ~/data --steps 5 --budget 20:60:100 --json memory.json

searches for a memory: the classes come in steps, each step's are condensed from its images alone, in its share
of the seconds and with a pool of its own, and networks are trained on all of them. With --same-images an epoch
of a storage that decodes to four times as many counts as four, so that what is stored in the same bytes also
costs the same to train on.

A candidate is a method's expression, such as ``dance@reuse=5,factor=4``. All begin with economy's real images
and end with its quiet end; where the expression does not say otherwise, those with untrained networks share
real batches as economy does, and pools are of --pool networks and epochs.
"""

import json
import tempfile
import time
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path

import click
import torch
from economy import cpu_seconds

from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.sources.pool import BlendedPool, TrainedPool
from cl_condense.data.datasets import load
from cl_condense.data.held_out import split
from cl_condense.methods.economy import ECONOMY, why_not
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.runs.provenance import command_line, origin
from cl_condense.runs.stream import step_sizes
from cl_condense.training.augment import DSA
from cl_condense.training.evaluate import score
from cl_condense.training.protocol import TRAININGS

CANDIDATES = (
    *("dm", "dm+partition", "dm+sm+partition", "datadam+sm+partition", "m3d", "idm"),
    *("dm+pool@reuse=5", "dm+pool+partition@reuse=5", "dm+pool+calibration@reuse=5"),
    *("dance", "dance@reuse=5", "dance@lr=0.1", "dance@reuse=5,lr=0.1"),
    *("dance+cf@reuse=5", "dance+m3d@reuse=5", "dance+sm@reuse=5", "dance+sam@reuse=5", "dance+cov@reuse=5"),
    *("dance+icd@reuse=5", "dance@reuse=5,factor=4"),
)
PROBE = 20  # iterations whose pace tells how many a candidate does in its seconds


def recipe_of(text, dataset, ipc, pool):
    """The settled recipe of a candidate."""
    recipe = build(text, dataset).settled(ipc)
    if "real_per_class" not in recipe.chosen:
        recipe = replace(recipe, real_per_class=ECONOMY.real_per_class)
    recipe = replace(recipe, quiet=ECONOMY.quiet)
    sizes = {"size": pool[0], "epochs": pool[1]}
    if isinstance(recipe.source, BlendedPool):
        own = {name: value for name, value in sizes.items() if f"source.{name}" not in recipe.chosen}
        return replace(recipe, source=replace(recipe.source, **own))
    own = {"architecture": "own", **sizes}
    pools = {t: replace(t.source, **own) for t in recipe.terms if isinstance(t.source, TrainedPool)}
    recipe = replace(recipe, terms=tuple(replace(t, source=pools.get(t, t.source)) for t in recipe.terms))
    return recipe if "reuse" in recipe.chosen or why_not(recipe) else recipe.reusing(ECONOMY.reuse)


def condensed(recipe, fit, ipc, seconds, within=False, **options):
    """What there is after so many CPU seconds, with the iterations, and the seconds of networks before them.

    ``within``: the latter are among them.
    """

    def job(iterations):
        return Condensation(fit, replace(recipe, iterations=iterations), ipc=ipc, **options)

    probe = job(PROBE)
    before = cpu_seconds(probe.prepare)
    seconds -= before if within else 0
    cost = 0.0
    for phase in probe.recipe.phases():
        own = phase.stop - phase.start
        share = recipe.quiet.share if phase.start else 1 - recipe.quiet.share
        cost += share * cpu_seconds(lambda own=own: [probe.step() for _ in range(own)]) / own
    work = job(max(PROBE, round(seconds / cost)))
    work.prepare()  # from a file, or for this one alone
    spent = cpu_seconds(lambda: [work.step() for _ in range(work.iterations)])
    return work.result(), {"iterations": work.iterations, "seconds": spent, "before": before}


def in_steps(fit, steps):
    """The images of each step of a stream, whose classes come in their order."""
    ends = accumulate(step_sizes(len(fit.class_ids), steps), initial=0)
    return [fit.only(fit.class_ids[a:b]) for a, b in pairwise(ends)]


class Search:
    """The rows that are measured so far, and those that are missing."""

    def __init__(self, parts, settings, record, path, pools):
        self.s, self.record, self.path, self.pools = settings, record, path, pools
        self.steps, self.held = in_steps(parts[0], settings["steps"]), parts[1]
        self.network = MakeConvNet(parts[0].shape, settings["width"])

    def row(self, candidate, rung, budget):
        """Measured, or as the record has it."""
        ipc, seconds, epochs = budget
        key = {"candidate": candidate, "rung": rung, "ipc": ipc}
        for row in self.record["rows"]:
            if key.items() <= row.items():
                return row
        recipe = recipe_of(candidate, self.s["dataset"], ipc, self.s["pool"])
        with tempfile.TemporaryDirectory() as own:
            within = self.s["on"] == "test"
            options = {"network": self.network, "pools": Path(own) if within else self.pools, "within": within}
            each = seconds * 2**rung / len(self.steps)
            made, facts = zip(
                *(condensed(recipe, fit, ipc, each, **options) for fit in self.steps), strict=True
            )
        images, labels = (torch.cat(x) for x in zip(*(part.decode() for part in made), strict=True))
        if self.s["same_images"]:
            epochs = max(1, round(epochs * ipc * len(self.held.class_ids) / len(images)))
        training = TRAININGS["augmented"](epochs, DSA.strategy)
        start = time.process_time()
        found = score(
            images,
            labels,
            self.held,
            network=self.network,
            training=training,
            networks=self.s["networks"],
            keys=(0,),
        )
        facts = {name: sum(own[name] for own in facts) for name in facts[0]}
        row = key | facts | {"evaluating": time.process_time() - start, "epochs": epochs}
        row["accuracies"] = found.double().tolist()
        self.record["rows"].append(row)
        if self.path:
            self.path.write_text(json.dumps(self.record, indent=1) + "\n")
        return row

    def rung(self, candidates, rung):
        """The candidates by their accuracy, the best first."""
        means = {}
        for number, candidate in enumerate(candidates, 1):
            rows = [self.row(candidate, rung, budget) for budget in self.s["budgets"]]
            each = [100 * sum(row["accuracies"]) / len(row["accuracies"]) for row in rows]
            means[candidate] = sum(each) / len(each)
            said = ", ".join(
                f"{a:.1f} at {row['ipc']} ({row['iterations']:,})" for a, row in zip(each, rows, strict=True)
            )
            print(f"rung {rung + 1}, {number} of {len(candidates)}, {candidate}: {said}", flush=True)
        return sorted(means, key=means.get, reverse=True)

    def run(self):
        """The last candidate."""
        candidates = list(self.s["candidates"])
        for rung in range(self.s["rungs"]):
            ranked = self.rung(candidates, rung)
            candidates = ranked[: max(1, len(ranked) // 2)]
        return candidates[0]


def budget(text):
    """(images per class, seconds, epochs) of a word such as 10:60:100."""
    try:
        ipc, seconds, epochs = text.split(":")
        return int(ipc), float(seconds), int(epochs)
    except ValueError:
        raise click.BadParameter(f"{text!r}: give IPC:SECONDS:EPOCHS", param_hint="--budget") from None


def taken_up(path, head):
    """The record of an earlier call of the same settings and commit, or a new one."""
    if path and path.exists():
        found = json.loads(path.read_text())
        if {key: found[key] for key in ("commit", "settings")} != {
            key: head[key] for key in ("commit", "settings")
        }:
            raise click.BadParameter(f"{path} is of other settings or another commit: give another file")
        return found
    return head | {"rows": []}


@click.command()
@click.option("--dataset", default="cifar10", show_default=True)
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--candidate", "candidates", multiple=True, default=CANDIDATES)
@click.option("--budget", "budgets", multiple=True, default=("1:30:300", "10:60:100"), show_default=True)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of a stream, whose classes come in steps.",
)
@click.option("--same-images", is_flag=True, help="Networks see as many images, however many are in one.")
@click.option("--rungs", default=4, show_default=True)
@click.option("--on", type=click.Choice(["held-out", "test"]), default="held-out", show_default=True)
@click.option("--pool", default="4:6", show_default=True, help="Networks of a pool, and epochs of each.")
@click.option("--pools", type=click.Path(path_type=Path), default="pools", show_default=True)
@click.option("--fit", default=2000, show_default=True, help="Images of each class to condense.")
@click.option("--held", default=1000, show_default=True, help="Images of each class to evaluate on.")
@click.option("--networks", default=2, show_default=True)
@click.option("--width", default=32, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all accuracies.")
def main(data, json_file, pools, **given) -> None:
    torch.set_num_threads(1)
    made = origin("cpu")
    given["budgets"] = [list(budget(text)) for text in given["budgets"]]
    given["pool"] = [int(number) for number in given["pool"].split(":")]
    given["candidates"] = list(given["candidates"])
    for text in given["candidates"]:  # a mistyped one is told before the work
        recipe_of(text, given["dataset"], given["budgets"][0][0], given["pool"])
    train, test = load(given["dataset"], data)
    if given["steps"] > (classes := len(train.class_ids)):
        raise click.BadParameter(f"{given['steps']}: there are {classes} classes", param_hint="--steps")
    fit, held = split(train, given["fit"], given["held"])
    parts = fit, test if given["on"] == "test" else held
    head = {
        "kind": "compositions",
        "command": command_line("python benchmarks/compositions.py"),
        **made,
        "seed": 0,
    }
    record = taken_up(json_file, head | {"settings": given})
    print("the last one:", Search(parts, given, record, json_file, pools).run())


if __name__ == "__main__":
    main()
