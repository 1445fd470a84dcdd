"""Training networks on small sets, many side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cl_condense.common.agreement import keeping, taking_up
from cl_condense.common.checkpoint import Checkpoint, State, under
from cl_condense.common.devices import mind_precision, upload
from cl_condense.common.kinds import check_call, check_kind, check_parts
from cl_condense.common.numbers import whole
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.rng import Purpose, isolated
from cl_condense.data.imageset import ImageSet
from cl_condense.networks import joined
from cl_condense.networks.contract import at_once
from cl_condense.networks.joined import forward_joined, joinable
from cl_condense.training.compiling import compiled_joined
from cl_condense.training.cutmix import cutmix, mixed_loss
from cl_condense.training.drawn import Draws, Owners
from cl_condense.training.passes import forward_of, logits_of, parts, taught
from cl_condense.training.protocol import Training
from cl_condense.training.shown import Shown, Some, example, inputs, shape_of

Momentum = list[Tensor]
"""SGD's momentum of a network that trains again and again: a tensor for each of its parameters."""


def at_rest(net: nn.Module) -> Momentum:
    """The momentum of a network that has not trained yet: zeros."""
    return [torch.zeros_like(p, requires_grad=False) for p in net.parameters()]


class TrainJob(NamedTuple):
    """Networks and what they learn, as ``train`` takes them."""

    nets: Sequence[nn.Module]
    images: Shown
    labels: Tensor
    keys: tuple[int, ...]
    momenta: Sequence[Momentum] = ()
    teachers: Sequence[nn.Module] = ()
    """Frozen, of each network one, whose answers for the first outputs are kept; see ``distillation``."""
    numbers: Sequence[int] = ()
    """Of the networks, where they are some of more; what is random for a network has its number as a key."""

    def only(self, numbers: Sequence[int]) -> TrainJob:
        """Some of the networks, which train as they would among all."""
        return self._replace(
            nets=[self.nets[i] for i in numbers],
            momenta=[self.momenta[i] for i in numbers if self.momenta],
            teachers=[self.teachers[i] for i in numbers if self.teachers],
            numbers=numbers,
        )


