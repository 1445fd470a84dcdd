"""What an image costs on this machine: short timings that estimates are made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

import numpy as np
import torch

from cl_condense.common.progress import Progress
from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.objectives import mean_matching
from cl_condense.condensation.recipe import Recipe, Term
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.condensation.storage import Pixels
from cl_condense.condensation.view import statistics_of
from cl_condense.data.imageset import ImageSet
from cl_condense.networks.contract import MakeNetwork, at_once, make_feature_net
from cl_condense.networks.init import Initialiser
from cl_condense.networks.joined import joinable
from cl_condense.training.evaluate import predict
from cl_condense.training.protocol import Training
from cl_condense.training.train import train

_CLASSES = 10  # of a network that is timed: its last layer is little of it
_LONG = 0.2  # seconds from which one look is enough
_TOGETHER = 256  # images that a GPU takes together
_KEPT = 10**9  # iterations


Key = tuple[tuple[Hashable, ...], str]
"""What is timed, and the network."""


class Shaped(NamedTuple):
    """Networks of one architecture for images of one shape."""

    make: MakeNetwork
    shape: tuple[int, int, int]


class Looked(NamedTuple):
    """Seconds of an iteration of condensation: for each chunk of classes, real image and synthetic image."""

    chunk: float
    real: float
    synthetic: float


class Trained(NamedTuple):
    """Seconds of training: for each mini-batch and each image in it, of all networks that train together."""

    batch: float
    image: float


@dataclass
class Units:
    """Timings on a device, each done once, with made-up images; no data set is needed.

    Attributes:
        device: to compute on.
        most: seconds that all timings may take, about. What is wanted after them is taken from what was timed,
            by the operations of a forward pass.
    """

    device: torch.device
    most: float = 25.0
    _found: dict[Key, tuple[float, ...]] = field(default_factory=dict, init=False)
    _operations: dict[Key, float] = field(default_factory=dict, init=False)
    _spent: float = field(default=0.0, init=False)

    def looked(self, nets: Shaped, recipe: Recipe) -> Looked:
        """Of an iteration through such networks; terms that read embeddings alone cost nothing beside them."""
        costly = [t for t in recipe.terms if statistics_of([t.objective]) or _gradients(t)]
        terms = (Term(mean_matching), *(Term(t.objective, joint=t.joint) for t in costly))
        plain = Recipe("timed", terms, RandomNets(_KEPT), Pixels("noise"), recipe.augment, iterations=_KEPT)
        plain = replace(plain, lr=1e-6, precision=recipe.precision)
        kind = ("looked", *(t.objective.__name__ for t in terms), plain.augment, plain.precision)
        return Looked(*self._known(kind, nets, lambda: self._looked(nets, plain)))

    def trained(self, nets: Shaped, training: Training, networks: int = 1) -> Trained:
        """Of training so many networks side by side."""
        together, training = networks if self._joined(nets) else 1, replace(training, compiled=False)
        same = replace(training, epochs=3, batch_size=1, milestones=(), decay=1.0)
        found = self._known(("trained", same, together), nets, lambda: self._trained(nets, training, together))
        return Trained(*(seconds * networks / together for seconds in found))

    def tested(self, nets: Shaped) -> float:
        """Seconds of a test image and network."""
        return self._known(("tested",), nets, lambda: self._tested(nets))[0]

    def drawn(self, nets: Shaped) -> float:
        """Seconds in which the weights of a network are drawn."""
        return self._known(("drawn",), nets, lambda: self._drawn(nets))[0]

    def _known(
        self, kind: tuple[Hashable, ...], nets: Shaped, timed: Callable[[], tuple[float, ...]]
    ) -> tuple[float, ...]:
        key = (kind, repr(nets))
        if key not in self._found:
            begun = time.perf_counter()
            near = self._near(kind, nets) if self._spent > self.most else None
            self._found[key] = near or timed()
            self._operations[key] = self._forward(nets)
            self._spent += time.perf_counter() - begun
        return self._found[key]

    def _near(self, kind: tuple[Hashable, ...], nets: Shaped) -> tuple[float, ...] | None:
        """What was timed of this kind with a network most like these, for as many operations."""
        wanted = self._forward(nets)
        like = [key for key in self._found if key[0] == kind] or [
            key for key in self._found if key[0][0] == kind[0]
        ]
        if not like:
            return None
        best = min(like, key=lambda key: abs(np.log(self._operations[key] / wanted)))
        return tuple(each * wanted / self._operations[best] for each in self._found[best])

    def _forward(self, nets: Shaped) -> float:
        """Multiplications of the convolutions and linear layers for one image."""
        counted = 0

        def count(module: torch.nn.Module, _: object, out: torch.Tensor) -> None:
            nonlocal counted
            places = out[0, 0].numel() if out.ndim > 2 else 1
            counted += places * cast(torch.Tensor, module.weight).numel()

        key = (("forward",), repr(nets))
        if key not in self._operations:
            net = make_feature_net(nets.make, _CLASSES, torch.device("cpu")).eval()
            for module in net.modules():
                if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                    module.register_forward_hook(count)
            predict([net], torch.zeros(1, *nets.shape))
            self._operations[key] = max(1, counted)
        return self._operations[key]

    def _net(self, nets: Shaped) -> torch.nn.Module:
        return make_feature_net(nets.make, _CLASSES, self.device)

    def _images(self, nets: Shaped, n: int) -> torch.Tensor:
        return torch.linspace(-1, 1, n * int(np.prod(nets.shape)), device=self.device).view(n, *nets.shape)

    def _joined(self, nets: Shaped) -> bool:
        return joinable([self._net(nets)] * 2, self._images(nets, 1))

    def _looked(self, nets: Shaped, recipe: Recipe) -> tuple[float, ...]:
        net = self._net(nets)
        most = 512 if self.device.type == "cuda" else at_once(net, self._images(nets, 1))
        few = min(most // 8, int(_LONG / 50 / self.tested(nets)))
        if not few:  # a network that takes seconds for a few images: a synthetic one costs 2 to 3 real ones
            each = self._iteration(nets, recipe, 1, 1) / 2 / (1 + 2.5)
            return 0.0, each, 2.5 * each
        sizes = ((4 * few, few), (few, 4 * few), (8 * few, 4 * few))
        seconds = [self._iteration(nets, recipe, *size) for size in sizes]
        counts = np.array([[1.0, 2 * real, 2 * synthetic] for real, synthetic in sizes])
        found = np.linalg.solve(counts, np.array(seconds))
        if (found < 0).any():  # of what little a chunk costs, the noise is more
            # Weighted, so that the least of them counts as much as the largest.
            weighted = counts[:, 1:] / np.array(seconds)[:, None]
            found = np.array([0.0, *np.linalg.lstsq(weighted, np.ones(len(sizes)), rcond=None)[0]])
        chunk, real, synthetic = (max(0.0, float(each)) for each in found)
        return chunk, real, synthetic

    def _iteration(self, nets: Shaped, recipe: Recipe, real: int, synthetic: int) -> float:
        """Seconds of an iteration on two classes with so many real and synthetic images each."""
        have = max(real, synthetic)
        pixels = self._images(nets, 2 * have).mul(127).add(128).to(torch.uint8)
        labels = torch.arange(2, device=self.device).repeat_interleave(have)
        made = ImageSet.of(pixels.cpu(), labels.cpu()).to(self.device)
        own = replace(recipe, real_per_class=real)
        return self._seconds(Condensation(made, own, ipc=synthetic, network=nets.make, chunk=2).step)

    def _trained(self, nets: Shaped, training: Training, together: int) -> tuple[float, ...]:
        own = [self._net(nets).requires_grad_(True) for _ in range(together)]
        most = _TOGETHER if self.device.type != "cpu" else at_once(own[0], self._images(nets, 1), training=True)
        most = min(most, _TOGETHER)
        found: list[tuple[int, float]] = []
        for n in (max(2, most // 4), most):
            ends: list[float] = []

            def on_progress(_: Progress, ends: list[float] = ends) -> None:
                self._wait()
                ends.append(time.perf_counter())

            images, labels = self._images(nets, n), torch.arange(n, device=self.device) % _CLASSES
            epochs = 6 if n * self.tested(nets) * together < _LONG / 4 else 2
            short = replace(training, epochs=epochs, batch_size=n, milestones=(), decay=1.0)
            train(own, images, labels, short, keys=(0,), on_progress=on_progress)
            found.append((n, float(np.median(np.diff(ends)))))
            if found[-1][1] > _LONG:
                break
        return _line(found)

    def _tested(self, nets: Shaped) -> tuple[float, ...]:
        net = self._net(nets).eval()
        n = _TOGETHER if self.device.type != "cpu" else max(2, 16 * 1024 // int(np.prod(nets.shape[1:])))
        images = self._images(nets, n)
        return (self._seconds(lambda: predict([net], images)) / n,)

    def _drawn(self, nets: Shaped) -> tuple[float, ...]:
        draw = Initialiser(self._net(nets).requires_grad_(False))
        return (self._seconds(lambda: draw(0, 0)),)

    def _seconds(self, work: Callable[[], object]) -> float:
        """Of a piece of work, after a first time; the median of a few."""
        found: list[float] = []
        while len(found) < 6 and sum(found) < _LONG:
            if not found:
                work()
            self._wait()
            begun = time.perf_counter()
            work()
            self._wait()
            found.append(time.perf_counter() - begun)
        return float(np.median(found))

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _gradients(term: Term) -> bool:
    return term.objective.__module__.endswith(".gradients")


def _line(found: list[tuple[int, float]]) -> tuple[float, float]:
    """Seconds of a call and of an image in it."""
    (n, seconds), (m, more) = found[0], found[-1]
    each = (more - seconds) / (m - n) if m > n else 0.0
    if each <= 0:
        return 0.0, more / m
    return max(0.0, seconds - each * n), min(each, more / m)
