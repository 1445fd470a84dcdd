"""Methods as data: weighted terms, the networks that they look through, how images are stored and stepped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, Protocol, get_args

from torch import Tensor

from cl_condense.augment import DSA
from cl_condense.condensed import CondensedSet
from cl_condense.features import Precision, View
from cl_condense.imageset import ImageSet
from cl_condense.networks import MakeNet
from cl_condense.numbers import finite, whole
from cl_condense.objectives import Objective
from cl_condense.phases import Quiet
from cl_condense.sources import Nets, RandomNets
from cl_condense.synthetic import Pixels, Synthetic
from cl_condense.tuned import Tuned, plain, settle


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
        syn_per_class: decoded synthetic images of each class in a step, drawn at random where there are more;
            None: all.
        lr, momentum: of the SGD on the pixels.
        class_steps: they are those of a loop in which each class takes a step of its own, with momentum on the
            images of all: one step for all does the same at another rate and momentum, which depend on the
            number of classes (:func:`~cl_condense.pixels.joint`).
        halvings: shares of the iterations after which the rate is halved.
        quiet: the end, with a lower rate and more real images; None: all iterations are alike.
        space: what the rate is relative to and whether pixels are clamped: ``normalised`` values, free, or
            ``unit``, 0 to 1 from black to white.
        dataset: the name by which tuned numbers are chosen.
        precision: of the networks' convolutions, of DDM's Gram matrices, and of the training of networks in
            between; ``bfloat16`` is faster where the hardware has it, with losses, weights and pixels in
            float32. Gradient matching stays in float32.
        compiled: networks go through torch.compile: minutes at first, less time an iteration after it.
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
    syn_per_class: int | None = None
    lr: float | Tuned = 1.0
    momentum: float = 0.5
    class_steps: bool = False
    halvings: tuple[float, ...] = ()
    quiet: Quiet | None = None
    space: Space = "normalised"
    dataset: str = ""
    precision: Precision = "float32"
    compiled: bool = False
    reuse: int = 1

    def __post_init__(self) -> None:
        for name, allowed in (("space", get_args(Space)), ("precision", get_args(Precision))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} {getattr(self, name)!r}: use {' or '.join(allowed)}")
        _check_numbers(self)
        for nets in kinds(self) if self.reuse > 1 else ():
            if not isinstance(nets, RandomNets) or nets.steps % self.reuse:
                raise ValueError(
                    f"reuse {self.reuse} does not fit {self.name}: its networks change sooner; give 1, "
                    "or take a method with RandomNets, such as dm"
                )

    def settings(self) -> dict[str, Any]:
        weights: dict[str, float | Tuned] = {}
        for term in self.terms:
            name = term.objective.__name__
            weights[name] = _sum(weights[name], term.weight) if name in weights else term.weight
        own = {term.objective.__name__: plain(term.nets) for term in self.terms if term.nets}
        rest = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name not in ("name", "terms")}
        terms = {name: plain(weight) for name, weight in weights.items()}
        return {"name": self.name, "terms": terms, **({"networks": own} if own else {}), **rest}

    def reusing(self, iterations: int) -> Recipe:
        """The recipe with each network, and what it makes of a real batch, kept for so many iterations.

        Real images are most of the work: DM's 256 a class against ipc. It is no paper's; REPRODUCIBILITY.md has
        accuracies against seconds.

        Raises:
            ValueError: for fewer than 1, and for a method whose networks train or take turns.
        """
        iterations = whole("reuse", iterations)
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
        from cl_condense.engine import condense  # noqa: PLC0415 - which runs recipes

        return condense(real, self, ipc=ipc, make_net=make_net, seed=seed, on_step=on_step)


def kinds(recipe: Recipe) -> tuple[Nets, ...]:
    """All networks that it looks through."""
    return recipe.nets, *(term.nets for term in recipe.terms if term.nets)


def _check_numbers(recipe: Recipe) -> None:
    """Raises ValueError for numbers without sense; tuned ones are looked at once they are settled."""
    checked: dict[str, Any] = {
        name: whole(name, getattr(recipe, name))
        for name in ("iterations", "real_per_class", "reuse")
        if not isinstance(getattr(recipe, name), Tuned)
    }
    if recipe.syn_per_class is not None:
        checked["syn_per_class"] = whole("syn_per_class", recipe.syn_per_class)
    if not isinstance(recipe.lr, Tuned):
        checked["lr"] = finite("lr", recipe.lr, above=0)
    checked["momentum"] = finite("momentum", recipe.momentum, at_least=0, below=1)
    for name, value in checked.items():
        object.__setattr__(recipe, name, value)
    for share in recipe.halvings:
        finite("halvings", share, at_least=0, at_most=1)
    for term in recipe.terms:
        if not isinstance(term.weight, Tuned):
            finite(f"weight of {term.objective.__name__}", term.weight)


def _sum(one: float | Tuned, other: float | Tuned) -> float | Tuned:
    if isinstance(one, Tuned):
        return one.plus(other)
    return other.plus(one) if isinstance(other, Tuned) else one + other


Modifier = Callable[[Recipe], Recipe]
"""What ``+name`` does to a recipe; raises ValueError where it makes no sense."""


def adding(*terms: Term) -> Modifier:
    """A modifier that adds terms, unless one of them is there."""

    def modifier(recipe: Recipe) -> Recipe:
        if set(terms) & set(recipe.terms):
            raise ValueError("it, or a part of it, is there already; leave it out")
        return replace(recipe, terms=recipe.terms + terms)

    return modifier