def train(
    nets: Sequence[nn.Module],
    images: Shown,
    labels: Tensor,
    training: Training,
    *,
    keys: tuple[int, ...],
    momenta: Sequence[Momentum] = (),
    on_progress: OnProgress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Tensor:
    """Trains networks side by side, each in its own order and with its own augmentation.

    Args:
        nets: modules of one architecture that give logits ``[n, classes]``, on the device of the images.
        images: ``[n, c, h, w]`` float32, normalised, or an ImageSet, of which each mini-batch is gathered.
        labels: ``[n]`` int64, or soft: ``[n, classes]`` probabilities of the images' type.
        training: the protocol.
        keys: what shuffling, augmentation and mixing are drawn from, with the number of the network.
        momenta: of each network, for one that goes on where another call left it: changed in place, as the
            weights are. Without them every network starts ``at_rest``.
        on_progress: told after every mini-batch how many epochs are done; 1.5 is in the midst of the second.
        checkpoint: where the training goes on, and leaves its states, the last one too.

    Returns:
        float32 ``[len(nets)]``, on the device: the share of the images that each network got right in the last
        epoch, as augmented and mixed and before the step on their mini-batch; a mixed image's label is its own.
    """
    kind = _type_of(images)
    if not isinstance(images, ImageSet | Some):
        check_networks(nets, images)
    check_kind("training", training, Training, "a Training, such as Training(epochs=300)")
    check_parts("keys", keys, int, "whole numbers, such as (0,)")
    check_call("on_progress", on_progress)
    soft = labels.ndim == 2 and labels.dtype == kind
    if len(labels) != len(images) or not (soft or (labels.ndim == 1 and labels.dtype == torch.int64)):
        given = f"labels of shape {tuple(labels.shape)} and type {labels.dtype} for {len(images)} images"
        raise ValueError(f"{given}: give an int64 for each, or a row of probabilities")
    return train_together([TrainJob(nets, images, labels, keys, momenta)], training, on_progress, checkpoint)[0]


def check_networks(nets: Sequence[nn.Module], images: Tensor) -> None:
    """Raises ValueError for what is no list of networks and no batch of images that they could take."""
    check_kind("nets", nets, list | tuple, "a list of networks, such as [net]")
    if not nets or not all(isinstance(net, nn.Module) for net in nets):
        raise ValueError("nets: give at least one torch.nn.Module, and nothing else")
    check_kind("images", images, Tensor, "a tensor [n, c, h, w]")
    if images.ndim != 4 or 0 in images.shape or not images.is_floating_point():
        given = f"images of shape {tuple(images.shape)} and type {images.dtype}"
        raise ValueError(f"{given}: give normalised floats [n, c, h, w], as ImageSet.take does")


def train_together(
    jobs: Sequence[TrainJob],
    training: Training,
    on_progress: OnProgress | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[Tensor]:
    """Gives what ``train`` gives for each job; joined where their networks and images allow it.

    That is where all are ConvNets that run faster joined (``joinable``), and for
    jobs of equally many images: the memories of several class orders after one step, say. Joined or not, a
    network draws the same numbers. ``on_progress`` counts the epochs of all groups.
    """
    together = Together(jobs, training)
    taking_up(checkpoint, together.restore)
    tell, begun = keeping(checkpoint, together.state, on_progress), together.done
    for progress in together.run():
        tell(progress)
    if together.done > begun:
        tell.end()
    return together.shares()


class Together:
    """Jobs that train together, batch by batch; they can be written down and taken up again."""

    def __init__(self, jobs: Sequence[TrainJob], training: Training) -> None:
        tensors = all(isinstance(job.images, Tensor) for job in jobs)
        nets = [net for each in jobs for net in each.nets]
        joint = tensors and len(jobs) > 1 and joinable(nets, example(jobs[0].images))
        members: dict[object, list[int]] = {}
        for i, job in enumerate(jobs):
            alike = shape_of(job.images), len(job.keys), len(job.teachers)
            members.setdefault(alike if joint else i, []).append(i)
        self._jobs, self._training, self._members = jobs, training, [*members.values()]
        mind_precision(training.precision, jobs[0].images.device)
        self._groups = [_Rows([jobs[i] for i in own], training) for own in self._members]

    @property
    def done(self) -> int:
        """Mini-batches."""
        return sum(group.done for group in self._groups)

    def state(self) -> State:
        """What the rest of the training depends on."""
        return {f"{i}.{k}": v for i, group in enumerate(self._groups) for k, v in group.state().items()}

    def restore(self, state: State) -> None:
        """Goes on where another training of the same jobs was; it ends bit-equal."""
        for i, group in enumerate(self._groups):
            group.restore(under(f"{i}.", state))

    def run(self) -> Iterator[Progress]:
        """Does what is left; yields after every mini-batch, where its state is one to go on from."""
        epochs = self._training.epochs
        for number, group in enumerate(self._groups):
            for own in _train(group, self._training):
                done, total = number * epochs + own, len(self._groups) * epochs
                yield Progress("training", done, total, group.loss, unit="epochs")

    def shares(self) -> list[Tensor]:
        """Of each job's networks the share of images that they got right in the last epoch, ``[r]``."""
        found: dict[int, Tensor] = {}
        for own, group in zip(self._members, self._groups, strict=True):
            share = group.right / group.n
            found |= zip(own, share.split([len(self._jobs[i].nets) for i in own]), strict=True)
        return [found[i] for i in range(len(self._jobs))]


class _Rows:
    """Networks of jobs of equally many images, a row for each, in training.

    Attributes:
        done, most: mini-batches, and how many there are to be.
        loss: of the last mini-batch, the mean over networks.
        right: how many images each network got right in the last epoch so far, ``[r]``.
        optimizer: the present one.
        images: what they are shown.
        labels: ``[jobs, n, ...]``.
        n: images of each job.
        device: of the networks and of what they are shown.
        job: of each network, ``[r, 1]``.
        names: of each network, in the state: its number in a single job, whoever trains the others.
        keys: integers, or where jobs differ a list of one for each network.
        draws: what is random in its mini-batches.
        teachers: of each network, or none.
        momenta: parameters whose momentum is kept, and that momentum.
        forward: logits of one of the networks.
        joined: logits of all, side by side.
    """

    def __init__(self, jobs: Sequence[TrainJob], training: Training) -> None:
        self.nets = [net for job in jobs for net in job.nets]
        self.teachers = [teacher for job in jobs for teacher in job.teachers]
        self.forward = forward_of(self.nets, training.compiled)
        self.momenta = [pair for job in jobs for pair in _kept(job)]
        self.n, self.images = shape_of(jobs[0].images)[0], inputs([job.images for job in jobs])
        self.labels = _stacked([job.labels for job in jobs])
        self.device = device = jobs[0].images.device
        fast = training.compiled and device.type == "cuda"  # a CPU joins networks where a pass is short anyway
        self.joined = compiled_joined() if fast else joined.forward
        places = [(k, i) for k, job in enumerate(jobs) for i in job.numbers or range(len(job.nets))]
        numbers = [i for _, i in places]
        self.names = numbers if len(jobs) == 1 else [*range(len(places))]
        self.job = upload([k for k, _ in places], device)[:, None]
        columns = zip(*(jobs[k].keys for k, _ in places), strict=True)
        self.keys = tuple(each[0] if len({*each}) == 1 else list(each) for each in columns)
        like = torch.empty(shape_of(jobs[0].images)[1:], dtype=_type_of(jobs[0].images), device=device)
        self.draws = Draws(training, Owners(numbers, self.keys), self.n, like)
        self.most = training.epochs * -(-self.n // training.batch_size)
        self.done, self.right = 0, torch.zeros(len(self.nets), dtype=torch.int64, device=device)
        self.loss = torch.zeros((), device=device)
        self.optimizer = _sgd(self, training, training.lr)

    def descend(self, loss: Tensor) -> None:
        """Adds the gradients of a part of a mini-batch, and its loss."""
        loss.backward()  # type: ignore[no-untyped-call]
        self.loss = self.loss + loss.detach() / len(self.nets)

    def state(self) -> State:
        """What the rest of the training depends on; nothing before it begins."""
        if not self.done:
            return {}
        own = {"done": torch.tensor(self.done)}
        own["rate"] = torch.tensor(self.optimizer.param_groups[0]["lr"], dtype=torch.float64)
        for i, net, right in zip(self.names, self.nets, self.right, strict=True):
            own[f"right.{i}"] = right.clone()  # files hold no views
            own |= {f"net.{i}.{name}": value for name, value in net.state_dict().items()}
            for j, p in enumerate(net.parameters()):
                if (momentum := self.optimizer.state[p].get("momentum_buffer")) is not None:
                    own[f"momentum.{i}.{j}"] = momentum
        return own

    def restore(self, state: State) -> None:
        """Goes on where another training of the same networks was; it ends bit-equal."""
        if not state:
            return
        for i, net, right in zip(self.names, self.nets, self.right, strict=True):
            net.load_state_dict(under(f"net.{i}.", state))
            right.copy_(state[f"right.{i}"])
            for j, p in enumerate(net.parameters()):
                if (kept := state.get(f"momentum.{i}.{j}")) is not None:
                    # in place, where it is the job's own; laid out as the parameter
                    own = self.optimizer.state[p].setdefault("momentum_buffer", torch.empty_like(p.detach()))
                    own.copy_(kept)
        for group in self.optimizer.param_groups:
            group["lr"] = float(state["rate"])
        self.done = whole("mini-batches", state["done"].item(), 1, self.most)


def _kept(job: TrainJob) -> Iterator[tuple[Tensor, Tensor]]:
    for net, momentum in zip(job.nets, job.momenta, strict=True) if job.momenta else ():
        yield from zip(net.parameters(), momentum, strict=True)


def _stacked(x: list[Tensor]) -> Tensor:
    return torch.stack(x) if len(x) > 1 else x[0][None]  # which is no copy


def _train(rows: _Rows, training: Training) -> Iterator[float]:
    """Trains all networks side by side, from where they are; yields the epochs done after every mini-batch."""
    device = rows.device
    batches = rows.most // training.epochs
    own = [key[0] if isinstance(key, list) else key for key in rows.keys]
    order: tuple[Tensor, ...] = ()
    while rows.done < rows.most:
        epoch, batch = divmod(rows.done, batches)
        if batch == 0:
            _begin(rows, training, epoch)
        if batch == 0 or not order:
            drawn = rows.draws.order(epoch)
            order = drawn.split(training.batch_size, dim=1)
            elsewhere = partial(rows.draws.order_on, epoch=epoch)
            rows.images.begin(drawn, elsewhere, training.batch_size)
        with isolated(Purpose.SHUFFLE, *own, epoch, batch, device=device):  # dropout draws from the generators
            rows.optimizer.zero_grad()
            rows.loss = torch.zeros((), device=device)
            hits = _backward(rows, order[batch], training, epoch, batch)
            rows.optimizer.step()
        if epoch + 1 == training.epochs:
            rows.right += hits
        rows.done += 1
        yield rows.done / batches


def _begin(rows: _Rows, training: Training, epoch: int) -> None:
    """The rate of an epoch; where it falls in the middle, as in DC's code, momentum starts anew."""
    falls = [int(share * training.epochs) for share in training.milestones]
    for group in rows.optimizer.param_groups:
        group["lr"] *= training.decay ** falls.count(epoch)
    if not falls and epoch == training.epochs // 2 + 1 and training.decay != 1:
        # Not lr * decay: 0.1 is not a tenth, but 1 / 0.1 is 10, and so the papers' rate is exact.
        for _, momentum in rows.momenta:
            momentum.zero_()
        rows.optimizer = _sgd(rows, training, training.lr / (1 / training.decay))


def _backward(rows: _Rows, index: Tensor, training: Training, *keys: int) -> Tensor:
    """Adds the gradients of a mini-batch ``[r, m]``; how many of it each network got right, ``[r]``.

    ``keys`` are the epoch and the number of the mini-batch in it.
    """
    nets, x, y = rows.nets, rows.images.taken(keys[-1], rows.job), rows.labels[rows.job, index]
    if training.augment and (warp := rows.draws.warp(*keys)):
        x = training.augment(x, warp)
    mixed = None
    if cut := rows.draws.cut(*keys):
        x = cutmix(x, cut)
        mixed = y[torch.arange(len(y), device=y.device)[:, None], cut.partner], cut.share
    if joinable(nets, x):
        logits = logits_of(lambda x: forward_joined(nets, x, rows.joined), x, training)
        loss = mixed_loss(logits, y, mixed)
        if rows.teachers:
            loss = loss + taught(logits, lambda x: forward_joined(rows.teachers, x, rows.joined), x, training)
        rows.descend(loss)
        return (logits.argmax(2) == _classes(y)).sum(1)
    right = torch.zeros(len(nets), dtype=torch.int64, device=x.device)
    for i, net in enumerate(nets):
        row, forward = slice(i, i + 1), partial(rows.forward, net)
        for part, filled in parts(x[i], at_once(net, x[i], training=True)):
            targets = y[row, part]
            logits = logits_of(forward, filled, training)[None, : targets.shape[1]]
            also = mixed and (mixed[0][row, part], mixed[1][row])
            loss = mixed_loss(logits, targets, also)
            if rows.teachers:
                loss = loss + taught(logits, partial(rows.forward, rows.teachers[i]), filled, training)
            rows.descend(loss * (targets.shape[1] / x.shape[1]))
            right[i] += (logits.argmax(2) == _classes(targets)).sum()
    return right


def _type_of(images: Shown) -> torch.dtype:
    return images.dtype if isinstance(images, Tensor) else torch.float32


def _classes(y: Tensor) -> Tensor:
    """The class of each label ``[r, m]``, of soft ones ``[r, m, classes]`` the one they say most of."""
    return y if y.ndim == 2 else y.argmax(2)


def _sgd(rows: _Rows, training: Training, lr: float) -> torch.optim.SGD:
    parameters = [p for net in rows.nets for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(
        parameters, lr=lr, momentum=training.momentum, weight_decay=training.weight_decay, foreach=True
    )
    for parameter, momentum in rows.momenta:
        optimizer.state[parameter]["momentum_buffer"] = momentum  # which a step changes in place
    return optimizer
