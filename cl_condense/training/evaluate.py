"""Fresh networks trained on a small set, and what they get right on a test set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cl_condense.common.progress import OnProgress, Progress
from cl_condense.data.imageset import ImageSet
from cl_condense.networks.contract import MakeNetwork, at_once
from cl_condense.networks.init import Initialiser
from cl_condense.training.protocol import Training
from cl_condense.training.train import forward_of, parts, train


@torch.no_grad()
def predict(nets: Sequence[nn.Module], images: Tensor, *, compiled: bool = False) -> Tensor:
    """Logits ``[r, n, classes]`` of every network for the same images ``[n, c, h, w]``."""
    forward = forward_of(nets, compiled)
    each = [[forward(net, part) for _, part in parts(images, at_once(net, images))] for net in nets]
    return torch.stack([torch.cat(own)[: len(images)] for own in each])


def score(
    images: Tensor,
    labels: Tensor,
    test: ImageSet,
    *,
    network: MakeNetwork,
    training: Training,
    networks: int,
    keys: tuple[int, ...],
    on_progress: OnProgress | None = None,
) -> Tensor:
    """Accuracies ``[networks]`` on ``test`` of fresh networks trained on ``images``, after their last epoch.

    Args:
        images: as for ``train``, on the device of ``test``.
        labels: ``[n]`` int64, as in ``test.class_ids``.
        test: real images, in the normalisation of ``images``.
        network: makes a network, from the number of classes of ``test``.
        training: the protocol.
        networks: trained side by side.
        keys: what everything random is drawn from, with the number of the network.
        on_progress: told of the training, epoch by epoch, then of the images that are evaluated.
    """
    nets = [network(len(test.class_ids)).to(test.device) for _ in range(networks)]
    for i, net in enumerate(nets):
        Initialiser(net)(*keys, i)
    ids = torch.tensor(test.class_ids, device=test.device)
    train(nets, images, torch.searchsorted(ids, labels), training, keys=keys, on_epoch=on_progress)
    for net in nets:
        net.eval()
    index = torch.arange(len(test), device=test.device)
    right = torch.zeros(networks, dtype=torch.int64, device=test.device)
    done = 0
    for part in index.split(512):
        logits = predict(nets, test.take(part), compiled=training.compiled)
        right += (logits.argmax(-1) == test.targets[part]).sum(1)
        done += len(part)
        if on_progress:
            on_progress(Progress("evaluating", done, len(test)))
    return right / len(test)
