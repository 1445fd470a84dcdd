"""DANCE: Dual-View Distribution Alignment for Dataset Condensation.

(Zhang et al., IJCAI 2024, arXiv:2406.01063)

L = L_DM under a network between the two ends of its training, a new one and a new place between them at every
iteration, and then, in a step of its own, the cross-entropy of the synthetic images under the trained end of
that network. Images hold 2 x 2 smaller ones and live between black and white. The networks are those of a pool
(``BlendedPool``), trained before. The parts are the modifiers ``pool`` and ``calibration``, so ``dm+pool``.

Each class takes a step of its own on either loss, one after another, at rate 0.01 x ipc (for images of 128
pixels 0.1 x ipc) with momentum 0.5, and with 200 of its decoded images where it has more. Paper and pretraining
script have 20 networks and 60 epochs (80 of 5 networks at 128 pixels), while the condensing script looks at 5.
Their cross-entropy draws augmentation and decoded images anew; here both losses of an iteration share them.
"""

from dataclasses import replace

from cl_condense.condensation.modifiers import Adding
from cl_condense.condensation.objectives import mean_matching, trained_classification
from cl_condense.condensation.paper_settings import tuned
from cl_condense.condensation.recipe import Recipe, Term
from cl_condense.condensation.sources.pool import BlendedPool
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.condensation.storage import Partition
from cl_condense.training.augment import DSA

# (data set, images per class): learning rate. That for digits is the same; it is the best of three there.
_LARGE = ("imagenette", "imagewoof")
RATES = {
    (name, ipc): ((0.1 if name in _LARGE else 0.01) * ipc,)
    for name in ("cifar10", "cifar100", "tinyimagenet", "digits", *_LARGE)
    for ipc in (1, 2, 5, 10, 20, 50)
}
# The same: networks of the pool, epochs and images of a batch that they train. Those for digits are ours.
POOLS = {
    **dict.fromkeys((("cifar10", 1), ("cifar100", 1), ("tinyimagenet", 1)), (20, 60, 64)),
    ("digits", 1): (5, 20, 64),
    **{(name, 1): (5, 80, 128) for name in _LARGE},
}
(LR,) = tuned(RATES)
SIZE, EPOCHS, BATCH = tuned(POOLS)

POOL = BlendedPool(size=SIZE, epochs=EPOCHS, batch=BATCH)
CALIBRATION = Term(trained_classification, apart=True)

DANCE = Recipe(
    "dance",
    terms=(Term(mean_matching), CALIBRATION),
    source=POOL,
    synthetic=Partition(2, "nearest"),
    augment=DSA("color_crop_cutout", every=True),
    iterations=10_000,
    real_per_class=128,
    syn_per_class=200,
    lr=LR,
    class_steps=True,
    space="unit",
)


def pool(recipe: Recipe) -> Recipe:
    """Networks between the two ends of a training, from DANCE's pool."""
    if not isinstance(recipe.source, RandomNets):
        nets = type(recipe.source).__name__
        raise ValueError(f"its networks are of {nets} already, not untrained; put it after dm, such as dm+pool")
    return replace(recipe, source=POOL)


def _endless(recipe: Recipe) -> str:
    if isinstance(recipe.source, BlendedPool):
        return ""
    return "it looks through the trained end of a network; put pool before it"


calibration = Adding((CALIBRATION,), lacks=_endless)
"""DANCE's cross-entropy under the trained end of the network."""
