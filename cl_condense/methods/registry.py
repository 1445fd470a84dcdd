"""The methods by name: ``build("ddm")``, ``build("dm+sm")``, ``build("idm@ce=0.1")``.

A base and its modifiers are joined by ``+``, settings follow after ``@``. To add a method, write its file and
one line below.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from cl_condense.common.suggest import choice
from cl_condense.condensation.modifiers import Modifier, adding
from cl_condense.condensation.recipe import Method, Recipe
from cl_condense.methods import (
    cafe,
    coresets,
    dance,
    dance4x4,
    datadam,
    dc,
    dcc,
    dd,
    ddm,
    dm,
    dsa,
    frepo,
    idc,
    idm,
    iid,
    ld,
    m3d,
    mtt,
    ncfm,
)
from cl_condense.methods.coresets import Coreset
from cl_condense.methods.expressions import Expression, parse
from cl_condense.methods.settings import Groups, has_setting, shown, with_chosen


class Base(NamedTuple):
    """A method, and the file whose docstring tells of it."""

    file: ModuleType
    method: Recipe | Coreset


class Suffix(NamedTuple):
    """A modifier, the file whose docstring tells of it, and what it does, in a few words."""

    file: ModuleType
    modify: Modifier
    what: str


class Composition(NamedTuple):
    """A name for a base with modifiers."""

    file: ModuleType
    parts: str


BASES: dict[str, Base] = {
    "dm": Base(dm, dm.DM),
    "m3d": Base(m3d, m3d.M3D),
    "m3d_linear": Base(m3d, m3d.LINEAR),
    "m3d_polynomial": Base(m3d, m3d.POLYNOMIAL),
    "dance": Base(dance, dance.DANCE),
    "dance4x4": Base(dance4x4, dance4x4.DANCE4X4),
    "cafe": Base(cafe, cafe.CAFE),
    "dc": Base(dc, dc.DC),
    "dsa": Base(dsa, dsa.DSA),
    "dcc": Base(dcc, dcc.DCC),
    "idc": Base(idc, idc.IDC),
    "mtt": Base(mtt, mtt.MTT),
    "dd": Base(dd, dd.DD),
    "frepo": Base(frepo, frepo.FREPO),
    "ld": Base(ld, ld.LD),
    "random": Base(coresets, Coreset("random", coresets.random)),
    "reservoir": Base(coresets, Coreset("reservoir", coresets.reservoir, balanced=False)),
    "herding": Base(coresets, Coreset("herding", coresets.herding, iterations=800)),
    "k_center": Base(coresets, Coreset("k_center", coresets.k_center, iterations=800)),
    "forgetting": Base(coresets, Coreset("forgetting", coresets.forgetting, iterations=800)),
}

COMPOSED: dict[str, Composition] = {
    "ddm": Composition(ddm, "dm+sm+icd"),
    "first_ddm": Composition(ddm, "dm+first_sm+first_icd"),
    "later_ddm": Composition(ddm, "dm+later_sm+later_icd"),
    "idm": Composition(idm, "dm+queue+ce+partition"),
    "iid": Composition(iid, "dm+iid"),
    "datadam": Composition(datadam, "dm+sam"),
}

MODIFIERS: dict[str, Suffix] = {
    "moments": Suffix(ddm, adding(ddm.MOMENTS), "style: means and deviations of maps"),
    "gram": Suffix(ddm, adding(ddm.GRAM), "style: Gram matrices of maps"),
    "sm": Suffix(ddm, adding(ddm.MOMENTS, ddm.GRAM), "style matching: moments and gram"),
    "icd": Suffix(ddm, adding(ddm.ICD), "diversity within a class"),
    "first_moments": Suffix(ddm, adding(ddm.FIRST_MOMENTS), "moments as the authors released them first"),
    "first_gram": Suffix(ddm, adding(ddm.FIRST_GRAM), "gram, the same"),
    "first_sm": Suffix(ddm, adding(ddm.FIRST_MOMENTS, ddm.FIRST_GRAM), "sm, the same"),
    "first_icd": Suffix(ddm, adding(ddm.FIRST_ICD), "icd, the same"),
    "later_moments": Suffix(ddm, adding(ddm.LATER_MOMENTS), "moments as the authors released them later"),
    "later_gram": Suffix(ddm, adding(ddm.LATER_GRAM), "gram, the same"),
    "later_sm": Suffix(ddm, adding(ddm.LATER_MOMENTS, ddm.LATER_GRAM), "sm, the same"),
    "later_icd": Suffix(ddm, adding(ddm.LATER_ICD), "icd, the same"),
    "queue": Suffix(idm, idm.queue, "networks of every age, from IDM's queue"),
    "trained": Suffix(idm, idm.trained, "networks that were trained for some epochs"),
    "ce": Suffix(idm, idm.ce, "class-aware regularisation; after queue"),
    "meter": Suffix(idm, idm.meter, "accuracies since the authors' last evaluation; after queue"),
    "partition": Suffix(idm, idm.partition, "2 x 2 images in one"),
    "pixels": Suffix(idm, idm.pixels, "no partition"),
    "cc": Suffix(iid, adding(iid.CC), "class centralisation"),
    "cov": Suffix(iid, adding(iid.COV), "covariance matching"),
    "iid": Suffix(iid, adding(iid.CC, iid.COV), "cc and cov"),
    "m3d": Suffix(m3d, m3d.m3d, "kernel MMD in the place of mean matching"),
    "cf": Suffix(ncfm, ncfm.cf, "characteristic functions in the place of mean matching"),
    "pool": Suffix(dance, dance.pool, "networks between the ends of their training, from DANCE's pool"),
    "calibration": Suffix(dance, dance.calibration, "cross-entropy under trained networks; after pool"),
    "moment2": Suffix(m3d, adding(m3d.SECOND), "second moments of embeddings"),
    "moment3": Suffix(m3d, adding(m3d.THIRD), "third moments"),
    "labels": Suffix(ld, ld.labels, "soft labels, learned beside the images"),
    "sam": Suffix(datadam, adding(datadam.SAM), "attention matching"),
    "sam1": Suffix(datadam, adding(datadam.PLAIN_SAM), "the same with exponent 1"),
    "dsa": Suffix(cafe, cafe.dsa, "augmentation, for methods without"),
}


def build(name: str, /, dataset: str = "", **changes: Any) -> Method:
    """The method of an expression such as ``ddm``, ``random``, ``dm+moments+icd`` or ``idm@ce=0.1,size=50``.

    After ``@`` stand settings of the method, which nothing else changes then: numbers of the recipe (``lr``),
    the weight of a term by the name of its modifier or objective, fields of its networks (``size``, ``steps``)
    and of its storage (``factor``); ``settings_of`` has them all.

    ``dataset`` chooses among a method's published settings (``cifar10`` where it has none for it); images per
    class choose when it runs. ``changes`` override fields of the recipe, for example ``iterations=2000``, or of
    a coreset the ``iterations`` of its network; ``reuse`` is what ``Recipe.reusing`` takes.

    Raises:
        ValueError: for a name that is not known (with the nearest one), a modifier that makes no sense there,
            settings that a method does not have, or has twice, and numbers out of their range.
    """
    if not isinstance(name, str):
        raise ValueError(f"method {name!r}: give a name, such as 'ddm'")
    said = parse(name)
    composed = _composed(said, name.partition("@")[0])
    if isinstance(composed, Recipe):
        composed = replace(composed, dataset=dataset)
        composed = with_chosen(composed, said.settings, _groups()) if said.settings else composed
    else:
        composed = replace(composed.with_settings(**said.settings), chosen=(*said.settings,))
    composed = replace(composed, name=name)
    if twice := [change for change in changes if change in composed.chosen]:
        raise ValueError(f"{twice[0]} is in {name} and beside it: give it once")
    return composed.with_settings(**changes)


def settings_of(name: str) -> dict[str, object]:
    """The settings that an expression of this method can have, with their values.

    Raises:
        ValueError: as ``build``.
    """
    method = build(name)
    if isinstance(method, Recipe):
        return shown(method, _groups())
    return {k: v for k, v in method.settings().items() if k != "name" and v}


def has(name: str, setting: str) -> bool:
    """Whether the method of an expression has a setting; errors as ``build``."""
    method = build(name)
    if isinstance(method, Recipe):
        return has_setting(method, setting, _groups())
    return setting in settings_of(name)


@cache
def _groups() -> Groups:
    """The objectives of each modifier that has terms."""
    found = ((name, getattr(suffix.modify, "terms", ())) for name, suffix in MODIFIERS.items())
    return {name: tuple(term.objective for term in terms) for name, terms in found if terms}


def _composed(said: Expression, name: str) -> Recipe | Coreset:
    base = said.base
    if base in MODIFIERS and base not in (*BASES, *COMPOSED):
        raise ValueError(f"{base} is a modifier, not a method: put it after one, such as dm+{base}")
    choice("method", base, sorted([*BASES, *COMPOSED]))
    composed = _composed(parse(COMPOSED[base].parts), base) if base in COMPOSED else BASES[base].method
    for suffix in said.modifiers:
        choice(f"modifier of {base}", suffix, sorted(MODIFIERS))
        if not isinstance(composed, Recipe):
            raise ValueError(
                f"{name}: {base} selects real images and takes no modifiers; "
                f"use {base} alone, or a method that optimises images, such as dm+{suffix}"
            )
        try:
            composed = MODIFIERS[suffix].modify(composed)
        except ValueError as error:
            raise ValueError(f"{name}: {suffix} does not fit: {error}") from None
    return replace(composed, name=name)
