"""Training fresh networks on a small set, many at once, and counting what they get right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cl_condense.augment import DSA
from cl_condense.draws import Purpose, isolated, permutation
from cl_condense.networks import forward_all

OnEpoch = Callable[[int, int], None]
"""Called with (epochs done, epochs in all)."""


@dataclass(frozen=True)
class Training:
    """The evaluation protocol of DC, DSA, DM and their successors (VICO-UoE/DatasetCondensation).

    SGD with momentum; the learning rate falls to a tenth after half of the epochs, where the momentum starts
    afresh; cross-entropy; augmentation with one operation a mini-batch and parameters of its own for every
    image. The published loop runs one epoch more than its setting says; this one runs what it says.

    Attributes:
        epochs: 1000 in the papers with augmentation, 300 without.
        augment: None trains without.
    """

    epochs: int = 1000
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 256
    augment: DSA | None = field(default_factory=DSA)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"{self.epochs} epochs in batches of {self.batch_size}: give at least 1 of each")


def train(
    nets: Sequence[nn.Module],
    images: Tensor,
    labels: Tensor,
    training: Training,
    *,
    keys: tuple[int, ...],
    on_epoch: OnEpoch | None = None,
) -> None:
    """Trains networks of one architecture side by side, each in its own order and with its own augmentation.

    Args:
        nets: modules that give logits ``[n, classes]``, on the device of the images.
        images: ``[n, c, h, w]`` float32, normalised.
        labels: ``[n]`` int64.
        training: the protocol.
        keys: what shuffling and augmentation are drawn from, with the number of the network.
        on_epoch: called after every epoch.
    """
    parameters = [p for net in nets for p in net.parameters() if p.requires_grad]
    rows = torch.arange(len(nets), device=images.device)[:, None]
    with isolated(Purpose.SHUFFLE, *keys, device=images.device):  # dropout draws from the global generator
        optimizer = _sgd(parameters, training, training.lr)
        for epoch in range(training.epochs):
            if epoch == training.epochs // 2 + 1:
                optimizer = _sgd(parameters, training, training.lr / 10)
            order = permutation(len(images), Purpose.SHUFFLE, *keys, epoch, rows, device=images.device)
            for number, batch in enumerate(order.split(training.batch_size, dim=1)):
                x = images[batch]
                if training.augment:
                    warp = training.augment.draw(
                        range(len(nets)), *keys, epoch, number, images=x.shape[1], device=x.device
                    )
                    x = training.augment(x, warp)
                logits = forward_all(nets, x)
                # A mean over all would divide every network's gradient by their number.
                loss = F.cross_entropy(logits.flatten(0, 1), labels[batch].flatten()) * len(nets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            if on_epoch:
                on_epoch(epoch + 1, training.epochs)


def _sgd(parameters: Sequence[Tensor], training: Training, lr: float) -> torch.optim.SGD:
    return torch.optim.SGD(
        parameters, lr=lr, momentum=training.momentum, weight_decay=training.weight_decay, foreach=True
    )


@torch.no_grad()
def predict(nets: Sequence[nn.Module], images: Tensor) -> Tensor:
    """Logits ``[r, n, classes]`` of every network for the same images ``[n, c, h, w]``."""
    return torch.stack([net(images) for net in nets])
