"""Networks that train while they are looked through: on the synthetic images, or on real ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

from cl_condense.common.checkpoint import State
from cl_condense.common.numbers import check_whole, finite
from cl_condense.common.rng import Purpose
from cl_condense.condensation.paper_settings import Tuned, settled
from cl_condense.condensation.sources.contract import (
    Images,
    RunningSource,
    SampledNetwork,
    SourceContext,
)
from cl_condense.condensation.sources.untrained import Redrawn, fit
from cl_condense.data.ahead import in_parts
from cl_condense.networks.contract import across_images
from cl_condense.training.augment import DSA
from cl_condense.training.evaluate import predict
from cl_condense.training.protocol import Training
from cl_condense.training.shown import Some
from cl_condense.training.train import at_rest


@dataclass(frozen=True)
class InnerLoop:
    """Networks that train on the synthetic images as these change (DC, arXiv:2006.05929).

    A new random network every ``outer`` iterations; after each of them but the last it trains on the synthetic
    images of the moment for ``inner`` epochs, augmented where the method augments.
    """

    outer: int | Tuned
    inner: int | Tuned

    def __post_init__(self) -> None:
        check_whole(self, "outer", "inner")

    def start(self, context: SourceContext) -> RunningSource:
        return _Inner(self, context)


class _Inner:
    def __init__(self, nets: InnerLoop, context: SourceContext) -> None:
        self._outer, self._redrawn = settled(nets.outer), Redrawn(context)
        self._training = _plain_sgd(settled(nets.inner), context)
        self.state, self.restore = self._redrawn.state, self._redrawn.restore

    def at(self, iteration: int) -> SampledNetwork:
        return self._redrawn.draw(iteration // self._outer)

    def advance(self, iteration: int, images: Images) -> None:
        if (iteration + 1) % self._outer:
            self._redrawn.fit(images(), self._training, iteration)


@dataclass(frozen=True)
class DynamicLoop:
    """CAFE's networks (arXiv:2203.01531): trained on the synthetic images for as long as it helps.

    After each iteration the network's accuracy on real images is taken. Where the last ``window`` of them span
    less than ``settled``, a new random network comes. Otherwise it trains on the synthetic images, epoch by
    epoch, until its last ``window`` accuracies span more than ``moved``. The authors' loop may then go on for
    ever, and does where the accuracy stays flat; here it ends after ``epochs`` at the latest. Their watchers
    mix each accuracy with the one before, by mistake; these do not.
    """

    settled: float = 0.04
    moved: float = 0.03
    window: int = 10
    epochs: int = 30
    real_per_class: int = 128

    def __post_init__(self) -> None:
        check_whole(self, "window", "epochs", "real_per_class")
        for name in ("settled", "moved"):
            object.__setattr__(self, name, finite(name, getattr(self, name)))

    def start(self, context: SourceContext) -> RunningSource:
        return _Dynamic(self, context)


class _Dynamic:
    def __init__(self, nets: DynamicLoop, context: SourceContext) -> None:
        self._nets, self._scene, self._redrawn = nets, context, Redrawn(context)
        self._count, self._outer = 0, _Watcher(nets.window)
        self._training = _plain_sgd(1, context)

    def at(self, iteration: int) -> SampledNetwork:
        return self._redrawn.draw(self._count)

    def advance(self, iteration: int, images: Images) -> None:
        span = self._outer.span(self._accuracy(iteration, 0))
        if span is not None and span < self._nets.settled:
            self._count, self._outer = self._count + 1, _Watcher(self._nets.window)
            return
        inner = _Watcher(self._nets.window)
        for epoch in range(1, self._nets.epochs + 1):
            self._redrawn.fit(images(), self._training, iteration, epoch)
            span = inner.span(self._accuracy(iteration, epoch))
            if span is not None and span > self._nets.moved:
                return

    def state(self) -> State:
        seen = torch.tensor(self._outer.last, dtype=torch.float64)
        return {**self._redrawn.state(), "count": torch.tensor(self._count), "accuracies": seen}

    def restore(self, state: State) -> None:
        self._redrawn.restore(state)
        self._count = int(state["count"])
        self._outer = _Watcher(self._nets.window, state["accuracies"].tolist())

    def _accuracy(self, *keys: int) -> float:
        """The leader's of the ranks, so that all decide alike."""
        return self._scene.ranks.once(lambda: self._real_accuracy(*keys))

    @torch.no_grad()
    def _real_accuracy(self, *keys: int) -> float:
        real = self._scene.real
        index = real.draw(self._nets.real_per_class, Purpose.TRAIN_NET, self._scene.seed, *keys)
        targets = torch.arange(len(index), device=real.device).repeat_interleave(index.shape[1])
        net, reduced = self._redrawn.net, self._training.precision == "bfloat16"
        size = index.numel() if across_images(net) else 512
        with torch.autocast(real.device.type, torch.bfloat16, enabled=reduced):
            guesses = [
                predict([net], x, compiled=self._training.compiled)[0].argmax(1)
                for x in in_parts(real, index.flatten(), size)
            ]
        return float((torch.cat(guesses) == targets).float().mean())


