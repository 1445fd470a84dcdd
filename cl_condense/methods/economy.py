"""Economy: settings that come near a paper's accuracy in a fraction of its work, and where they fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast, overload

from cl_condense.common.plain import Json, Values
from cl_condense.condensation.paper_settings import Tuned, settled
from cl_condense.condensation.phases import Quiet
from cl_condense.condensation.recipe import Method, Nets, Recipe, Term
from cl_condense.condensation.sources.contract import Lasting, NetworkSource
from cl_condense.condensation.sources.pool import BlendedPool, TrainedPool
from cl_condense.condensation.sources.training import DynamicLoop, RealTraining
from cl_condense.condensation.sources.unrolled import Unrolled

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Part = TypeVar("Part", bound="DataclassInstance")


class Beside(NamedTuple):
    """Fields of a ``TrainedPool``, at most so large."""

    size: int
    epochs: int
    width: float


class Economy(NamedTuple):
    """What economy makes of a recipe; a recipe whose own number is smaller keeps it.

    Attributes:
        iterations, real_per_class: at most so many.
        reuse: iterations that share a network, a real batch and its features.
        quiet: the end, in which real images are at most so many.
        pool, pool_epochs: networks of a pool, and epochs of each, at most so many. Under one whose networks are
            blended there is no reuse.
        beside: the same of ResNet-18s beside the networks that condense (IID), and their width; their terms
            weigh in proportion more, since their embedding is smaller.
        judged, judging: iterations under CAFE's loop, and real images of a class by which it judges a network:
            at most so many.
    """

    iterations: int
    real_per_class: int
    reuse: int
    quiet: Quiet
    pool: int
    pool_epochs: int
    beside: Beside
    judged: int
    judging: int


ECONOMY = Economy(
    iterations=2_500,
    real_per_class=64,
    reuse=10,
    quiet=Quiet(0.16, 0.1, 256),
    pool=5,
    pool_epochs=20,
    beside=Beside(size=2, epochs=8, width=0.125),
    judged=1_250,
    judging=32,
)
"""Measured on CIFAR-10, most of it with dm at one image per class: see REPRODUCIBILITY.md, Economy."""


def why_not(method: Method) -> str:
    """Why a recipe has no economy, as "its networks ..."; empty where it has one.

    IDC's networks are trained on real images all the time, for a rate that wants all of its iterations.
    """
    if not isinstance(method, Recipe):
        return "it selects real images"
    training = any(isinstance(nets, RealTraining) for nets in method.sources())
    return "its networks train on real images between iterations" if training else ""


def why_alone(method: Recipe) -> str:
    """Why iterations of a recipe share nothing, as "its networks ..."; empty where they may.

    What a network saw of real images can be kept where it stays as it is: where networks are untrained ones, of
    a queue whose networks train in between, or of a pool.
    """
    if all(isinstance(nets, Lasting) for nets in method.sources()):
        return ""
    inside = any(isinstance(nets, Unrolled) for nets in method.sources())
    return f"its networks train {'in' if inside else 'between'} iterations"


def lacking(methods: Iterable[Method]) -> list[str]:
    """For each reason which methods have no economy, as "idc has no economy: its networks ..."."""
    found: dict[str, list[str]] = {}
    for method in methods:
        if why := why_not(method):
            found.setdefault(why, []).append(method.name)
    return [
        f"{names[0]} has no economy: {why}"
        if len(names) == 1
        else f"{', '.join(names)} have no economy: {why.replace('its networks', 'their networks')}"
        for why, names in found.items()
    ]


@overload
def economical(method: Recipe, reuse: int | None = None) -> Recipe: ...


@overload
def economical(method: Method, reuse: int | None = None) -> Method: ...


def economical(method: Method, reuse: int | None = None) -> Method:
    """A recipe with the numbers of ``ECONOMY``; one that has no economy (``why_not``) as it is.

    Where iterations share nothing (``why_alone``) they are fewer, with fewer real images, and no more: no reuse
    and no quiet end. What its expression sets stays (``Recipe.chosen``), real images in the quiet end too. Its
    networks are kept for as long as they share a real batch: for ``reuse`` iterations, None: for economy's, or
    where the expression says for how many, a real batch is shared by as many of them as divide these, up to
    economy's.
    """
    if not isinstance(method, Recipe) or why_not(method):
        return method
    said = {*method.chosen}
    real = method.real_per_class
    end = real
    if "real_per_class" not in said:
        end = cast("int | Tuned", _at_most(real, settled(ECONOMY.quiet.real_per_class)))
    judged = any(isinstance(nets, DynamicLoop) for nets in method.sources())
    iterations = ECONOMY.judged if judged else ECONOMY.iterations
    own = {"iterations": iterations, "real_per_class": ECONOMY.real_per_class}
    of_source, of_terms = ({each for name in said if (each := _field(name, part))} for part in (True, False))
    less = replace(
        _less(method, own, said),
        quiet=None if why_alone(method) else replace(ECONOMY.quiet, real_per_class=end),
        source=_smaller(method.source, of_source),
        terms=tuple(_looking(term, _smaller(term.source, of_terms), said) for term in method.terms),
    )
    if "reuse" in said:
        return less
    if reuse is not None:
        return less.reusing(reuse)
    return less if isinstance(less.source, BlendedPool) or why_alone(method) else _sharing(less)


def _field(name: str, of_source: bool) -> str:
    """Of a setting of the recipe's networks, or else of those of terms, which field it is."""
    part, _, field = name.rpartition(".")
    return field if part and (part == "source") is of_source else ""


