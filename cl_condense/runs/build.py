"""What configs stand for: methods, networks, and how these train."""

from __future__ import annotations

from dataclasses import replace

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
    # Of the method's own augmentation what fits the data set: no flips for digits.
    words = [word for word in method.augment.groups if word in DSA(c.augment).groups]
    own = replace(method, augment=replace(method.augment, strategy="_".join(words) or "none"))
    made = replace(economical(own, c.reuse) if c.economy else own, **given)
    if (real := given.get("real_per_class")) and made.quiet:
        # in every iteration: what does not fit a memory would not at the end
        made = replace(made, quiet=replace(made.quiet, real_per_class=real))
    if c.reuse is None or "reuse" in own.chosen or (c.economy and not why_not(own)):
        return made
    return made.reusing(c.reuse)


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
