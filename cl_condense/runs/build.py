"""What configs stand for: methods, networks, and how these train."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, is_dataclass, replace
from typing import Any

from cl_condense.common.suggest import choice
from cl_condense.condensation.recipe import Method, Recipe
from cl_condense.data.domain_names import base_of
from cl_condense.methods.coresets import Coreset
from cl_condense.methods.economy import economical, why_not
from cl_condense.methods.hybrid import made_of
from cl_condense.methods.registry import build
from cl_condense.networks.contract import MakeNetwork
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.registry import architecture
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.training.augment import DSA
from cl_condense.training.protocol import TRAININGS, Training


def method_for(c: CondenseConfig) -> Method:
    """The method of a condensation with its settings; those of its expression stand.

    Raises:
        ValueError: for an unknown method, and for settings that it does not have.
    """
    method = build(made_of(c.method), base_of(c.dataset))
    if not isinstance(method, Recipe | Coreset):
        return method
    method = replace(method, name=c.method)  # of a hybrid memory its own
    given = {k: getattr(c, k) for k in ("iterations", "real_per_class", "precision", "compiled")}
    given = {k: v for k, v in given.items() if v is not None and k not in method.chosen}
    if isinstance(method, Coreset):
        given = {k: v for k, v in given.items() if k in ("iterations", "compiled")}
        return replace(method, **given) if method.iterations else method
    own: Recipe = _fitting(method, DSA(c.augment).groups)
    made = replace(economical(own, c.reuse) if c.economy else own, **given)
    if (real := given.get("real_per_class")) and made.quiet:
        # in every iteration: what does not fit a memory would not at the end
        made = replace(made, quiet=replace(made.quiet, real_per_class=real))
    if c.reuse is None or "reuse" in own.chosen or (c.economy and not why_not(own)):
        return made
    return made.reusing(c.reuse)


def augments(method: Method) -> bool:
    """Whether an augmentation of images is anywhere in it."""
    return isinstance(method, Recipe) and _fitting(method, ()) != method


def _fitting(part: Any, words: Collection[str]) -> Any:
    """A recipe, or a part of it, with what of its own augmentation fits the data set: no flips for digits.

    That of networks which train on real images too, wherever in the recipe they are.
    """
    if isinstance(part, DSA):
        return replace(part, strategy="_".join(word for word in part.groups if word in words) or "none")
    if isinstance(part, tuple):
        own = tuple(_fitting(each, words) for each in part)
        return part if own == part else own
    if not is_dataclass(part) or isinstance(part, type):
        return part
    old = {each.name: getattr(part, each.name) for each in fields(part) if each.init}
    new = {name: _fitting(value, words) for name, value in old.items()}
    changed = {name: value for name, value in new.items() if value is not old[name]}
    return replace(part, **changed) if changed else part


def training_for(t: TrainConfig) -> Training:
    """How networks are trained.

    Raises:
        ValueError: for an unknown way to evaluate, and for an unknown precision.
    """
    way = TRAININGS[choice("evaluation", t.evaluation, TRAININGS)]
    return replace(way(t.epochs, t.augment), precision=t.training_precision, compiled=t.compiled)


def network_for(c: CondenseConfig | TrainConfig, shape: tuple[int, int, int]) -> MakeNetwork:
    """Makes networks for images of a shape; errors as those of the network."""
    return MakeConvNet(shape, c.width, c.depth) if c.network == "convnet" else architecture(c.network, shape)
