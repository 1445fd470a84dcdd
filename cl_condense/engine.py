"""The one loop that every optimising method goes through."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor

from cl_condense.augment import DSA, Warp
from cl_condense.chunks import Chunk, chunks
from cl_condense.compiling import compiled
from cl_condense.condensed import CondensedSet
from cl_condense.draws import Purpose
from cl_condense.features import Precision, View, see, statistics_of
from cl_condense.imageset import ImageSet, check_ipc
from cl_condense.networks import MakeNet
from cl_condense.objectives import Objective
from cl_condense.sources import Look, Nets, RandomNets, Scene, State
from cl_condense.synthetic import Pixels, Synthetic, decode
from cl_condense.tuned import Tuned, settle, settled

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

    def settings(self) -> dict[str, Any]:
        """Name and settings as plain data, for records."""
        ...

    def __call__(
        self, real: ImageSet, *, ipc: int, make_net: MakeNet, seed: int = 0, on_step: OnStep | None = None
    ) -> CondensedSet:
        """Condenses every class of ``real`` to ``ipc`` images."""
        ...


Space = Literal["normalised", "unit"]

When = Callable[[float, int], bool]
"""(share of the iterations done, iterations with the present network) -> whether a term counts."""


@dataclass(frozen=True)
class Term:
    """A weighted objective.

    Attributes:
        nets: networks of its own; None: the recipe's.
        when: None: always.
        joint: it looks at all classes at once, so that they cannot go through the network in chunks.
    """

    objective: Objective
    weight: float | Tuned = 1.0
    nets: Nets | None = None
    when: When | None = None
    joint: bool = False

    def of(self, real: View, syn: View) -> Tensor:
        """Weight times objective."""
        return self.weight * self.objective(real, syn)  # type: ignore[operator] # settled by then


@dataclass(frozen=True)
class Recipe:
    """A method as data. Derive a variant with :func:`dataclasses.replace`; the defaults are DM's.

    A number may be :class:`~cl_condense.tuned.Tuned`: chosen by data set and images per class.

    Attributes:
        terms: what the synthetic images are optimised for.
        nets: the networks that they are looked at through.
        synthetic: how they are stored and started.
        augment: drawn once per class and iteration, applied to real and synthetic images alike.
        iterations: optimiser steps.
        real_per_class: real images in a step, or all of a class that has fewer.
        lr, momentum: of the SGD on the pixels. A paper's code that steps class by class, each time with
            momentum on all images, does with rate l and momentum m what one step for K classes does with
            rate l (1 - m^K) / (1 - m) and momentum m^K; its recipe here has the limit of many classes,
            l / (1 - m) and 0.
        halvings: shares of the iterations after which the rate is halved.
        space: what the rate is relative to and whether pixels are clamped: ``normalised`` values, free, or
            ``unit``, 0 to 1 from black to white.
        dataset: the name by which tuned numbers are chosen.
        precision: of the networks' convolutions; ``bfloat16`` is faster where the hardware has it, with losses,
            gradients of weights and pixels in float32.
        compiled: networks go through torch.compile: half a minute at first, less time an iteration after it.
        reuse: iterations that share a real batch, its augmentation and its features, which are computed once
            and kept for all classes; see :meth:`reusing`.
    """

    name: str
    terms: tuple[Term, ...]
    nets: Nets = field(default_factory=RandomNets)
    synthetic: Synthetic = field(default_factory=Pixels)
    augment: DSA = field(default_factory=DSA)
    iterations: int | Tuned = 20_000
    real_per_class: int | Tuned = 256
    lr: float | Tuned = 1.0
    momentum: float = 0.5
    halvings: tuple[float, ...] = ()
    space: Space = "normalised"
    dataset: str = ""
    precision: Precision = "float32"
    compiled: bool = False
    reuse: int = 1

    def __post_init__(self) -> None:
        for name, allowed in (("space", get_args(Space)), ("precision", get_args(Precision))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} {getattr(self, name)!r}: use {' or '.join(allowed)}")
        if self.reuse < 1:
            raise ValueError(f"reuse {self.reuse}: give at least 1 iteration for each real batch")
        for nets in _kinds(self) if self.reuse > 1 else ():
            if not isinstance(nets, RandomNets) or nets.steps % self.reuse:
                raise ValueError(
                    f"reuse {self.reuse} does not fit {self.name}: its networks change sooner; give 1, "
                    "or take a method with RandomNets, such as dm"
                )

    def settings(self) -> dict[str, Any]:
        weights: dict[str, Any] = {}
        for term in self.terms:
            name = term.objective.__name__
            weights[name] = weights[name] + term.weight if name in weights else _plain(term.weight)
        plain = {f: _plain(getattr(self, f)) for f in self.__dataclass_fields__ if f not in ("name", "terms")}
        own = {term.objective.__name__: repr(term.nets) for term in self.terms if term.nets}
        return {"name": self.name, "terms": weights, **({"networks": own} if own else {}), **plain}

    def reusing(self, iterations: int) -> Recipe:
        """The recipe with each network, and what it makes of a real batch, kept for so many iterations.

        Real images are most of the work: DM's 256 a class against ipc. It is no paper's; REPRODUCIBILITY.md has
        accuracies against seconds.

        Raises:
            ValueError: for fewer than 1, and for a method whose networks train or take turns.
        """
        if iterations > 1 and isinstance(self.nets, RandomNets):
            nets = RandomNets(math.lcm(self.nets.steps, iterations))
            return replace(self, nets=nets, reuse=iterations)
        return replace(self, reuse=iterations)

    def settled(self, ipc: int) -> Recipe:
        """With a plain number for each tuned one."""
        return settle(self, self.dataset, ipc)

    def __call__(
        self, real: ImageSet, *, ipc: int, make_net: MakeNet, seed: int = 0, on_step: OnStep | None = None
    ) -> CondensedSet:
        return condense(real, self, ipc=ipc, make_net=make_net, seed=seed, on_step=on_step)


def _kinds(recipe: Recipe) -> tuple[Nets, ...]:
    """All networks that it looks through."""
    return recipe.nets, *(term.nets for term in recipe.terms if term.nets)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, int | float | str) else repr(value)


class Condensation:
    """One condensation, step by step, that can be written down and taken up again.

    Every draw has (seed, class, iteration) as its key and objectives sum over classes, so that with untrained
    networks the images of a class do not depend on the other classes (but for rounding). That is also what
    bounds the memory: classes go through the network in chunks and their gradients add up. Terms that are joint
    take all classes at once.

    Args as in :func:`condense`.

    Attributes:
        iteration: steps done, of ``iterations``.
    """

    def __init__(
        self,
        real: ImageSet,
        recipe: Recipe,
        *,
        ipc: int,
        make_net: MakeNet,
        seed: int = 0,
        chunk: int | None = None,
    ) -> None:
        check_ipc(ipc, real)
        self._real, self._seed = real, seed
        self.recipe = recipe = recipe.settled(ipc)
        self.iteration, self.iterations = 0, settled(recipe.iterations)
        scene = Scene(real, make_net, recipe.augment, seed)
        self._sources = {nets: nets.start(scene) for nets in _kinds(recipe)}
        self._see = compiled() if recipe.compiled else see
        self._pixels = recipe.synthetic.start(real, ipc, seed).contiguous()
        self._step = _Step(real, recipe, self._pixels)
        joint = any(term.joint for term in recipe.terms)
        stored = ipc * recipe.synthetic.factor**2
        self._kept: dict[tuple[int, ...], dict[Nets, View]] = {}
        self._chunks = chunks(real, settled(recipe.real_per_class), stored, size=chunk, joint=joint)

    def step(self) -> Tensor:
        """Does one iteration and returns its loss, on the device.

        Raises:
            ValueError: for pixels that stopped being finite; looked at every 500 iterations, and at the end.
        """
        looks = {nets: source.at(self.iteration) for nets, source in self._sources.items()}
        if self.iteration % self.recipe.reuse == 0:
            self._kept.clear()
        age = looks[self.recipe.nets].age
        done = self.iteration / self.iterations
        terms = [term for term in self.recipe.terms if term.when is None or term.when(done, age)]
        loss = torch.stack([self._accumulate(part, terms, looks) for part in self._chunks]).sum()
        self._step(done)
        self.iteration += 1
        last = self.iteration == self.iterations
        if last or self.iteration % _CHECK_EVERY == 1:
            _check_finite(self._pixels, self.recipe, self.iteration)
        if not last:
            for source in self._sources.values():
                source.advance(self.iteration - 1, self._images)
        return loss

    def state(self) -> State:
        """All that the rest depends on, by name: what :meth:`restore` takes."""
        state = {"iteration": torch.tensor(self.iteration), "pixels": self._pixels, **self._step.state()}
        for i, source in enumerate(self._sources.values()):
            state |= {f"networks.{i}.{name}": value for name, value in source.state().items()}
        return state

    def restore(self, state: State) -> None:
        """Goes on where another condensation of the same images, recipe and seed was; it ends bit-equal.

        Raises:
            ValueError: for the state of another condensation.
        """
        try:
            if state["pixels"].shape != self._pixels.shape:
                raise RuntimeError(f"pixels {tuple(state['pixels'].shape)}, not {tuple(self._pixels.shape)}")
            self._pixels.copy_(state["pixels"])
            self._step.restore(state)
            for i, source in enumerate(self._sources.values()):
                own = f"networks.{i}."
                source.restore({k[len(own) :]: v for k, v in state.items() if k.startswith(own)})
            self.iteration = int(state["iteration"])
        except (KeyError, IndexError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"the state of another condensation does not fit this one: {reason}") from None

    def result(self) -> CondensedSet:
        """The images as they are now, on the CPU."""
        factor = self.recipe.synthetic.factor
        return CondensedSet.of(self._real, self._pixels, self.recipe.settings(), self._seed, factor)

    def _images(self) -> Tensor:
        return decode(self._pixels, self.recipe.synthetic.factor)

    def _accumulate(self, part: Chunk, terms: list[Term], looks: dict[Nets, Look]) -> Tensor:
        """Puts the gradient of a chunk of classes into the step's; its loss."""
        recipe, keys = self.recipe, (self._seed, self.iteration // self.recipe.reuse)
        warp = recipe.augment.draw(part.class_ids, *keys, device=self._real.device)
        real = self._kept.get(part.class_ids) or self._look(part, looks, self._batch(part, warp, keys))
        if recipe.reuse > 1:
            self._kept[part.class_ids] = real
        leaf = self._pixels[part.rows].requires_grad_()
        syn = self._look(part, looks, recipe.augment(decode(leaf, recipe.synthetic.factor), warp))
        nets = [term.nets or recipe.nets for term in terms]
        loss = torch.stack([t.of(real[n], syn[n]) for t, n in zip(terms, nets, strict=True)]).sum()
        self._step.gradient[part.rows] = torch.autograd.grad(loss, leaf)[0]
        return loss.detach()

    def _batch(self, part: Chunk, warp: Warp, keys: tuple[int, ...]) -> Tensor:
        """Real images ``[k, m, c, h, w]``, augmented."""
        index = self._real.draw(part.images, Purpose.REAL_BATCH, *keys, rows=part.rows)
        return self.recipe.augment(self._real.take(index), warp)

    def _look(self, part: Chunk, looks: dict[Nets, Look], images: Tensor) -> dict[Nets, View]:
        """What each network sees of images ``[k, m, c, h, w]`` of a chunk of classes."""
        recipe, views = self.recipe, {}
        for nets, look in looks.items():
            read = statistics_of(t.objective for t in recipe.terms if (t.nets or recipe.nets) == nets)
            options: Any = {"precision": recipe.precision, "see": self._see}
            views[nets] = View(look.net, images, part.rows, read, look.accuracy, **options)
        return views


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
    """Optimises ``ipc`` synthetic images for each class of ``real``; one seed gives the same images.

    Args:
        real: the images, on the device to compute on; normalised when they are gathered.
        recipe: the method.
        ipc: stored images per class.
        make_net: makes the network to look through; its ``features`` gives embedding and maps.
        seed: one integer for everything that is random.
        on_step: called after every iteration.
        chunk: classes per forward pass; None fits it to the device (about 640 images on a CPU, a
            quarter of the free memory elsewhere).

    Returns:
        the set, on the CPU.

    Raises:
        ValueError: for a budget that does not fit the classes, or pixels that stopped being finite.
    """
    job = Condensation(real, recipe, ipc=ipc, make_net=make_net, seed=seed, chunk=chunk)
    while job.iteration < job.iterations:
        loss = job.step()
        if on_step:
            on_step(Progress(job.iteration, job.iterations, loss))
    return job.result()


class _Step:
    """One optimiser step on all pixels ``[k, ipc, c, h, w]``, in place, from ``gradient``."""

    def __init__(self, real: ImageSet, recipe: Recipe, pixels: Tensor) -> None:
        self._recipe, self._pixels = recipe, pixels
        self.gradient = pixels.grad = torch.zeros_like(pixels)
        self._sgd = torch.optim.SGD([pixels], lr=recipe.lr, momentum=recipe.momentum)  # type: ignore[arg-type]
        mean, std = (torch.tensor(x, device=real.device).view(-1, 1, 1) for x in (real.mean, real.std))
        self._black, self._white = -mean / std, (1 - mean) / std

    def __call__(self, done: float) -> None:
        """Takes the step, with ``done`` of the iterations behind it, 0 to 1."""
        recipe = self._recipe
        halved = sum(done >= share for share in recipe.halvings)
        self._sgd.param_groups[0]["lr"] = recipe.lr * 0.5**halved  # type: ignore[operator]
        if recipe.space == "unit":  # a step on p = x std + mean is one on x with the rate over std^2
            self.gradient.mul_((self._white - self._black).square())
        self._sgd.step()
        if recipe.space == "unit":
            self._pixels.clamp_(self._black, self._white)

    def state(self) -> State:
        buffer = self._sgd.state[self._pixels].get("momentum_buffer")
        return {} if buffer is None else {"momentum": buffer}

    def restore(self, state: State) -> None:
        if "momentum" in state:
            self._sgd.state[self._pixels]["momentum_buffer"] = state["momentum"].to(self._pixels, copy=True)


def _check_finite(pixels: Tensor, recipe: Recipe, iteration: int) -> None:
    if not bool((pixels.abs() < _ABSURD).all()):  # false for NaN too
        raise ValueError(
            f"{recipe.name} diverged: pixels beyond {_ABSURD:g} or NaN by iteration {iteration}; "
            f"lower the learning rate (now {recipe.lr}) or the weights of its terms"
        )


Modifier = Callable[[Recipe], Recipe]
"""What ``+name`` does to a recipe; raises ValueError where it makes no sense."""


def adding(*terms: Term) -> Modifier:
    """A modifier that adds terms, unless one of them is there."""

    def modifier(recipe: Recipe) -> Recipe:
        if set(terms) & set(recipe.terms):
            raise ValueError("it, or a part of it, is there already; leave it out")
        return replace(recipe, terms=recipe.terms + terms)

    return modifier
