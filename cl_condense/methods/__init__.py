"""The methods by name: ``build("ddm")``, ``build("dm+sm")``.

A base and its modifiers are joined by ``+``. To add a method, write its file and one line below.
"""

from __future__ import annotations

import difflib
import inspect
import textwrap
from dataclasses import fields, replace
from typing import Any

from cl_condense import coresets
from cl_condense.coresets import Coreset
from cl_condense.engine import Method, Recipe, Term, modify
from cl_condense.methods import ddm
from cl_condense.methods.dm import DM

BASES: dict[str, Method] = {
    "dm": DM,
    "random": Coreset("random", coresets.random),
    "herding": Coreset("herding", coresets.herding, iterations=800),
}

MODIFIERS: dict[str, tuple[Term, ...]] = {
    "moments": (ddm.MOMENTS,),
    "gram": (ddm.GRAM,),
    "sm": (ddm.MOMENTS, ddm.GRAM),
    "icd": (ddm.ICD,),
    "later_moments": (ddm.LATER_MOMENTS,),
    "later_gram": (ddm.LATER_GRAM,),
    "later_sm": (ddm.LATER_MOMENTS, ddm.LATER_GRAM),
    "later_icd": (ddm.LATER_ICD,),
}

COMPOSED: dict[str, str] = {
    "ddm": "dm+sm+icd",
    "later_ddm": "dm+later_sm+later_icd",
}


def build(name: str, **changes: Any) -> Method:
    """The method of a name such as ``ddm``, ``random`` or ``dm+moments+icd``.

    ``changes`` override fields of the recipe, for example ``iterations=2000``.

    Raises:
        ValueError: for a name that is not known (with the nearest one), a coreset with modifiers, or settings
            that a method does not have.
    """
    base, *suffixes = COMPOSED.get(name, name).split("+")
    if base in COMPOSED:
        composed = build(base)
    elif base in BASES:
        composed = BASES[base]
    else:
        raise ValueError(_unknown("method", base, [*BASES, *COMPOSED]))
    for suffix in suffixes:
        if suffix not in MODIFIERS:
            raise ValueError(_unknown("modifier", suffix, [*MODIFIERS]))
        if not isinstance(composed, Recipe):
            raise ValueError(
                f"{name}: {base} selects real images and takes no modifiers; "
                f"use {base} alone, or a method that optimises images, such as dm+{suffix}"
            )
        if set(MODIFIERS[suffix]) & set(composed.terms):
            raise ValueError(f"{name}: {suffix}, or a part of it, is there already; leave it out")
        composed = modify(composed, suffix, *MODIFIERS[suffix])
    settings = [f.name for f in fields(Recipe) if f.name not in ("name", "terms")]
    if not isinstance(composed, Recipe):
        if changes:
            raise ValueError(f"{name} selects real images: it has no setting {', '.join(changes)}")
        return composed
    for change in changes:
        if change not in settings:
            raise ValueError(_unknown(f"setting of {name}", change, settings))
    return replace(composed, name=name, **changes)


def about(name: str) -> str:
    """A method in full: what it is made of, each part with its formula and source, and its settings.

    Raises:
        ValueError: as :func:`build`.
    """
    method = build(name)
    lines = [name if name not in COMPOSED else f"{name} = {COMPOSED[name]}"]
    if isinstance(method, Coreset):
        lines += ["", inspect.getdoc(method.select) or ""]
    if isinstance(method, Recipe):
        for term in method.terms:
            doc = inspect.getdoc(term.objective) or ""
            lines += ["", f"{term.weight:g} x {term.objective.__name__}", textwrap.indent(doc, "    ")]
    settings = {k: v for k, v in method.settings().items() if k not in ("name", "terms")}
    return "\n".join([*lines, "", *(f"{k}: {v}" for k, v in settings.items())])


def _unknown(kind: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {name!r}: {hint}known are {', '.join(sorted(known))}"
