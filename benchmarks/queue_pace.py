"""How fast the networks of IDM's queue learn: their accuracy on test images after so many steps of training.

    python benchmarks/queue_pace.py --data ~/data --json queue-pace.json

The queue is that of `idm`, but its members are all there from the start and train in every iteration, so that
each has taken the same steps. With --plain they train beside it in a loop of torch's own, without visits, in
batches drawn at random: the pace that the queue is to keep. Nothing is chosen by these accuracies. --json keeps
every one.
"""

import json
from dataclasses import replace
from pathlib import Path

import click
import torch
import torch.nn.functional as F

from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.data.datasets import load
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.runs.provenance import command_line, origin
from cl_condense.training.augment import DSA


@torch.no_grad()
def accuracy(net: torch.nn.Module, images: ImageSet) -> float:
    """Share of the images that the network gets right."""
    parts = torch.arange(len(images)).split(1000)
    return sum(int((net(images.take(i)).argmax(1) == images.targets[i]).sum()) for i in parts) / len(images)


def plain(members, train, steps, batch, seed):
    """What trains each network for some steps more, written out: one optimizer a network, for good."""
    generator = torch.Generator().manual_seed(seed)
    sgd = [
        torch.optim.SGD(net.requires_grad_(True).parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        for net in members
    ]

    def advance(*_) -> None:
        for net, optimizer in zip(members, sgd, strict=True):
            for _ in range(steps):
                index = torch.randperm(len(train), generator=generator)[:batch]
                optimizer.zero_grad()
                F.cross_entropy(net(train.take(index)), train.targets[index]).backward()
                optimizer.step()

    return advance


@click.command()
@click.option("--dataset", default="cifar10", show_default=True)
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--ipc", default=10, show_default=True, help="Images per class, for the settings.")
@click.option("--width", default=32, show_default=True)
@click.option("--members", default=3, show_default=True)
@click.option("--steps", multiple=True, type=int, default=(100, 400, 600), show_default=True)
@click.option("--plain", is_flag=True, help="Train the same networks in a plain loop, without visits.")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all accuracies.")
def main(dataset, data, json_file, **s) -> None:
    torch.set_num_threads(1)
    made = origin("cpu")
    train, test = load(dataset, data)
    nets = build("idm", dataset).settled(s["ipc"]).source
    visit = nets.train_steps
    if wrong := [n for n in s["steps"] if n < 1 or n % visit]:
        raise click.UsageError(f"--steps {wrong[0]}: a visit trains for {visit} steps, give a multiple of it")
    context = SourceContext(train, MakeConvNet(train.shape, s["width"]), DSA(), s["seed"])
    queue = replace(nets, start_with=s["members"], trained=s["members"]).start(context)
    head = {"kind": "queue_pace", "command": command_line("python benchmarks/queue_pace.py"), **made}
    settings = {"dataset": dataset, **s, "queue": repr(nets)}
    record = head | {"seed": s["seed"], "settings": settings, "rows": []}
    advance = plain(queue.members, train, visit, nets.batch, s["seed"]) if s["plain"] else queue.advance
    for number in range(max(s["steps"]) // visit):
        advance(number, None)
        if (done := (number + 1) * visit) in s["steps"]:
            found = [accuracy(net, test) for net in queue.members]
            record["rows"].append({"steps": done, "accuracies": found})
            print(f"{done} steps: {100 * sum(found) / len(found):.1f} (n = {len(found)})", flush=True)
    if json_file:
        json_file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
