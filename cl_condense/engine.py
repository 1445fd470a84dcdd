"""The one loop that every optimising method goes through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from cl_condense.augment import DSA, Warp
from cl_condense.condensed import CondensedSet
from cl_condense.draws import Purpose
from cl_condense.features import Tap, View
from cl_condense.imageset import ImageSet
from cl_condense.networks import MakeNet
from cl_condense.objectives import Objective
from cl_condense.sources import RandomNets
from cl_condense.synthetic import Pixels, Synthetic, decode

_ABSURD = 1e4  # normalised pixels of real images stay below 10
_CHECK_EVERY = 500  # iterations between looks at the pixels, which wait for the device


class Progress(NamedTuple):
    """Where a condensation is: ``loss`` stays on the device until somebody looks at it."""

    iteration: int
    iterations: int
    loss: Tensor | None = None


OnStep = Callable[[Progress], None]


class Method(Protocol):
    """All that the outside sees of a method; recipes and coresets alike."""

    @property
    def name(self) -> str: ...

    @property
    def iterations(self) -> int: ...

    def settings(self) -> dict[str, Any]:
        """Name and settings as plain data, for records."""
        ...

    def __call__(
        self, real: ImageSet, *, ipc: int, make_net: MakeNet, seed: int = 0, on_step: OnStep | None = None
    ) -> CondensedSet:
        """Condenses every class of ``real`` to ``ipc`` images."""
        ...


@dataclass(frozen=True)
class Term:
    """A weighted objective; ``taps`` names the maps that it reads (see Features)."""

    objective: Objective
    weight: float = 1.0
    taps: frozenset[Tap] = frozenset()


@dataclass(frozen=True)
class Recipe:
    """A method as data. Derive a variant with :func:`dataclasses.replace`; the defaults are DM's.

    Attributes:
        terms: what the synthetic images are optimised for.
        synthetic: how they are stored and started.
        augment: drawn once per class and iteration, applied to real and synthetic images alike.
        iterations: optimiser steps.
        steps_per_net: optimiser steps for which a network is kept.
        real_per_class: real images in a step, or all of a class that has fewer.
        lr, momentum: of the SGD on the pixels.
    """

    name: str
    terms: tuple[Term, ...]
    synthetic: Synthetic = field(default_factory=Pixels)
    augment: DSA = field(default_factory=DSA)
    iterations: int = 20_000
    steps_per_net: int = 1
    real_per_class: int = 256
    lr: float = 1.0
    momentum: float = 0.5

    def settings(self) -> dict[str, Any]:
        weights: dict[str, float] = {}
        for term in self.terms:
            name = term.objective.__name__
            weights[name] = weights.get(name, 0.0) + term.weight
        return {
            "name": self.name,
            "terms": weights,
            "synthetic": repr(self.synthetic),
            "augment": repr(self.augment),
            "iterations": self.iterations,
            "steps_per_net": self.steps_per_net,
            "real_per_class": self.real_per_class,
            "lr": self.lr,
            "momentum": self.momentum,
        }

    def __call__(
        self, real: ImageSet, *, ipc: int, make_net: MakeNet, seed: int = 0, on_step: OnStep | None = None
    ) -> CondensedSet:
        return condense(real, self, ipc=ipc, make_net=make_net, seed=seed, on_step=on_step)


def condense(
    real: ImageSet,
    recipe: Recipe,
    *,
    ipc: int,
    make_net: MakeNet,
    seed: int = 0,
    on_step: OnStep | None = None,
    chunk: int | None = None,
) -> CondensedSet:
    """Optimises ``ipc`` synthetic images for each class of ``real``.

    One seed gives the same images, and the images of a class do not depend on the other classes (but for
    rounding): every draw has (seed, class, iteration) as its key and objectives sum over classes. That is
    also what bounds the memory: classes go through the network ``chunk`` at a time and their gradients add up.

    Args:
        real: the images, on the device to compute on; normalised when they are gathered.
        recipe: the method.
        ipc: stored images per class.
        make_net: makes the network to look through; its ``features`` gives embedding and maps.
        seed: one integer for everything that is random.
        on_step: called after every iteration.
        chunk: classes per forward pass; None fits it to the device (about 512 real images on a CPU, a
            quarter of the free memory elsewhere).

    Returns:
        the set, on the CPU.

    Raises:
        ValueError: for a budget that does not fit the classes, or pixels that stopped being finite.
    """
    check_ipc(ipc, real)
    nets = RandomNets(
        make_net, len(real.class_ids), seed=seed, device=real.device, steps_per_net=recipe.steps_per_net
    )
    pixels = recipe.synthetic.start(real, ipc, seed).contiguous()
    pixels.grad = torch.zeros_like(pixels)
    optimizer = torch.optim.SGD([pixels], lr=recipe.lr, momentum=recipe.momentum)
    chunks = _chunks(real, recipe, chunk or _fitting_chunk(real, ipc, recipe))
    for iteration in range(recipe.iterations):
        net = nets.at(iteration)
        losses = []
        for part in chunks:
            index = real.draw(part.images, Purpose.REAL_BATCH, seed, iteration, rows=part.rows)
            leaf = pixels[part.rows].requires_grad_()
            warp = recipe.augment.draw(part.class_ids, seed, iteration, device=real.device)
            loss = _loss(recipe, net, real.take(index), leaf, warp)
            pixels.grad[part.rows] = torch.autograd.grad(loss, leaf)[0]
            losses.append(loss.detach())
        optimizer.step()
        if iteration % _CHECK_EVERY == 0 or iteration + 1 == recipe.iterations:
            _check_finite(pixels, recipe, iteration)
        if on_step:
            on_step(Progress(iteration + 1, recipe.iterations, torch.stack(losses).sum()))
    return as_condensed(real, pixels, recipe.settings(), seed, recipe.synthetic.factor)


def _loss(recipe: Recipe, net: nn.Module, real: Tensor, pixels: Tensor, warp: Warp) -> Tensor:
    """Weighted terms of k classes: real ``[k, m, c, h, w]`` against stored pixels ``[k, ipc, c, h, w]``."""
    taps = frozenset[Tap]().union(*(term.taps for term in recipe.terms))
    views = []
    for images, grad in ((real, False), (decode(pixels, recipe.synthetic.factor), True)):
        with torch.set_grad_enabled(grad):
            warped = recipe.augment(images, warp).flatten(0, 1)
            views.append(View(net.features(warped, taps), len(real)))  # type: ignore[operator]
    return torch.stack([term.weight * term.objective(*views) for term in recipe.terms]).sum()


def as_condensed(
    real: ImageSet, pixels: Tensor, settings: dict[str, Any], seed: int, factor: int = 1
) -> CondensedSet:
    """A CondensedSet of pixels ``[k, ipc, c, h, w]`` for the classes of ``real``."""
    return CondensedSet(
        pixels=pixels.flatten(0, 1).float().cpu().clone(),
        class_ids=real.class_ids,
        counts=(pixels.shape[1],) * len(real.class_ids),
        mean=real.mean,
        std=real.std,
        factor=factor,
        names=real.names,
        recipe=settings,
        seed=seed,
        versions={"cl-condense": version("cl-condense"), "torch": torch.__version__},
    )


def check_ipc(ipc: int, real: ImageSet) -> None:
    """Raises ValueError for a budget below one image per class, or above the images that a class has."""
    if ipc < 1:
        raise ValueError(f"{ipc} images per class: give at least 1")
    fewest = min(real.counts)
    if ipc > fewest:
        scarce = real.class_ids[real.counts.index(fewest)]
        raise ValueError(f"{ipc} images per class, but class {scarce} has {fewest}: give at most {fewest}")


def _check_finite(pixels: Tensor, recipe: Recipe, iteration: int) -> None:
    if not bool((pixels.abs() < _ABSURD).all()):  # false for NaN too
        raise ValueError(
            f"{recipe.name} diverged: pixels beyond {_ABSURD:g} or NaN by iteration {iteration}; "
            f"lower the learning rate (now {recipe.lr}) or the weights of its terms"
        )


class _Chunk(NamedTuple):
    """Classes that go through the network together, with the same number of real images each."""

    images: int
    rows: Tensor
    class_ids: tuple[int, ...]


def _real_batch(recipe: Recipe, count: int) -> int:
    """Real images a step of a class of ``count``: of a small class all, from 65 on up to 15 of them twice.

    So classes of about one size share a forward pass, and yet the number depends on the class alone.
    """
    return min(recipe.real_per_class, count if count <= 64 else -(-count // 16) * 16)


def _chunks(real: ImageSet, recipe: Recipe, size: int) -> list[_Chunk]:
    batches = [_real_batch(recipe, n) for n in real.counts]
    chunks = []
    for images in sorted(set(batches)):
        rows = [i for i, n in enumerate(batches) if n == images]
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            ids = tuple(real.class_ids[i] for i in part)
            chunks.append(_Chunk(images, torch.tensor(part, device=real.device), ids))
    return chunks


def _fitting_chunk(real: ImageSet, ipc: int, recipe: Recipe) -> int:
    images = _real_batch(recipe, max(real.counts)) + ipc * recipe.synthetic.factor**2
    if real.device.type == "cpu":
        return max(1, 512 // images)
    # An image of the papers' ConvNet: the first block's convolution, norm and pooling, 128 filters, and half
    # as much again for the others.
    per_image = 4 * 128 * real.shape[1] * real.shape[2] * 4
    free = torch.cuda.mem_get_info(real.device)[0] if real.device.type == "cuda" else 2**32
    return max(1, int(free / 4 // (images * per_image)))


def modify(recipe: Recipe, suffix: str, *terms: Term) -> Recipe:
    """The recipe with further terms, named ``base+suffix``."""
    return replace(recipe, name=f"{recipe.name}+{suffix}", terms=recipe.terms + terms)
