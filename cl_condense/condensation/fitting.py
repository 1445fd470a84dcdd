"""Whether a recipe's objectives can look through a network at all, found out before any work."""

from __future__ import annotations

import torch

from cl_condense.condensation.recipe import Recipe
from cl_condense.condensation.view import View, statistics_of
from cl_condense.data.imageset import ImageSet
from cl_condense.networks.contract import MakeNetwork, make_feature_net


def check_fits(recipe: Recipe, network: MakeNetwork, real: ImageSet) -> None:
    """Looks once at two images of two classes, on the CPU; ``recipe`` is settled.

    Raises:
        ValueError: for a network without the maps, or the gradients, that an objective reads.
    """
    net = make_feature_net(network, len(real.class_ids), torch.device("cpu"))
    few = min(2, len(real.class_ids))
    read = statistics_of(term.objective for term in recipe.terms)
    pixels = torch.linspace(-1, 1, few * 2 * real.images[0].numel()).view(few, 2, *real.shape)
    one, other = (View(net, x, None, read, torch.ones(())) for x in (pixels, pixels.flip(3).requires_grad_()))
    try:
        for term in recipe.terms:
            term.of(one, other)
    except ValueError as error:
        raise ValueError(f"{recipe.name} does not fit the network: {error}") from None
