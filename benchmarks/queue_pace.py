"""How fast the networks of IDM's queue learn: their accuracy on test images after so many steps of training.

    python benchmarks/queue_pace.py --data ~/data --json queue-pace.json

The queue is that of `idm`, but its members are all there from the start and train in every iteration, so that
each has taken the same steps. Nothing is chosen by these accuracies. --json keeps every one.
"""

import json
from dataclasses import replace
from pathlib import Path

import click
import torch

from cl_condense.augment import DSA
from cl_condense.datasets import load
from cl_condense.imageset import ImageSet
from cl_condense.methods import build
from cl_condense.networks import MakeConvNet
from cl_condense.origin import command_line, origin
from cl_condense.sources import Scene


@torch.no_grad()
def accuracy(net: torch.nn.Module, images: ImageSet) -> float:
    """Share of the images that the network gets right."""
    parts = torch.arange(len(images)).split(1000)
    return sum(int((net(images.take(i)).argmax(1) == images.targets[i]).sum()) for i in parts) / len(images)


@click.command()
@click.option("--dataset", default="cifar10", show_default=True)
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--ipc", default=10, show_default=True, help="Images per class, for the settings.")
@click.option("--width", default=32, show_default=True)
@click.option("--members", default=3, show_default=True)
@click.option("--steps", multiple=True, type=int, default=(100, 400, 600), show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all accuracies.")
def main(dataset, data, json_file, **s) -> None:
    torch.set_num_threads(1)
    made = origin("cpu")
    train, test = load(dataset, data)
    nets = build("idm", dataset).settled(s["ipc"]).nets
    visit = nets.train_steps
    if wrong := [n for n in s["steps"] if n < 1 or n % visit]:
        raise click.UsageError(f"--steps {wrong[0]}: a visit trains for {visit} steps, give a multiple of it")
    scene = Scene(train, MakeConvNet(train.shape, s["width"]), DSA(), s["seed"])
    queue = replace(nets, start_with=s["members"], trained=s["members"]).start(scene)
    head = {"kind": "queue_pace", "command": command_line("python benchmarks/queue_pace.py"), **made}
    settings = {"dataset": dataset, **s, "queue": repr(nets)}
    record = head | {"seed": s["seed"], "settings": settings, "rows": []}
    for number in range(max(s["steps"]) // visit):
        queue.advance(number, None)
        if (done := (number + 1) * visit) in s["steps"]:
            found = [accuracy(net, test) for net in queue.members]
            record["rows"].append({"steps": done, "accuracies": found})
            print(f"{done} steps: {100 * sum(found) / len(found):.1f} (n = {len(found)})", flush=True)
    if json_file:
        json_file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
