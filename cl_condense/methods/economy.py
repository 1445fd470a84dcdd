"""Economy: settings that come near a paper's accuracy in a fraction of its work, and where they fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple, overload

from cl_condense.common.plain import Values
from cl_condense.condensation.paper_settings import Tuned, settled
from cl_condense.condensation.phases import Quiet
from cl_condense.condensation.recipe import Method, Recipe
from cl_condense.condensation.sources.pool import BlendedPool, TrainedPool
from cl_condense.condensation.sources.untrained import RandomNets


class Economy(NamedTuple):
    """What economy makes of a recipe; a recipe whose own number is smaller keeps it.

    Attributes:
        iterations, real_per_class: at most so many.
        reuse: iterations that share a network, a real batch and its features.
        quiet: the end, in which real images are at most so many.
        pool, pool_epochs: networks of a pool that condensation looks through, which takes the place of reuse,
            and epochs of each, at most so many.
    """

    iterations: int
    real_per_class: int
    reuse: int
    quiet: Quiet
    pool: int
    pool_epochs: int


ECONOMY = Economy(
    iterations=2_500, real_per_class=64, reuse=10, quiet=Quiet(0.16, 0.1, 256), pool=5, pool_epochs=20
)
"""Measured with dm on CIFAR-10 at one image per class alone: see REPRODUCIBILITY.md, Economy."""


def why_not(method: Method) -> str:
    """Why a recipe has no economy, as "its networks ..."; empty where it has one.

    What makes economy cheap is to keep what a network saw of real images: so its networks are untrained ones,
    or of a pool between the ends of their training, which may be smaller.
    """
    if not isinstance(method, Recipe):
        return "it selects real images"
    found = [nets for nets in method.sources() if nets != method.source or not isinstance(nets, BlendedPool)]
    if any(isinstance(nets, TrainedPool) for nets in found):
        return "its networks come from a pool that takes turns"
    if not all(isinstance(nets, RandomNets) for nets in found):
        return "its networks train between iterations"
    own = [term.source for term in method.terms if term.source]
    if any(isinstance(nets, RandomNets) and nets.steps % ECONOMY.reuse for nets in own):
        return f"a term has networks of its own, which are not kept for {ECONOMY.reuse} iterations"
    return ""


def lacking(methods: Iterable[Method]) -> list[str]:
    """For each reason which methods have no economy, as "idm has no economy: its networks ..."."""
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
def economical(method: Recipe) -> Recipe: ...


@overload
def economical(method: Method) -> Method: ...


def economical(method: Method) -> Method:
    """A recipe with the numbers of ``ECONOMY``; one that has no economy (``why_not``) as it is.

    What its expression sets stays (``Recipe.chosen``), real images in the quiet end too. Its networks are kept
    for as long as they share a real batch: for ``reuse`` iterations, or where the expression says for how many,
    a real batch is shared by as many of them as divide these, up to ``reuse``.
    """
    if not isinstance(method, Recipe) or why_not(method):
        return method

    def most(name: str, own: int | Tuned, at_most: int) -> int | Tuned:
        if name in method.chosen:
            return own
        return own.at_most(at_most) if isinstance(own, Tuned) else min(own, at_most)

    real, end = method.real_per_class, settled(ECONOMY.quiet.real_per_class)
    less = replace(
        method,
        iterations=most("iterations", method.iterations, ECONOMY.iterations),
        real_per_class=most("real_per_class", real, ECONOMY.real_per_class),
        quiet=replace(ECONOMY.quiet, real_per_class=most("real_per_class", real, end)),
    )
    if isinstance(pool := less.source, BlendedPool):
        size = most("source.size", pool.size, ECONOMY.pool)
        epochs = most("source.epochs", pool.epochs, ECONOMY.pool_epochs)
        return replace(less, source=replace(pool, size=size, epochs=epochs))
    if "reuse" in method.chosen:
        return less
    return less.reusing(_shared(less))


def _shared(recipe: Recipe) -> int:
    """Iterations that share a real batch, where an expression may say for how many networks stay."""
    if "source.steps" not in recipe.chosen or not isinstance(recipe.source, RandomNets):
        return ECONOMY.reuse
    return max(n for n in range(1, ECONOMY.reuse + 1) if recipe.source.steps % n == 0)


def numbers_of(settings: Values) -> str:
    """How a recipe condenses, in a few words, from its settings as plain data."""
    iterations = settings["iterations"]
    parts = [
        f"{iterations:,} iteration{'s' * (iterations != 1)}",
        f"{settings['real_per_class']:,} real images a class",
    ]
    if settings.get("reuse", 1) > 1:
        parts.append(f"reuse {settings['reuse']}")
    nets = settings.get("source") or {}
    if nets.get("kind") == BlendedPool.__name__:
        parts.append(f"a pool of {nets['size']} networks of {nets['epochs']} epochs")
    quiet = settings.get("quiet") or {"share": 0}
    if last := round(quiet["share"] * iterations):
        parts.append(
            f"the last {last:,} with {quiet['real_per_class']:,} real images at {quiet['rate']:g} of the rate"
        )
    return ", ".join(parts)
