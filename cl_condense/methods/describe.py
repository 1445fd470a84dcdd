"""The methods as people look them up: a list of all, and one in full."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator

from rich.table import Table

from cl_condense.condensation.paper_settings import Tuned
from cl_condense.condensation.recipe import Method, Recipe, Term
from cl_condense.methods.coresets import Coreset
from cl_condense.methods.economy import economical, numbers_of, other_weights, why_alone, why_not
from cl_condense.methods.expressions import names_of
from cl_condense.methods.registry import BASES, COMPOSED, MODIFIERS, build, settings_of


def tables() -> list[Table]:
    """All names: methods, with what they are made of and where they come from, and modifiers."""
    methods = Table("method", "made of", "paper", title="Methods", title_justify="left", box=None)
    for name in (*COMPOSED, *BASES):
        methods.add_row(name, made_of(name), source(name))
    heading = "Modifiers, for any method that optimises images: dm+sm"
    modifiers = Table("modifier", "what it does", "paper", title=heading, title_justify="left", box=None)
    for name, (file, _, what) in MODIFIERS.items():
        modifiers.add_row(f"+{name}", what, _source(file.__doc__ or ""))
    return [methods, modifiers]


def made_of(name: str) -> str:
    """A composition's parts, the objectives of a recipe, or how a coreset selects."""
    if name in COMPOSED:
        return COMPOSED[name].parts
    method = BASES[name].method
    if isinstance(method, Recipe):
        return ", ".join(term.objective.__name__ for term in method.terms)
    return _text(name).splitlines()[0].split(" (")[0]


def source(name: str) -> str:
    """Authors, place, year and arXiv number of a method; empty for one that has no paper."""
    return _source(_text(name))


def about(name: str) -> str:
    """A method in full: its paper, what it is made of, each part with its formula and source, and its settings.

    Raises:
        ValueError: for a name that ``build`` refuses.
    """
    method = build(name)
    base, *suffixes = names_of(name)
    lines = [f"{name} = {COMPOSED[name].parts}" if name in COMPOSED else name, "", _text(base)]
    for suffix in suffixes:
        lines += ["", f"+{suffix}: {inspect.cleandoc(MODIFIERS[suffix].file.__doc__ or '')}"]
    if isinstance(method, Recipe):
        for term in method.terms:
            doc = inspect.getdoc(term.objective) or ""
            apart = ", in a step of its own" if term.apart else ""
            head = f"{_weight(term)} x {term.objective.__name__}{apart}"
            lines += ["", head, textwrap.indent(doc, "    ")]
    after = ", ".join(settings_of(name))
    return "\n".join([*lines, "", *_settings(method), *([f"after @: {after}"] if after else [])])


def _settings(method: Method) -> Iterator[str]:
    """A line for each setting, as it stands in Python; without those that are empty."""
    if not isinstance(method, Recipe):
        yield from (f"{k}: {v}" for k, v in method.settings().items() if k != "name")
        return
    own = {term.objective.__name__: term.source for term in method.terms if term.source}
    rest = {name: getattr(method, name) for name in method.known()}
    for name, value in {"sources": own, **rest}.items():
        if value not in ("", (), {}):
            yield f"{name}: {list(value) if isinstance(value, tuple) else value}"
    yield f"economy: {_economy(method)}"


def _economy(method: Recipe) -> str:
    """What economy makes of a recipe, or why it has none."""
    if why := why_not(method):
        return f"none: {why}"
    less = economical(method).settled(10)
    parts = [numbers_of(less.settings()), *other_weights(less, method.settled(10))]
    if why := why_alone(method):
        parts.append(f"no reuse: {why}")
    return "; ".join(parts)


def _weight(term: Term) -> str:
    return repr(term.weight) if isinstance(term.weight, Tuned) else f"{term.weight:g}"


def _text(base: str) -> str:
    if base in COMPOSED:
        return inspect.cleandoc(COMPOSED[base].file.__doc__ or "")
    file, method = BASES[base]
    return inspect.getdoc(method.select if isinstance(method, Coreset) else file) or ""


def _source(text: str) -> str:
    found = re.search(r"\(([^()]*\barXiv:[\d.]+)[^()]*\)", text)
    return " ".join(found.group(1).split()) if found else ""
