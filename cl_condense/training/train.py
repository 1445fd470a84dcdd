"""Training networks on small sets, many side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cl_condense.common.kinds import check_call, check_kind, check_parts
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.rng import Key, Purpose, isolated, permutation
from cl_condense.networks.contract import at_once
from cl_condense.networks.convnet import ConvNet
from cl_condense.networks.joined import forward_joined, joinable
from cl_condense.training.compiling import compiled_logits, plain_logits
from cl_condense.training.cutmix import cutmix
from cl_condense.training.protocol import Training

Momentum = list[Tensor]
"""SGD's momentum of a network that trains again and again: a tensor for each of its parameters."""


def at_rest(net: nn.Module) -> Momentum:
    """The momentum of a network that has not trained yet: zeros."""
    return [torch.zeros_like(p, requires_grad=False) for p in net.parameters()]


class TrainJob(NamedTuple):
    """Networks and what they learn, as ``train`` takes them."""

    nets: Sequence[nn.Module]
    images: Tensor
    labels: Tensor
    keys: tuple[int, ...]
    momenta: Sequence[Momentum] = ()


def train(
    nets: Sequence[nn.Module],
    images: Tensor,
    labels: Tensor,
    training: Training,
    *,
    keys: tuple[int, ...],
    momenta: Sequence[Momentum] = (),
    on_epoch: OnProgress | None = None,
) -> Tensor:
    """Trains networks side by side, each in its own order and with its own augmentation.

    Args:
        nets: modules of one architecture that give logits ``[n, classes]``, on the device of the images.
        images: ``[n, c, h, w]`` float32, normalised.
        labels: ``[n]`` int64.
        training: the protocol.
        keys: what shuffling, augmentation and mixing are drawn from, with the number of the network.
        momenta: of each network, for one that goes on where another call left it: changed in place, as the
            weights are. Without them every network starts ``at_rest``.
        on_epoch: told of the training after every epoch.

    Returns:
        float32 ``[len(nets)]``, on the device: the share of the images that each network got right in the last
        epoch, as augmented and mixed and before the step on their mini-batch; a mixed image's label is its own.
    """
    check_networks(nets, images)
    check_kind("training", training, Training, "a Training, such as Training(epochs=300)")
    check_parts("keys", keys, int, "whole numbers, such as (0,)")
    check_call("on_epoch", on_epoch)
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        given = f"labels of shape {tuple(labels.shape)} and type {labels.dtype} for {len(images)} images"
        raise ValueError(f"{given}: give an int64 for each")
    return train_together([TrainJob(nets, images, labels, keys, momenta)], training, on_epoch)[0]


def check_networks(nets: object, images: object) -> None:
    """Raises ValueError for what is no list of networks and no batch of images that they could take."""
    check_kind("nets", nets, list | tuple, "a list of networks, such as [net]")
    if not nets or not all(isinstance(net, nn.Module) for net in nets):  # type: ignore[attr-defined]
        raise ValueError("nets: give at least one torch.nn.Module, and nothing else")
    check_kind("images", images, Tensor, "a tensor [n, c, h, w]")
    assert isinstance(images, Tensor)  # for the type checker
    if images.ndim != 4 or 0 in images.shape or not images.is_floating_point():
        given = f"images of shape {tuple(images.shape)} and type {images.dtype}"
        raise ValueError(f"{given}: give normalised floats [n, c, h, w], as ImageSet.take does")


