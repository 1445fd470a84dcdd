"""Training fresh networks on a small set, many at once, and counting what they get right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cl_condense.augment import DSA
from cl_condense.draws import Purpose, isolated, permutation
from cl_condense.features import at_once
from cl_condense.imageset import ImageSet
from cl_condense.mixing import cutmix
from cl_condense.networks import Initialiser, MakeNet, forward_joined, joinable

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
        cutmix: probability of a mini-batch to be mixed, after augmentation; IDC (arXiv:2205.14959) and M3D have
            .5 for images of 32 pixels.
        decay: what the learning rate is multiplied by after half of the epochs, above 0; 1 keeps the rate, and
            with it the momentum.
        milestones: shares of the epochs, 0 to 1, after which the rate is multiplied by ``decay`` instead, each
            time, and the momentum goes on: ``floor(share * epochs)`` epochs keep the rate before.

    Raises:
        ValueError: for no epochs, empty batches, or a number out of its range.
    """

    epochs: int = 1000
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 256
    augment: DSA | None = field(default_factory=DSA)
    cutmix: float = 0.0
    decay: float = 0.1
    milestones: tuple[float | Fraction, ...] = ()

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"{self.epochs} epochs in batches of {self.batch_size}: give at least 1 of each")
        if not 0 <= self.cutmix <= 1:
            raise ValueError(f"cutmix {self.cutmix} is no probability: give 0 (none) to 1 (every mini-batch)")
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay {self.decay}: give a number above 0 and at most 1 (a constant rate)")
        if not all(0 <= share <= 1 for share in self.milestones):
            raise ValueError(f"milestones {', '.join(map(str, self.milestones))}: give shares from 0 to 1")


def mixed_training(epochs: int = 1000, strategy: str = DSA.strategy) -> Training:
    """The evaluation protocol of IDC and M3D (arXiv:2205.14959; train.py of snu-mllab's code).

    Batches of 64 images; every image through flip, colour and one of crop, scale and rotate; then CutMix, for
    half of the mini-batches; the rate falls to a fifth after two thirds and after five sixths of the epochs.
    Cutout is left out, as their code does beside CutMix. It is for images of 28 and 32 pixels: what they do for
    ImageNet (epochs by images per class, resized crops, colour jitter, lighting) is not here.

    Where their code differs: it mixes no partitioned MNIST, and SVHN neither at one image per class without
    partition; CIFAR-100 has crops and flips in the place of these operations and CIFAR-10's normalisation. Of
    M3D's code only descendants were to be had: that it evaluates in this way is from them and the paper's
    "following previous works", and whether it leaves cutout out is not known. Accuracy is that after the last
    epoch; IDC's code prints the best on the test images beside it.

    Args:
        epochs: 1000 in the papers.
        strategy: words of DSA; SVHN and MNIST have no flip.
    """
    words = [word for word in strategy.split("_") if word != "cutout"]
    augment = DSA("_".join(words) or "none", every=True)
    falls = (Fraction(2, 3), Fraction(5, 6))
    return Training(epochs, batch_size=64, augment=augment, cutmix=0.5, decay=0.2, milestones=falls)


def train(
    nets: Sequence[nn.Module],
    images: Tensor,
    labels: Tensor,
    training: Training,
    *,
    keys: tuple[int, ...],
    on_epoch: OnEpoch | None = None,
) -> Tensor:
    """Trains networks of one architecture side by side, each in its own order and with its own augmentation.

    Args:
        nets: modules that give logits ``[n, classes]``, on the device of the images.
        images: ``[n, c, h, w]`` float32, normalised.
        labels: ``[n]`` int64.
        training: the protocol.
        keys: what shuffling, augmentation and mixing are drawn from, with the number of the network.
        on_epoch: called after every epoch.

    Returns:
        float32 ``[len(nets)]``, on the device: the share of the images that each network got right in the last
        epoch, as augmented and mixed and before the step on their mini-batch; a mixed image's label is its own.
    """
    parameters = [p for net in nets for p in net.parameters() if p.requires_grad]
    rows = torch.arange(len(nets), device=images.device)[:, None]
    right = torch.zeros(len(nets), dtype=torch.int64, device=images.device)
    with isolated(Purpose.SHUFFLE, *keys, device=images.device):  # dropout draws from the global generator
        optimizer = _sgd(parameters, training, training.lr)
        falls = [int(share * training.epochs) for share in training.milestones]
        for epoch in range(training.epochs):
            for group in optimizer.param_groups:
                group["lr"] *= training.decay ** falls.count(epoch)
            if not falls and epoch == training.epochs // 2 + 1 and training.decay != 1:
                # Not lr * decay: 0.1 is not a tenth, but 1 / 0.1 is 10, and so the papers' rate is exact.
                optimizer = _sgd(parameters, training, training.lr / (1 / training.decay))
            order = permutation(len(images), Purpose.SHUFFLE, *keys, epoch, rows, device=images.device)
            for number, batch in enumerate(order.split(training.batch_size, dim=1)):
                optimizer.zero_grad()
                hits = _backward(nets, images[batch], labels[batch], training, *keys, epoch, number)
                optimizer.step()
                if epoch + 1 == training.epochs:
                    right += hits
            if on_epoch:
                on_epoch(epoch + 1, training.epochs)
    return right / len(images)


