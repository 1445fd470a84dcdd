"""Accuracy over bytes: real images against condensed ones, by codec, on held-out training images.

    python benchmarks/equal_bytes.py --json bytes.json --plot bytes.png
    python benchmarks/equal_bytes.py --dataset cifar10 --data ~/data --fit 1000 --json bytes.json

A budget is the bytes of the labels and of some 8-bit images a class (--ipc); each method and codec gets as many
images a class as its codec stores in that. Methods that select are stored in 8 bits, as they would be. Then the
sets of one budget's images (--same) are trained on as each codec gives them back, and cut at black and white:
what storing alone costs. Each set is condensed once a seed from some training images of each class (--fit), and
networks trained on it are tested on others (--held).
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import click
import torch

from cl_condense.condensation.codecs import CODECS, LABEL_BYTES, image_bytes
from cl_condense.data.datasets import load
from cl_condense.data.held_out import split
from cl_condense.methods.condense import condense
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.runs.build import method_for, training_for
from cl_condense.runs.defaults import DEFAULTS
from cl_condense.runs.provenance import command_line, origin
from cl_condense.runs.run_config import RunConfig
from cl_condense.training.evaluate import score


class Bench:
    """Sets, each condensed once, and networks trained on them."""

    def __init__(self, parts, s: RunConfig, seeds: int) -> None:
        self._fit, self._held = parts
        self._s, self._seeds, self._made = s, range(seeds), {}
        self._network = MakeConvNet(self._fit.shape, s.main.width, s.main.depth)

    def made(self, method, ipc, seed):
        key = method, ipc, seed
        if key not in self._made:
            begun = time.process_time()
            built = method_for(self._s.of_method(method))
            made = condense(self._fit, built, ipc=ipc, network=self._network, seed=seed)
            self._made[key] = made, time.process_time() - begun
        return self._made[key][0]

    def row(self, method, codec, ipc):
        """Accuracies of all seeds' networks on sets as the codec gives them back."""
        accuracies, sets = [], [self.made(method, ipc, seed) for seed in self._seeds]
        for seed, made in zip(self._seeds, sets, strict=True):
            images = cut(made).pixels if codec == "cut" else made.coded(codec).pixels
            given = replace(made, stored=images, codec="float32").decode()
            train = self._s.train
            options = {"networks": train.networks, "keys": (seed,), "training": training_for(train)}
            accuracies.append(score(*given, self._held, network=self._network, **options).double().tolist())
        size = 0 if codec == "cut" else sets[0].coded(codec).nbytes
        return {"method": method, "codec": codec, "ipc": ipc, "bytes": size, "accuracies": accuracies}

    def optimises(self, method):
        return self._s.of_method(method).optimises


def cut(made):
    """The set as its pixels of 0 to 255, which is what an image file would keep."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (made.mean, made.std))
    pixels = made.to_pixels().float() / 255
    return replace(made, stored=(pixels - mean) / std, codec="float32")


def wanted(bench, methods, budgets, shape):
    """(method, codec, images a class) of every budget; none where a codec stores no image in it."""
    for method in methods:
        for codec in CODECS if bench.optimises(method) else ("uint8",):
            each = [n * image_bytes("uint8", shape) // image_bytes(codec, shape) for n in budgets]
            yield from ((method, codec, ipc) for ipc in dict.fromkeys(each) if ipc)


def plot(rows, path):
    """Accuracy against bytes a class, a line a method and codec."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 # slow

    figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
    most = max(row["bytes"] for row in rows if row["codec"] == "uint8")
    rows = [row for row in rows if row["codec"] != "cut" and row["bytes"] <= most]
    for label in dict.fromkeys((row["method"], row["codec"]) for row in rows):
        own = sorted((r for r in rows if (r["method"], r["codec"]) == label), key=lambda r: r["bytes"])
        pools = [100 * torch.tensor(row["accuracies"]).flatten() for row in own]
        spread = {"yerr": [p.std(correction=0) for p in pools], "marker": "o", "capsize": 3}
        style = {"uint8": "-", "float16": "--", "float32": ":"}[label[1]]
        sizes = [row["bytes"] / 1024 for row in own]
        ax.errorbar(sizes, [p.mean() for p in pools], **spread, label=" as ".join(label), ls=style)
    ax.set(xlabel="KiB of images and labels", ylabel="accuracy, %", xscale="log")
    ticks = sorted({round(row["bytes"] / 1024, 1) for row in rows if row["codec"] == "uint8"})
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)


@click.command()
@click.option("--dataset", default="digits", show_default=True)
@click.option("--data", type=click.Path(path_type=Path))
@click.option(
    "--method", "methods", multiple=True, default=("random", "herding", "dm", "ddm"), show_default=True
)
@click.option("--ipc", "budgets", multiple=True, type=int, default=(4, 8, 20), show_default=True)
@click.option("--same", default=10, show_default=True, help="Images of each class to store in every way.")
@click.option("--seeds", default=2, show_default=True, help="Sets of each method and budget.")
@click.option("--fit", default=100, show_default=True, help="Images of each class to condense.")
@click.option("--held", default=40, show_default=True, help="Images of each class to evaluate on.")
@click.option("--iterations", type=int)
@click.option("--real-per-class", type=int)
@click.option("--reuse", type=int)
@click.option("--epochs", type=int)
@click.option("--width", type=int)
@click.option("--networks", type=int)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all accuracies.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path))
def main(dataset, methods, budgets, same, seeds, **given) -> None:
    torch.set_num_threads(1)
    made, rows = origin("cpu"), []
    fit, held, json_file, plot_file = (given.pop(k) for k in ("fit", "held", "json_file", "plot_file"))
    images = load(dataset, given.pop("data"))[0]
    given = {k: v for k, v in given.items() if v is not None}
    s = RunConfig.of(dataset, methods, **{"economy": False} | DEFAULTS.get(dataset, {}) | given)
    bench = Bench(split(images, fit, held), s, seeds)
    print(f"{dataset}: {fit} training images a class, {held} others to evaluate on")
    stored = [(m, codec, same) for m in methods if bench.optimises(m) for codec in (*CODECS, "cut")]
    for what in [*stored, *wanted(bench, methods, budgets, images.shape)]:
        if what in [(row["method"], row["codec"], row["ipc"]) for row in rows]:
            continue
        rows.append(bench.row(*what))
        pool = 100 * torch.tensor(rows[-1]["accuracies"]).flatten()
        result = f"{pool.mean():.1f} ± {pool.std(correction=0):.1f} (n = {len(pool)})"
        method, codec, ipc = what
        print(f"{method} as {codec}, {ipc} images a class, {rows[-1]['bytes']} bytes: {result}", flush=True)
        if json_file:
            chosen = s.flat() | {"fit": fit, "held": held, "budgets": budgets, "same": same, "seeds": seeds}
            chosen["label_bytes"] = LABEL_BYTES
            head = {"kind": "equal_bytes", "command": command_line("python benchmarks/equal_bytes.py"), **made}
            json_file.write_text(
                json.dumps({**head, "seed": 0, "settings": chosen, "rows": rows}, indent=1) + "\n"
            )
    if plot_file:
        plot(rows, plot_file)


if __name__ == "__main__":
    main()