def train_together(
    jobs: Sequence[TrainJob], training: Training, on_epoch: OnProgress | None = None
) -> list[Tensor]:
    """Gives what ``train`` gives for each job; joined where their networks and images allow it.

    That is where all are ConvNets that run faster joined (``joinable``), and for
    jobs of equally many images: the memories of several class orders after one step, say. Joined or not, a
    network draws the same numbers. ``on_epoch`` counts those of all groups.
    """
    joint = len(jobs) > 1 and joinable([net for each in jobs for net in each.nets], jobs[0].images)
    groups: dict[Any, list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault((job.images.shape, len(job.keys)) if joint else i, []).append(i)
    found: dict[int, Tensor] = {}
    for number, members in enumerate(groups.values()):

        def count(epoch: int, before: int = number * training.epochs) -> None:
            if on_epoch:
                on_epoch(Progress("training", before + epoch, len(groups) * training.epochs))

        right = _train(_Rows([jobs[i] for i in members], training.compiled), training, count)
        found |= zip(members, right.split([len(jobs[i].nets) for i in members]), strict=True)
    return [found[i] for i in range(len(jobs))]


Forward = Callable[[nn.Module, Tensor], Tensor]
"""Logits ``[n, classes]`` of a network for images ``[n, c, h, w]``."""


def forward_of(nets: Sequence[nn.Module], compiled: bool) -> Forward:
    """How logits of networks are computed: through torch.compile where it is wanted and all are ConvNets."""
    return compiled_logits() if compiled and all(type(net) is ConvNet for net in nets) else plain_logits


class _Rows:
    """A row for each network of jobs of equally many images.

    Attributes:
        images, labels: ``[jobs, n, ...]``.
        job, number: of each network, ``[r, 1]``: its job, and its number in it.
        keys: integers, or where jobs differ a list of one for each network.
        device_keys: the same as draws on the device take them, ``[r, 1]`` for a list.
        momenta: parameters whose momentum is kept, and that momentum.
        forward: logits of one of the networks.
    """

    def __init__(self, jobs: Sequence[TrainJob], compiled: bool) -> None:
        self.nets = [net for job in jobs for net in job.nets]
        self.forward = forward_of(self.nets, compiled)
        self.momenta = [pair for job in jobs for pair in _kept(job)]
        self.images = _stacked([job.images for job in jobs])
        self.labels = _stacked([job.labels for job in jobs])
        device = self.images.device
        places = [(k, i) for k, job in enumerate(jobs) for i in range(len(job.nets))]
        self.numbers = [i for _, i in places]
        self.job, self.number = torch.tensor(places, device=device).T[..., None]
        columns = zip(*(jobs[k].keys for k, _ in places), strict=True)
        self.keys = tuple(each[0] if len({*each}) == 1 else list(each) for each in columns)
        self.device_keys: tuple[Key, ...] = tuple(
            torch.tensor(k, device=device)[:, None] if isinstance(k, list) else k for k in self.keys
        )


def _kept(job: TrainJob) -> Iterator[tuple[Tensor, Tensor]]:
    for net, momentum in zip(job.nets, job.momenta, strict=True) if job.momenta else ():
        yield from zip(net.parameters(), momentum, strict=True)


def _stacked(x: list[Tensor]) -> Tensor:
    return torch.stack(x) if len(x) > 1 else x[0][None]  # which is no copy


def _train(rows: _Rows, training: Training, on_epoch: Callable[[int], None]) -> Tensor:
    """Trains all networks side by side; the share of images that each got right, ``[r]``."""
    n, device = rows.images.shape[1], rows.images.device
    right = torch.zeros(len(rows.nets), dtype=torch.int64, device=device)
    own = (key[0] if isinstance(key, list) else key for key in rows.keys)
    with isolated(Purpose.SHUFFLE, *own, device=device):  # dropout draws from the global generator
        optimizer = _sgd(rows, training, training.lr)
        falls = [int(share * training.epochs) for share in training.milestones]
        for epoch in range(training.epochs):
            for group in optimizer.param_groups:
                group["lr"] *= training.decay ** falls.count(epoch)
            if not falls and epoch == training.epochs // 2 + 1 and training.decay != 1:
                # Not lr * decay: 0.1 is not a tenth, but 1 / 0.1 is 10, and so the papers' rate is exact.
                for _, momentum in rows.momenta:
                    momentum.zero_()
                optimizer = _sgd(rows, training, training.lr / (1 / training.decay))
            order = permutation(n, Purpose.SHUFFLE, *rows.device_keys, epoch, rows.number, device=device)
            for batch, index in enumerate(order.split(training.batch_size, dim=1)):
                optimizer.zero_grad()
                hits = _backward(rows, index, training, epoch, batch)
                optimizer.step()
                if epoch + 1 == training.epochs:
                    right += hits
            on_epoch(epoch + 1)
    return right / n


Mixed = tuple[Tensor, Tensor]
"""Labels of what is mixed in, ``[r, m]``, and the share of pixels that are an image's own, ``[r]``."""


def _backward(rows: _Rows, index: Tensor, training: Training, *keys: int) -> Tensor:
    """Adds the gradients of a mini-batch ``[r, m]``; how many of it each network got right, ``[r]``."""
    nets, x, y = rows.nets, rows.images[rows.job, index], rows.labels[rows.job, index]
    if training.augment:
        warp = training.augment.draw(rows.numbers, *rows.keys, *keys, images=x.shape[1], device=x.device)
        x = training.augment(x, warp)
    mixed = None
    if training.cutmix:
        x, partner, share = cutmix(x, training.cutmix, *rows.device_keys, *keys, rows=rows.number)
        mixed = y.gather(1, partner), share
    if joinable(nets, x):
        logits = _logits(lambda x: forward_joined(nets, x), x, training)
        _loss(logits, y, mixed).backward()  # type: ignore[no-untyped-call]
        return (logits.argmax(2) == y).sum(1)
    right = torch.zeros(len(nets), dtype=torch.int64, device=x.device)
    for i, net in enumerate(nets):
        row, forward = slice(i, i + 1), partial(rows.forward, net)
        for part, filled in parts(x[i], at_once(net, x[i], training=True)):
            targets = y[row, part]
            logits = _logits(forward, filled, training)[None, : targets.shape[1]]
            also = mixed and (mixed[0][row, part], mixed[1][row])
            (_loss(logits, targets, also) * (targets.shape[1] / x.shape[1])).backward()
            right[i] += (logits.argmax(2) == targets).sum()
    return right


def parts(x: Tensor, most: int) -> Iterator[tuple[slice, Tensor]]:
    """Images ``[m, c, h, w]`` in parts of one size, for which a compiled network has one form.

    The last part, if it is short, is filled up with the first images, whose logits are to be cut off.
    """
    size = -(-len(x) // -(-len(x) // most))
    for start in range(0, len(x), size):
        part = x[start : start + size]
        short = size - len(part)
        yield slice(start, start + len(part)), torch.cat([part, x[:short]]) if short else part


def _logits(net: Callable[[Tensor], Tensor], x: Tensor, training: Training) -> Tensor:
    if training.precision == "float32":
        return net(x)
    with torch.autocast(x.device.type, torch.bfloat16):
        return net(x).float()


def _loss(logits: Tensor, y: Tensor, mixed: Mixed | None) -> Tensor:
    """Mean cross-entropy of each network's images, summed over networks."""
    if mixed is None:
        # A mean over all would divide every network's gradient by their number.
        return F.cross_entropy(logits.flatten(0, 1), y.flatten()) * len(logits)
    (other, share), each = mixed, logits.transpose(1, 2)
    own, others = (F.cross_entropy(each, t, reduction="none").mean(1) for t in (y, other))
    return (share * own + (1 - share) * others).sum()


def _sgd(rows: _Rows, training: Training, lr: float) -> torch.optim.SGD:
    parameters = [p for net in rows.nets for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(
        parameters, lr=lr, momentum=training.momentum, weight_decay=training.weight_decay, foreach=True
    )
    for parameter, momentum in rows.momenta:
        optimizer.state[parameter]["momentum_buffer"] = momentum  # which a step changes in place
    return optimizer
