"""Methods as data: weighted terms, the networks that they look through, how images are stored and stepped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Protocol, TypeVar, cast, get_args, runtime_checkable

from torch import Tensor

from cl_condense.common.kinds import check_flag, check_kind, check_parts
from cl_condense.common.numbers import finite, whole
from cl_condense.common.plain import Json
from cl_condense.common.suggest import choice
from cl_condense.condensation.labels import LearnedLabels
from cl_condense.condensation.objectives import Objective
from cl_condense.condensation.paper_settings import Tuned, plain, settle, settled, settled_number
from cl_condense.condensation.phases import Phase, Quiet
from cl_condense.condensation.sources.contract import Lasting, NetworkSource
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.condensation.storage import Pixels, Synthetic
from cl_condense.condensation.view import View, reads_labels
from cl_condense.networks.contract import Precision
from cl_condense.training.augment import DSA


@runtime_checkable
class Method(Protocol):
    """All that the outside sees of a method: a recipe, a coreset, or one of your own.

    What is no ``Recipe`` is called, as ``Selection`` says.

    Attributes:
        optimises: it makes images; False: it selects real ones.
    """

    @property
    def name(self) -> str: ...

    @property
    def optimises(self) -> bool: ...

    def settings(self) -> Json:
        """Name and settings as plain data, for records."""
        ...

    def with_settings(self, **changes: Any) -> Method:
        """With other settings.

        Raises:
            ValueError: for a setting that it does not have, and for a number out of its range.
        """
        ...


Space = Literal["normalised", "unit"]
Nets = TypeVar("Nets", bound=NetworkSource | None)

When = Callable[[float, int], bool]
"""(share of the iterations done, iterations with the present network) -> whether a term counts."""


@dataclass(frozen=True)
class Term:
    """A weighted objective.

    Attributes:
        source: of networks of its own; None: the recipe's.
        when: None: always.
        joint: it looks at all classes at once, so that they cannot go through the network in chunks.
        apart: an optimiser step of its own in every iteration, on images that the step of the others has moved.
        least: decoded images of a class without which it does nothing: with fewer it is left out.
        blocks: of a network, that an objective reads statistics of: digits from 1, such as 13 for the first and
            the third; 0: all.
    """

    objective: Objective
    weight: float | Tuned = 1.0
    source: NetworkSource | None = None
    when: When | None = None
    joint: bool = False
    apart: bool = False
    blocks: int = 0
    least: int = 1

    def __post_init__(self) -> None:
        if not callable(self.objective):
            raise ValueError(f"objective {self.objective!r}: give a function of two views")
        if not isinstance(self.weight, Tuned):
            finite("weight", self.weight)
        object.__setattr__(self, "blocks", whole("blocks", self.blocks, 0, 987_654_321))
        digits = str(self.blocks)
        if self.blocks and ("0" in digits or len({*digits}) < len(digits)):
            raise ValueError(f"blocks {digits}: give digits from 1, each once, such as 13, or 0 for all")
        object.__setattr__(self, "least", whole("least", self.least))

    def of(self, real: View, syn: View) -> Tensor:
        """Weight times objective.

        Raises:
            ValueError: for blocks that the network does not have.
        """
        if self.blocks:
            which = tuple(map(int, str(self.blocks)))
            real, syn = real.of_blocks(which), syn.of_blocks(which)
        weight, value = settled_number(self.weight), self.objective(real, syn)
        return value if weight == 1 else weight * value


@dataclass(frozen=True)
class Recipe:
    """A method as data. Derive a variant with ``replace``; the defaults are DM's.

    A number may be ``Tuned``: chosen by data set and images per class.

    Attributes:
        terms: what the synthetic images are optimised for.
        source: of the networks that they are looked at through.
        synthetic: how they are stored and started.
        augment: drawn once per class and iteration, applied to real and synthetic images alike.
        iterations: optimiser steps.
        real_per_class: real images in a step, or all of a class that has fewer.
        syn_per_class: decoded synthetic images of each class in a step, drawn at random where there are more;
            None: all.
        lr, momentum: of the SGD on the pixels.
        class_steps: they are those of a loop in which each class takes a step of its own, with momentum on the
            images of all: one step for all does the same at another rate and momentum, which depend on the
            number of classes (``joint``).
        halvings: shares of the iterations after which the rate is halved.
        quiet: the end, with a lower rate and more real images; None: all iterations are alike.
        space: what the rate is relative to and whether pixels are clamped: ``normalised`` values, free, or
            ``unit``, 0 to 1 from black to white.
        dataset: the name by which tuned numbers are chosen.
        precision: of the networks' convolutions, of DDM's Gram matrices, and of the training of networks in
            between; ``bfloat16`` is faster where the hardware has it, with losses, weights and pixels in
            float32. Of gradients that are matched it is that of the real images'; on a GPU all are float32.
        compiled: networks go through torch.compile: minutes at first, less time an iteration after it.
        reuse: iterations that share a real batch, its augmentation and its features, which are computed once
            and kept for all classes; see ``reusing``.
        labels: learned with the images, where an objective reads them; None: each image is of its class.
        multisize: share of the iterations that look at the first images of each class alone, so that these are
            good without the others; see ``condensation.multisize``. 0: none.
        chosen: what a method's expression set, such as ``lr`` or ``source.size``: economy and options for
            several methods leave it as it is.
    """

    name: str
    terms: tuple[Term, ...]
    source: NetworkSource = field(default_factory=RandomNets)
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
    labels: LearnedLabels | None = None
    multisize: float = 0.0
    chosen: tuple[str, ...] = ()

    optimises: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_kinds(self)
        for name, allowed in (("space", get_args(Space)), ("precision", get_args(Precision))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} {getattr(self, name)!r}: use {' or '.join(allowed)}")
        _check_numbers(self)
        for nets in self.sources() if self.reuse > 1 else ():
            if not isinstance(nets, Lasting) or nets.steps % self.reuse:
                raise ValueError(
                    f"reuse {self.reuse} does not fit {self.name}: its networks change sooner; give 1, "
                    "or take a method with untrained networks, a queue or a pool, such as dm or idm"
                )

    def settings(self) -> Json:
        weights: dict[str, float | Tuned] = {}
        for term in self.terms:
            name = term.objective.__name__
            weights[name] = _sum(weights[name], term.weight) if name in weights else term.weight
        blocks = {term.objective.__name__: term.blocks for term in self.terms if term.blocks}
        own = {term.objective.__name__: plain(term.source) for term in self.terms if term.source}
        rest = {name: plain(getattr(self, name)) for name in self.known()}
        terms = {name: plain(weight) for name, weight in weights.items()}
        more = {**({"sources": own} if own else {}), **({"blocks": blocks} if blocks else {})}
        for name in ("labels", "multisize"):  # records have what is there
            if not getattr(self, name):
                del rest[name]
        return {"name": self.name, "terms": terms, **more, **rest}

    def reusing(self, iterations: int) -> Recipe:
        """The recipe with each network, and what it makes of a real batch, kept for so many iterations.

        Real images are most of the work: DM's 256 a class against ipc. It is no paper's; REPRODUCIBILITY.md has
        accuracies against seconds. Networks that an expression keeps for some iterations stay for so many; a
        queue's train once in as many.

        Raises:
            ValueError: for fewer than 1, and for a method whose networks change sooner.
        """
        iterations = whole("reuse", iterations)
        said = {name for name in self.chosen if name.endswith(".steps")}
        source = self.source if "source.steps" in said else _lasting(self.source, iterations)
        terms = self.terms
        if not said - {"source.steps"}:
            terms = tuple(replace(term, source=_lasting(term.source, iterations)) for term in terms)
        return replace(self, source=source, terms=terms, reuse=iterations)

    def settled(self, ipc: int) -> Recipe:
        """With a plain number for each tuned one, and without terms that do nothing for so few images."""
        found = settle(self, self.dataset, ipc)
        images = ipc * found.synthetic.factor**2
        images = min(images, found.syn_per_class or images)
        return replace(found, terms=tuple(t for t in found.terms if t.least <= images) or found.terms)

    def turns(self, done: float, age: int) -> list[list[Term]]:
        """The terms that count now, by the optimiser step that they share, in the order of the steps.

        Args:
            done: share of the iterations.
            age: iterations with the present network.
        """
        terms = [term for term in self.terms if term.when is None or term.when(done, age)]
        together = [term for term in terms if not term.apart]
        return [turn for turn in (together, *([term] for term in terms if term.apart)) if turn]

    def sources(self) -> tuple[NetworkSource, ...]:
        """Of all networks that it looks through: its own, then those of terms."""
        return self.source, *(term.source for term in self.terms if term.source)

    @property
    def by_share(self) -> bool:
        """Whether what an iteration does depends on the share of all that is done before it."""
        return bool(self.halvings or self.quiet or any(term.when for term in self.terms))

    def phases(self) -> tuple[Phase, ...]:
        """Of a settled recipe: one, or two where its end is quiet."""
        iterations, real = settled(self.iterations), settled(self.real_per_class)
        if self.quiet is None:
            return (Phase(0, iterations, real),)
        start = self.quiet.start(iterations)
        end = Phase(start, iterations, settled(self.quiet.real_per_class), self.quiet.rate)
        return tuple(phase for phase in (Phase(0, start, real), end) if phase.start < phase.stop)

    def phase(self, iteration: int) -> Phase:
        """The phase of an iteration; after the last one the last."""
        every = self.phases()
        return next((phase for phase in every if iteration < phase.stop), every[-1])

    def with_settings(self, **changes: Any) -> Recipe:
        """With other values of its fields; ``reuse`` is what ``reusing`` takes.

        Raises:
            ValueError: for an unknown setting, with the nearest one, and numbers out of their range.
        """
        for change in changes:
            choice(f"setting of {self.name}", change, self.known())
        reuse = changes.pop("reuse", self.reuse)
        return replace(self, **changes).reusing(reuse)

    @classmethod
    def known(cls) -> list[str]:
        """The fields that are settings; the terms have weights of their own."""
        return [f.name for f in fields(cls) if f.name not in ("name", "terms", "chosen")]


def _lasting(nets: Nets, iterations: int) -> Nets:
    """A source, if it can be, with networks that stay for a multiple of so many iterations."""
    if not isinstance(nets, Lasting):
        return nets
    return cast("Nets", nets.lasting(math.lcm(nets.steps, iterations)))


def _check_kinds(recipe: Recipe) -> None:
    """Raises ValueError for a part that is of another kind."""
    check_kind("name", recipe.name, str, "a text")
    check_kind("dataset", recipe.dataset, str, "the name of a data set, or ''")
    check_parts("terms", recipe.terms, Term, "Terms, such as (Term(mean_matching),)")
    if not recipe.terms:
        raise ValueError("terms (): give at least one Term")
    check_kind("augment", recipe.augment, DSA, "a DSA, such as DSA('crop_flip') or DSA('none')")
    for name, example in (("source", "RandomNets()"), ("synthetic", "Pixels()")):
        part = getattr(recipe, name)
        if isinstance(part, type) or not callable(getattr(part, "start", None)):
            raise ValueError(f"{name} {part!r}: give an object such as {example}")
    check_kind("quiet", recipe.quiet, Quiet | None, "a Quiet, or None")
    check_kind("labels", recipe.labels, LearnedLabels | None, "LearnedLabels(), or None")
    if recipe.labels and not all(term.joint and reads_labels(term.objective) for term in recipe.terms):
        raise ValueError(
            f"{recipe.name} does not read labels, so that none are learned: take a method that does, such as "
            "frepo or dd"
        )
    check_parts("halvings", recipe.halvings, object, "shares of the iterations")
    check_parts("chosen", recipe.chosen, str, "names of settings")
    for name in ("class_steps", "compiled"):
        check_flag(name, getattr(recipe, name))


def _check_numbers(recipe: Recipe) -> None:
    """Raises ValueError for numbers without sense; tuned ones are looked at once they are settled."""
    checked: Json = {
        name: whole(name, getattr(recipe, name))
        for name in ("iterations", "real_per_class", "reuse")
        if not isinstance(getattr(recipe, name), Tuned)
    }
    if recipe.syn_per_class is not None:
        checked["syn_per_class"] = whole("syn_per_class", recipe.syn_per_class)
    if not isinstance(recipe.lr, Tuned):
        checked["lr"] = finite("lr", recipe.lr, above=0)
    for name in ("momentum", "multisize"):
        checked[name] = finite(name, getattr(recipe, name), at_least=0, below=1)
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