def _smaller(nets: Nets, said: set[str]) -> Nets:
    """A pool of fewer networks that train for less, but for the fields that are said; others as they are.

    CAFE's networks are judged by fewer images.
    """
    if isinstance(nets, DynamicLoop):
        return _less(nets, {"real_per_class": ECONOMY.judging}, said)
    if not isinstance(nets, BlendedPool | TrainedPool):
        return nets
    beside = isinstance(nets, TrainedPool) and nets.architecture == "resnet18"
    most = ECONOMY.beside._asdict() if beside else {"size": ECONOMY.pool, "epochs": ECONOMY.pool_epochs}
    return _less(nets, most, said)


def _looking(term: Term, nets: NetworkSource | None, said: set[str]) -> Term:
    """A term with these networks; of more weight, unless that is said, where they are slimmer than its own."""
    weight = term.weight
    if isinstance(nets, TrainedPool) and term.objective.__name__ not in said:
        factor = cast("TrainedPool", term.source).width / nets.width
        weight = weight.times(factor) if isinstance(weight, Tuned) else factor * weight
    return replace(term, source=nets, weight=weight)


def _less(part: Part, numbers: Mapping[str, float], said: set[str]) -> Part:
    """With smaller numbers in the fields that are not said."""
    changes: Json = {
        name: _at_most(getattr(part, name), most) for name, most in numbers.items() if name not in said
    }
    return replace(part, **changes)


def _at_most(own: float | Tuned, most: float) -> float | Tuned:
    return own.at_most(most) if isinstance(own, Tuned) else min(own, most)


def _sharing(recipe: Recipe) -> Recipe:
    """With a real batch for as many iterations as economy has and its networks stay."""
    for iterations in range(ECONOMY.reuse, 1, -1):
        with suppress(ValueError):  # an expression may say for how many they do
            return recipe.reusing(iterations)
    return recipe


def other_weights(less: Recipe, method: Recipe) -> list[str]:
    """Weights of a settled recipe that are not its method's own, as ``0.2 x class_centralisation``."""
    pairs = zip(less.terms, method.terms, strict=True)
    return [f"{a.weight:g} x {a.objective.__name__}" for a, b in pairs if a.weight != b.weight]


def numbers_of(settings: Values) -> str:
    """How a recipe condenses, in a few words, from its settings as plain data."""
    iterations, real = settings["iterations"], settings["real_per_class"]
    parts = [
        f"{iterations:,} iteration{'s' * (iterations != 1)}",
        f"{real:,} real image{'s' * (real != 1)} a class",
    ]
    if settings.get("reuse", 1) > 1:
        parts.append(f"reuse {settings['reuse']}")
    for nets in (settings.get("source") or {}, *(settings.get("sources") or {}).values()):
        if nets.get("kind") in (BlendedPool.__name__, TrainedPool.__name__):
            residual = nets.get("architecture") == "resnet18"
            size, epochs = nets["size"], nets["epochs"]
            kind = ("ResNet-18" if residual else "network") + "s" * (size != 1)
            wide = f", {nets['width']:g} times as wide," if residual else ""
            parts.append(f"a pool of {size} {kind}{wide} of {epochs} epoch{'s' * (epochs != 1)}")
    quiet = settings.get("quiet") or {"share": 0}
    if last := round(quiet["share"] * iterations):
        parts.append(
            f"the last {last:,} with {quiet['real_per_class']:,} real images at {quiet['rate']:g} of the rate"
        )
    return ", ".join(parts)
