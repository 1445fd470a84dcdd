"""Fresh networks trained on a small set, and what they get right on a test set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cl_condense.common.checkpoint import Checkpoint
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.rng import Purpose, isolated
from cl_condense.data.ahead import in_parts
from cl_condense.data.imageset import ImageSet
from cl_condense.networks.contract import MakeNetwork, at_once
from cl_condense.networks.init import Initialiser
from cl_condense.training.passes import forward_of, parts
from cl_condense.training.protocol import Training
from cl_condense.training.shown import Shown
from cl_condense.training.train import check_networks, train

OnTrained = Callable[[Sequence[nn.Module]], None]
"""Gets networks after their last epoch."""


@torch.no_grad()
def predict(nets: Sequence[nn.Module], images: Tensor, *, compiled: bool = False) -> Tensor:
    """Logits ``[r, n, classes]`` of every network for the same images ``[n, c, h, w]``.

    On a GPU never compiled: compiling takes seconds, and is meant for networks that train.
    """
    check_networks(nets, images)
    forward = forward_of(nets, compiled and not images.is_cuda)
    each = [[forward(net, part) for _, part in parts(images, at_once(net, images))] for net in nets]
    return torch.stack([torch.cat(own)[: len(images)] for own in each])


def fresh_networks(
    make: Callable[[], nn.Module], number: int, *, keys: tuple[int, ...], device: torch.device | str
) -> list[nn.Module]:
    """Networks to train, their weights drawn from the keys and the number of each; no global generator is."""
    device = torch.device(device)
    with isolated(Purpose.NETWORK, device=device):  # torch's constructors draw weights
        nets = [make().to(device).train() for _ in range(number)]
    for i, net in enumerate(nets):
        Initialiser(net)(*keys, i)
    return nets


def places(labels: Tensor, outputs: Sequence[int]) -> Tensor:
    """Which output is of the class of each label ``[n]``; ``outputs`` has the class of each, in any order."""
    ids, place = torch.tensor(outputs, device=labels.device).sort()
    return place[torch.searchsorted(ids, labels).clamp_max(len(ids) - 1)]


def count_right(
    nets: Sequence[nn.Module],
    test: ImageSet,
    rows: Tensor,
    *,
    outputs: Sequence[int] = (),
    labels: Tensor | None = None,
    among: Sequence[int] = (),
    compiled: bool = False,
    on_progress: OnProgress | None = None,
) -> Tensor:
    """How many of the images at ``rows`` of ``test`` each network gets right: ``[r]`` int64, on their device.

    The networks are left in evaluation mode. ``outputs`` has the class of each of their outputs; without it
    these are the classes of ``test``, rising. ``labels`` ``[n]`` of its images count where they are given. With
    ``among`` the outputs of other classes do not count: what a head of its own for these classes would say.
    """
    device = next(nets[0].parameters()).device
    for net in nets:
        net.eval()
    targets = places(test.labels if labels is None else labels, outputs or test.class_ids)
    right, done = torch.zeros(len(nets), dtype=torch.int64, device=device), 0
    every = torch.tensor([*(outputs or test.class_ids)])
    masked = (~torch.isin(every, torch.tensor([*among]))).to(device) if among else None
    for part, images in zip(rows.split(512), in_parts(test, rows, 512), strict=True):
        logits = predict(nets, images.to(device), compiled=compiled)
        if masked is not None:
            logits = logits.masked_fill(masked, -torch.inf)
        right += (logits.argmax(-1) == targets[part].to(device)).sum(1)
        done += len(part)
        if on_progress:
            on_progress(Progress("evaluating", done, len(rows)))
    return right


def score(
    images: Shown,
    labels: Tensor,
    test: ImageSet,
    *,
    network: MakeNetwork,
    training: Training,
    networks: int,
    keys: tuple[int, ...],
    on_progress: OnProgress | None = None,
    checkpoint: Checkpoint | None = None,
    on_trained: OnTrained | None = None,
) -> Tensor:
    """Accuracies ``[networks]`` on ``test`` of fresh networks trained on ``images``, after their last epoch.

    Args:
        images: as for ``train``, on the device of ``test``.
        labels: ``[n]`` int64, as in ``test.class_ids``, or soft: ``[n, classes]`` probabilities in their order.
        test: real images, in the normalisation of ``images``.
        network: makes a network, from the number of classes of ``test``.
        training: the protocol.
        networks: trained side by side.
        keys: what everything random is drawn from, with the number of the network.
        on_progress: told of the training, in epochs, then of the images that are evaluated.
        checkpoint: where the training goes on, and leaves its states.
        on_trained: gets the networks after their last epoch.
    """
    nets = fresh_networks(lambda: network(len(test.class_ids)), networks, keys=keys, device=test.device)
    ids = torch.tensor(test.class_ids, device=test.device)
    labels = labels.to(test.device)
    targets = torch.searchsorted(ids, labels) if labels.ndim == 1 else labels
    train(nets, images, targets, training, keys=keys, on_progress=on_progress, checkpoint=checkpoint)
    if on_trained:
        on_trained(nets)
    rows = test.every()
    return count_right(nets, test, rows, compiled=training.compiled, on_progress=on_progress) / len(test)