Mixed = tuple[Tensor, Tensor]
"""Labels of what is mixed in, ``[r, m]``, and the share of pixels that are an image's own, ``[r]``."""


def _backward(nets: Sequence[nn.Module], x: Tensor, y: Tensor, training: Training, *keys: int) -> Tensor:
    """Adds the gradients of a mini-batch ``[r, m, c, h, w]``; how many each network got right, ``[r]``."""
    if training.augment:
        warp = training.augment.draw(range(len(nets)), *keys, images=x.shape[1], device=x.device)
        x = training.augment(x, warp)
    mixed = None
    if training.cutmix:
        x, partner, share = cutmix(x, training.cutmix, *keys)
        mixed = y.gather(1, partner), share
    if joinable(nets, x):
        logits = forward_joined(nets, x)
        _loss(logits, y, mixed).backward()  # type: ignore[no-untyped-call]
        return (logits.argmax(2) == y).sum(1)
    right = torch.zeros(len(nets), dtype=torch.int64, device=x.device)
    for i, net in enumerate(nets):
        row = slice(i, i + 1)
        for part in torch.arange(x.shape[1], device=x.device).split(at_once(net, x[i], training=True)):
            logits = net(x[i, part])[None]
            also = mixed and (mixed[0][row, part], mixed[1][row])
            (_loss(logits, y[row, part], also) * (len(part) / x.shape[1])).backward()
            right[i] += (logits.argmax(2) == y[row, part]).sum()
    return right


def _loss(logits: Tensor, y: Tensor, mixed: Mixed | None) -> Tensor:
    """Mean cross-entropy of each network's images, summed over networks."""
    if mixed is None:
        # A mean over all would divide every network's gradient by their number.
        return F.cross_entropy(logits.flatten(0, 1), y.flatten()) * len(logits)
    (other, share), each = mixed, logits.transpose(1, 2)
    own, others = (F.cross_entropy(each, t, reduction="none").mean(1) for t in (y, other))
    return (share * own + (1 - share) * others).sum()


def _sgd(parameters: Sequence[Tensor], training: Training, lr: float) -> torch.optim.SGD:
    return torch.optim.SGD(
        parameters, lr=lr, momentum=training.momentum, weight_decay=training.weight_decay, foreach=True
    )


@torch.no_grad()
def predict(nets: Sequence[nn.Module], images: Tensor) -> Tensor:
    """Logits ``[r, n, classes]`` of every network for the same images ``[n, c, h, w]``."""
    return torch.stack([net(images) for net in nets])


def score(
    images: Tensor,
    labels: Tensor,
    test: ImageSet,
    *,
    make_net: MakeNet,
    training: Training,
    networks: int,
    keys: tuple[int, ...],
    on_epoch: OnEpoch | None = None,
) -> Tensor:
    """Accuracies ``[networks]`` on ``test`` of fresh networks trained on ``images``, after their last epoch.

    Args:
        images: as for :func:`train`, on the device of ``test``.
        labels: ``[n]`` int64, as in ``test.class_ids``.
        test: real images, in the normalisation of ``images``.
        make_net: makes a network, from the number of classes of ``test``.
        training: the protocol.
        networks: trained side by side.
        keys: what everything random is drawn from, with the number of the network.
        on_epoch: called after every epoch.
    """
    nets = [make_net(len(test.class_ids)).to(test.device) for _ in range(networks)]
    for i, net in enumerate(nets):
        Initialiser(net)(*keys, i)
    ids = torch.tensor(test.class_ids, device=test.device)
    train(nets, images, torch.searchsorted(ids, labels), training, keys=keys, on_epoch=on_epoch)
    for net in nets:
        net.eval()
    index = torch.arange(len(test), device=test.device)
    right = torch.zeros(networks, dtype=torch.int64, device=test.device)
    for part in index.split(512):
        right += (predict(nets, test.take(part)).argmax(-1) == test.targets[part]).sum(1)
    return right / len(test)