class _Watcher:
    """How far the last accuracies span; None before there are enough of them."""

    def __init__(self, window: int, last: Iterable[float] = ()) -> None:
        self._window, self.last = window, list(last)

    def span(self, accuracy: float) -> float | None:
        self.last = [*self.last, accuracy][-self._window :]
        return max(self.last) - min(self.last) if len(self.last) == self._window else None


@dataclass(frozen=True)
class RealTraining:
    """Networks that train on real images while they are looked through (IDC, arXiv:2205.14959).

    A new random network every ``steps`` iterations; after each of them but the last it trains on ``images``
    real ones in batches of 64, with CutMix on half of the batches and ``augment``. Its momentum goes on from
    one training to the next, as in the authors' code.
    """

    steps: int = 100
    images: int | Tuned = 2000
    cutmix: float = 0.5
    augment: DSA = field(default_factory=lambda: DSA("color_crop", every=True))

    def __post_init__(self) -> None:
        check_whole(self, "steps", "images")
        object.__setattr__(self, "cutmix", finite("cutmix", self.cutmix, at_least=0, at_most=1))

    def start(self, context: SourceContext) -> RunningSource:
        return _RealTraining(self, context)


class _RealTraining:
    def __init__(self, nets: RealTraining, context: SourceContext) -> None:
        self._nets, self._real, self._seed, self._redrawn = nets, context.real, context.seed, Redrawn(context)
        self._ranks = context.ranks
        training = Training(1, batch_size=64, decay=1.0, cutmix=nets.cutmix, augment=nets.augment)
        self._training = context.fast(training)
        self._momentum = at_rest(self._redrawn.net)

    def at(self, iteration: int) -> SampledNetwork:
        look = self._redrawn.draw(iteration // self._nets.steps)
        if look.age == 0:
            for momentum in self._momentum:
                momentum.zero_()
        return look

    def advance(self, iteration: int, images: Images) -> None:
        if (iteration + 1) % self._nets.steps:
            index, targets = self._real.sample(
                settled(self._nets.images), Purpose.TRAIN_NET, self._seed, iteration
            )
            nets, x, keys = [self._redrawn.net], Some(self._real, index), (self._seed, iteration)
            fit(nets, x, targets, self._training, *keys, momenta=[self._momentum], ranks=self._ranks)

    def state(self) -> State:
        return self._redrawn.state() | {f"momentum.{i}": m for i, m in enumerate(self._momentum)}

    def restore(self, state: State) -> None:
        self._redrawn.restore(state)
        for i, momentum in enumerate(self._momentum):
            momentum.copy_(state[f"momentum.{i}"])


def _plain_sgd(epochs: int, context: SourceContext) -> Training:
    """DC's: learning rate 0.01 and nothing else."""
    plain = Training(epochs, momentum=0.0, weight_decay=0.0, decay=1.0, augment=context.augment)
    return context.fast(plain)
