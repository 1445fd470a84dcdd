"""How objectives look at images: what a network makes of a class-major batch, in parts, when asked."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cl_condense.condensation.weight_gradients import gradients_by_class, learning, loss_and_gradients
from cl_condense.networks.contract import Precision, Tap, across_images, at_once, features_of

Objective = Callable[["View", "View"], Tensor]
"""(real, synthetic) -> a scalar, of the same classes through the same network."""


class Statistic(NamedTuple):
    """What an objective reads of every block's maps. It is taken where the maps are made, so none are kept.

    Attributes:
        tap: which maps.
        mean: ``[k, m, c, h, w]`` -> ``[k, ...]``, the mean over m images of something of each; in float32 (or
            float64) though the maps may be bfloat16.
        together: the same of the maps of all blocks, in fewer operations, for a GPU; None: block by block.
    """

    tap: Tap
    mean: Callable[[Tensor], Tensor]
    together: Callable[[Sequence[Tensor]], tuple[Tensor, ...]] | None = None

    def of(self, blocks: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """It of the maps of all blocks, each ``[k, m, c, h, w]``."""
        if self.together and blocks and blocks[0].is_cuda:
            return self.together(blocks)
        return tuple(self.mean(maps) for maps in blocks)


def reading(*statistics: Statistic, labels: bool = False) -> Callable[[Objective], Objective]:
    """Marks an objective with the statistics that it asks its views for, and one that reads their labels."""

    def mark(objective: Objective) -> Objective:
        vars(objective).update(statistics=statistics, labels=labels)
        return objective

    return mark


def statistics_of(objectives: Iterable[Objective]) -> tuple[Statistic, ...]:
    """Those that the objectives read, each once."""
    return tuple(dict.fromkeys(s for objective in objectives for s in getattr(objective, "statistics", ())))


def reads_labels(objective: Objective) -> bool:
    """Whether it is one that learned labels can be learned for."""
    return bool(getattr(objective, "labels", False))


class NetworkOutputs(NamedTuple):
    """What a network makes of k classes of m images, in float32 (or float64).

    Attributes:
        embedding: ``[k, m, d]``.
        logits: ``[k, m, classes]``.
        shape: (c, h, w) that d is the product of; None where the network has no positions.
        statistics: of each statistic and each block ``[k, ...]``.
    """

    embedding: Tensor
    logits: Tensor
    shape: torch.Size | None
    statistics: tuple[tuple[Tensor, ...], ...]


def see(
    net: nn.Module, images: Tensor, statistics: tuple[Statistic, ...], precision: Precision
) -> NetworkOutputs:
    """One pass of ``[k, m, c, h, w]`` through a network."""
    x, taps = images.flatten(0, 1), frozenset(s.tap for s in statistics)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        found = features_of(net, x, taps)
    tapped = {"maps": found.maps, "convs": found.convs}

    def by_class(x: Tensor) -> Tensor:
        return (x.float() if x.dtype == torch.bfloat16 else x).unflatten(0, images.shape[:2])

    return NetworkOutputs(
        by_class(found.embedding),
        by_class(found.logits),
        None if found.pooled is None else found.pooled.shape[1:],
        tuple(s.of([x.unflatten(0, images.shape[:2]) for x in tapped[s.tap]]) for s in statistics),
    )


class Unroll(NamedTuple):
    """How an objective trains a network on synthetic images.

    Attributes:
        steps: of gradient descent.
        rate: of each.
        each: images of each class in a step, in turn; 0: all.
    """

    steps: int
    rate: float
    each: int = 0


See = Callable[[nn.Module, Tensor, tuple[Statistic, ...], Precision], NetworkOutputs]


class View:
    """A class-major batch of k classes as one network sees it; computed when it is first looked at.

    Args:
        net: a network with ``features``.
        images: ``[k, m, c, h, w]``.
        targets: ``[k]`` int64, the logit of each class.
        statistics: those that will be read.
        accuracy: share of real images that the network classifies rightly, 0 to 1; None where it is untrained.
        trained: the network at the end of its training; None where it has none.
        unroll: how an objective trains it on the images; None where none does.
        soft: ``[k, m, k]``, learned labels; None: each image is of its class.
        keys: what an objective draws random numbers from: the seed and the iteration.
        precision: of what the network computes in ``features``; what leaves it is float32 all the same.
        see: how a part of the images goes through the network: ``see``, or its compiled form.

    Attributes:
        chooses: whether some blocks alone are read.
    """

    chooses = False

    def __init__(
        self,
        net: nn.Module,
        images: Tensor,
        targets: Tensor | None = None,
        statistics: tuple[Statistic, ...] = (),
        accuracy: Tensor | None = None,
        *,
        trained: nn.Module | None = None,
        unroll: Unroll | None = None,
        soft: Tensor | None = None,
        keys: tuple[int, ...] = (),
        precision: Precision = "float32",
        see: See = see,
    ) -> None:
        self.net, self.images, self.accuracy, self.keys, self._trained = net, images, accuracy, keys, trained
        self.unroll, self.soft = unroll, soft
        self._statistics, self._precision, self._see = statistics, precision, see
        self.classes = len(images)
        self.targets = torch.arange(self.classes, device=images.device) if targets is None else targets
        # What is computed later is differentiable where the images are, as if it had been computed here.
        self._differentiable = torch.is_grad_enabled() and images.requires_grad

    @cached_property
    def _seen(self) -> NetworkOutputs:
        classes, images = self._parts()
        with torch.set_grad_enabled(self._differentiable):
            if classes == images == 1:
                return self._see(self.net, self.images, self._statistics, self._precision)
            return joined(
                [
                    [self._see(self.net, x, self._statistics, self._precision) for x in row.chunk(images, 1)]
                    for row in self.images.chunk(classes)
                ]
            )

    def _parts(self) -> tuple[int, int]:
        """Into how many parts classes, and images of a class, go through the network."""
        k, m = self.images.shape[:2]
        fitting = at_once(self.net, self.images.flatten(0, 1))
        return math.ceil(k / max(1, fitting // m)), math.ceil(m / fitting)

    @property
    def embedding(self) -> Tensor:
        """``[k, m, d]``."""
        return self._seen.embedding

    @property
    def logits(self) -> Tensor:
        """``[k, m, classes]``."""
        return self._seen.logits

    @property
    def pooled(self) -> Tensor | None:
        """``[k, m, c, h, w]``, the embedding before it is flattened; None where it has no positions."""
        return None if self._seen.shape is None else self.embedding.unflatten(2, self._seen.shape)

    def blocks(self, statistic: Statistic) -> tuple[Tensor, ...]:
        """A statistic of each block's maps, ``[k, ...]``.

        Raises:
            ValueError: for one that the view was not made with.
        """
        if statistic not in self._statistics:
            raise ValueError(f"a view that was not made with {statistic}: mark the objective with @reading")
        return self._seen.statistics[self._statistics.index(statistic)]

    def last_of(self, statistic: Statistic) -> int | None:
        """The place among ``blocks`` of the network's last block; None where that one is not read."""
        return len(self.blocks(statistic)) - 1

    @property
    def labels(self) -> Tensor:
        """``[k, m, k]``, probabilities of the classes of the view, in its order."""
        if self.soft is not None:
            return self.soft
        own = torch.eye(self.classes, device=self.images.device)[:, None]
        return own.expand(-1, self.images.shape[1], -1)

    def of_blocks(self, which: tuple[int, ...]) -> View:
        """The same, of whose blocks these alone are read; they count from 1."""
        return _OfBlocks(self, which)

    @cached_property
    def of_trained(self) -> View:
        """The same images as the network's trained end sees them.

        Raises:
            ValueError: for a network that has none.
        """
        if self._trained is None:
            raise ValueError("an objective under trained networks: give a source that has them, a BlendedPool")
        if self._trained is self.net:
            return self
        with torch.set_grad_enabled(self._differentiable):
            return View(
                self._trained,
                self.images,
                self.targets,
                keys=self.keys,
                precision=self._precision,
                see=self._see,
            )

    @cached_property
    def weight_gradients(self) -> tuple[Tensor, ...]:
        """Gradients of each class's mean cross-entropy, ``[k, *shape]`` for every weight but biases and norms.

        Biases and norms are left out, as the published gradient matching passes over tensors of one dimension.

        Raises:
            ValueError: for a network with batch norm or dropout, in which images depend on one another.
        """
        if module := across_images(self.net):
            raise ValueError(
                f"{type(module).__name__} in {type(self.net).__name__}: gradient matching takes gradients "
                "class by class, for which it has to go: instance norm does"
            )
        if self._differentiable or self.images.is_cuda:
            with torch.set_grad_enabled(self._differentiable):
                return gradients_by_class(self.net, self.images, self.targets)
        with learning(self.net) as named:
            weights = [p for p in named.values() if p.ndim > 1]
            each = [
                self._loss_and_gradients(self.net, images, target.expand(len(images)), weights)[1]
                for images, target in zip(self.images, self.targets, strict=True)
            ]
        return tuple(map(torch.stack, zip(*each, strict=True)))

    def loss_under(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Each class's mean cross-entropy under other weights of the network, summed; differentiable in them.

        The images take no gradient.
        """
        net = copy.deepcopy(self.net)
        with torch.no_grad():
            for name, own in net.named_parameters():
                own.copy_(weights[name])
        targets = self.targets.repeat_interleave(self.images.shape[1])
        with learning(net) as named:
            parameters = [*named.values()]
            mean, gradients = self._loss_and_gradients(net, self.images.flatten(0, 1), targets, parameters)
        pairs = zip((weights[name] for name in named), gradients, strict=True)
        # Zero, with these gradients.
        zero = torch.stack([((p - p.detach()) * gradient).sum() for p, gradient in pairs]).sum()
        return self.classes * (mean + zero)

    def _loss_and_gradients(
        self, net: nn.Module, images: Tensor, targets: Tensor, weights: Sequence[nn.Parameter]
    ) -> tuple[Tensor, list[Tensor]]:
        def logits(x: Tensor) -> Tensor:
            return self._see(net, x[None], (), self._precision).logits[0]

        return loss_and_gradients(net, logits, images, targets, weights)


class _OfBlocks(View):
    """A view of which some blocks are read; what is computed is computed once, by the view that it is of."""

    chooses = True

    def __init__(self, view: View, which: tuple[int, ...]) -> None:
        self.__dict__ = view.__dict__
        self._view, self._which = view, which

    def blocks(self, statistic: Statistic) -> tuple[Tensor, ...]:
        every = self._view.blocks(statistic)
        for number in self._which:
            if not 1 <= number <= len(every):
                raise ValueError(
                    f"block {number} of {len(every)}: give digits from 1 to {len(every)}, such as 12"
                )
        return tuple(every[number - 1] for number in self._which)

    def last_of(self, statistic: Statistic) -> int | None:
        last = len(self._view.blocks(statistic))
        return self._which.index(last) if last in self._which else None


def joined(parts: list[list[NetworkOutputs]]) -> NetworkOutputs:
    """What is seen of classes together: a row of ``parts`` is some classes, a part some images of each."""

    def join(which: Callable[[NetworkOutputs], Tensor]) -> Tensor:
        return torch.cat([torch.cat([which(part) for part in row], 1) for row in parts])

    def mean(row: list[NetworkOutputs], s: int, block: int) -> Tensor:
        shares = [part.embedding.shape[1] for part in row]
        means = [part.statistics[s][block] * (n / sum(shares)) for part, n in zip(row, shares, strict=True)]
        return torch.stack(means).sum(0)

    first = parts[0][0]
    return NetworkOutputs(
        join(lambda part: part.embedding),
        join(lambda part: part.logits),
        first.shape,
        tuple(
            tuple(torch.cat([mean(row, s, block) for row in parts]) for block in range(len(blocks)))
            for s, blocks in enumerate(first.statistics)
        ),
    )
