"""Whether a recipe's objectives can look through a network at all, found out before any work."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cl_condense.common.plain import Json
from cl_condense.condensation.recipe import Recipe
from cl_condense.condensation.sources.contract import Checked
from cl_condense.condensation.storage import check_factor
from cl_condense.condensation.view import Unroll, View, statistics_of
from cl_condense.data.imageset import ImageSet
from cl_condense.networks.contract import MakeNetwork, make_feature_net


def check_fits(recipe: Recipe, network: MakeNetwork, real: ImageSet, together: int | None = None) -> None:
    """Looks once at two images of two classes, on the CPU, and at their size; ``recipe`` is settled.

    ``together`` is the fewest classes that are condensed at once, where it is not all of them.

    Raises:
        ValueError: for images that cannot hold so many smaller ones, numbers of networks that do not fit one
            another, a network without the maps, or the gradients, that an objective reads, and a single class
            where the objectives compare classes alone, so that no image would change.
    """
    check_factor(recipe.synthetic.factor, real.shape)
    for source in recipe.sources():
        if isinstance(source, Checked):
            source.check()
    classes = together or len(real.class_ids)
    net = make_feature_net(network, classes, torch.device("cpu"))
    few = min(2, classes)
    read = statistics_of(term.objective for term in recipe.terms)
    pixels = torch.linspace(-1, 1, few * 2 * math.prod(real.shape)).view(few, 2, *real.shape)
    both = (pixels, pixels.flip(3).requires_grad_())
    more: Json = {"trained": net, "unroll": Unroll(1, 0.01)}
    one, other = (View(net, x, None, read, torch.ones(()), **more) for x in both)
    try:
        losses = [term.of(one, other) for term in recipe.terms]
    except ValueError as error:
        raise ValueError(f"{recipe.name} does not fit the network: {error}") from None
    if classes == 1 and not any(_moves(loss, other.images) for loss in losses):
        raise ValueError(
            f"{recipe.name} tells classes apart and learns nothing of 1 class: give 2 or more at once, or take "
            "one that matches the images of each class, such as dm"
        )


def _moves(loss: Tensor, images: Tensor) -> bool:
    """Whether a loss changes with the images."""
    if not loss.requires_grad:
        return False
    (slope,) = torch.autograd.grad(loss, images, allow_unused=True, retain_graph=True)
    return slope is not None and bool((slope.abs() > 0).any())
