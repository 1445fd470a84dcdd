"""CAFE: Learning to Condense Dataset by Aligning Features (Wang et al., CVPR 2022, arXiv:2203.01531).

L = layer-wise matching of class means + 0.01 x the cross-entropy of 256 real images of each class, classified
by the synthetic class means, under networks that train on the synthetic images for as long as it helps
(DynamicLoop). The weights are those of the authors' code, which counts the embedding twice. ``cafe+dsa`` is the
papers' CAFE+DSA.

Their 2,000 iterations are networks, with at least 10 steps on the images each: 20,000 steps here. The rate is
halved after 60, 80 and 90 % of them, as there. Their loss has a further term without effect on the images.
"""

from dataclasses import replace

from cl_condense.condensation.objectives import discrimination, layer_matching, mean_matching
from cl_condense.condensation.recipe import Recipe, Term
from cl_condense.condensation.sources.training import DynamicLoop
from cl_condense.condensation.storage import Pixels
from cl_condense.training.augment import DSA

CAFE = Recipe(
    "cafe",
    terms=(
        Term(layer_matching),
        Term(mean_matching, 2.0),
        Term(discrimination, 0.01 * 256, joint=True),
    ),
    source=DynamicLoop(),
    synthetic=Pixels("noise"),
    augment=DSA("none"),
    iterations=20_000,
    lr=0.1,
    halvings=(0.6, 0.8, 0.9),
)


def dsa(recipe: Recipe) -> Recipe:
    """Differentiable siamese augmentation for a method that has none."""
    if recipe.augment.strategy != "none":
        raise ValueError("it augments already; leave it out")
    return replace(recipe, augment=DSA())
