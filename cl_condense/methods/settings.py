"""The settings of a recipe by name, for expressions: its own numbers, weights of terms, fields of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from cl_condense.common.plain import Json
from cl_condense.common.suggest import choice
from cl_condense.condensation.paper_settings import Tuned
from cl_condense.condensation.recipe import Recipe, Term
from cl_condense.condensation.view import Objective
from cl_condense.methods.expressions import Value

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

OWN = ("iterations", "real_per_class", "syn_per_class", "lr", "momentum", "reuse", "multisize")
"""The fields of a recipe that are settings of an expression."""

Groups = Mapping[str, tuple[Objective, ...]]
"""The objectives of each modifier that has terms."""


class Setting(NamedTuple):
    """A number or a word of a recipe.

    Attributes:
        names: in full, such as ``("ce", "class_aware_regularisation")`` or ``("source.size",)``; ``chosen`` of
            a recipe has the last.
        short: as people write it where no other is called so.
        value: as it stands.
        put: gives a recipe another value, which raises ValueError where that is out of range.
    """

    names: tuple[str, ...]
    short: str
    value: object
    put: Callable[[Recipe, Value], Recipe]


def shown(recipe: Recipe, groups: Groups) -> dict[str, object]:
    """All settings of a recipe as people write them: ``size``, or ``source.size`` where several have a size."""
    every = [*_settings(recipe, groups)]
    short = [own.short for own in every]
    return {own.short if short.count(own.short) == 1 else own.names[0]: own.value for own in every}


def find(recipe: Recipe, name: str, groups: Groups) -> Setting:
    """The setting of a name, in full or in short.

    Raises:
        ValueError: for a name that none has, with the nearest one, and one that several parts have.
    """
    every = [*_settings(recipe, groups)]
    found = [own for own in every if name in own.names] or [own for own in every if name == own.short]
    if not found:
        choice(f"setting of {recipe.name}", name, shown(recipe, groups))
    if len(found) > 1:
        names = " or ".join(own.names[0] for own in found)
        raise ValueError(f"{name} of {recipe.name} is a setting of several parts: give {names}")
    return found[0]


def has_setting(recipe: Recipe, name: str, groups: Groups) -> bool:
    """Whether some part of a recipe has a setting of this name."""
    return any(name in own.names or name == own.short for own in _settings(recipe, groups))


def with_chosen(recipe: Recipe, given: Mapping[str, Value], groups: Groups) -> Recipe:
    """The recipe with the settings of an expression, which ``chosen`` then names.

    Raises:
        ValueError: as ``find``, for a setting under two names, a word where a number belongs, and what the
            parts refuse.
    """
    found: dict[str, tuple[Setting, str]] = {}
    for name in given:
        own = find(recipe, name, groups)
        full = own.names[-1]
        if full in found:
            raise ValueError(f"{found[full][1]} and {name} are one setting of {recipe.name}: give it once")
        found[full] = own, name
    recipe = replace(recipe, chosen=(*found,))
    # What shares real batches has to fit the networks, so that it comes last.
    for own, name in sorted(found.values(), key=lambda each: each[1] == "reuse"):
        value = given[name]
        if isinstance(value, str) is not isinstance(own.value, str):
            raise ValueError(f"{name} {value!r}: give a {'word' if isinstance(own.value, str) else 'number'}")
        recipe = own.put(recipe, value)
    return recipe


def _settings(recipe: Recipe, groups: Groups) -> Iterator[Setting]:
    for name in OWN:
        yield Setting((name,), name, getattr(recipe, name), partial(_of_recipe, name))
    yield from _weights(recipe, groups)
    for part in ("source", "synthetic", "labels"):
        for path, value in _fields(getattr(recipe, part)):
            field = path.rpartition(".")[2]
            yield Setting((f"{part}.{path}",), field, value, partial(_of_part, part, path))


def _weights(recipe: Recipe, groups: Groups) -> Iterator[Setting]:
    """Of each objective, and what the source of its own has; of modifiers whose terms have one weight."""
    weights: dict[Objective, float | Tuned] = {term.objective: term.weight for term in recipe.terms}
    for term in recipe.terms:
        objective = term.objective
        alone = [name for name, several in groups.items() if several == (objective,)]
        names = (*alone, getattr(objective, "__name__", str(objective)))
        yield Setting(names, names[0], term.weight, partial(_of_terms, (objective,)))
        for path, value in _fields(term.source):
            full = tuple(f"{name}.{path}" for name in names)
            yield Setting(full, path.rpartition(".")[2], value, partial(_of_source, objective, path))
    if reading := tuple(term.objective for term in recipe.terms if getattr(term.objective, "statistics", ())):
        own_blocks = next(term.blocks for term in recipe.terms if term.objective in reading)
        yield Setting(("blocks",), "blocks", own_blocks, partial(_of_blocks, reading))
    for name, several in groups.items():
        own = {weights[each] for each in several if each in weights}
        if len(several) > 1 and {*several} <= weights.keys() and len(own) == 1:
            yield Setting((name,), name, own.pop(), partial(_of_terms, several))


def _of_recipe(name: str, recipe: Recipe, value: Value) -> Recipe:
    return recipe.with_settings(**{name: value})


def _of_part(part: str, path: str, recipe: Recipe, value: Value) -> Recipe:
    changed: Json = {part: _changed(getattr(recipe, part), path, value)}
    return replace(recipe, **changed)


def _changed(part: object, path: str, value: Value) -> object:
    """A part with another value of a field, or of one of a part of its own: ``source.size``."""
    head, _, rest = path.partition(".")
    own: Json = {head: _changed(getattr(part, head), rest, value) if rest else value}
    return replace(cast("DataclassInstance", part), **own)


def _of_terms(objectives: tuple[Objective, ...], recipe: Recipe, value: Value) -> Recipe:
    terms = (
        replace(term, weight=float(value)) if term.objective in objectives else term for term in recipe.terms
    )
    return replace(recipe, terms=tuple(terms))


def _of_blocks(objectives: tuple[Objective, ...], recipe: Recipe, value: Value) -> Recipe:
    changed: Json = {"blocks": value}
    terms = (replace(term, **changed) if term.objective in objectives else term for term in recipe.terms)
    return replace(recipe, terms=tuple(terms))


def _of_source(objective: Objective, path: str, recipe: Recipe, value: Value) -> Recipe:
    def changed(term: Term) -> Term:
        own: Json = {"source": _changed(term.source, path, value)}
        return replace(term, **own)

    terms = (changed(term) if term.objective is objective else term for term in recipe.terms)
    return replace(recipe, terms=tuple(terms))


def _fields(part: object) -> Iterator[tuple[str, object]]:
    """The numbers and words of a source or a storage, and those of a source in it, by their paths.

    A pool's seed is none, nor is what is true or false.
    """
    for own in fields(part) if is_dataclass(part) and not isinstance(part, type) else ():
        value = getattr(part, own.name)
        plain = value is None or isinstance(value, int | float | str | Tuned)
        if plain and not isinstance(value, bool) and own.name != "seed":
            yield own.name, value
        elif callable(getattr(value, "start", None)):
            yield from ((f"{own.name}.{path}", inner) for path, inner in _fields(value))
