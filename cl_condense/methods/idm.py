"""IDM: Improved Distribution Matching for Dataset Condensation (Zhao et al., CVPR 2023, arXiv:2307.09742).

L = L_DM + lambda Acc L_CE (eq. 5) under networks from a queue, with images that hold 2 x 2 smaller ones. The
parts are the modifiers ``queue``, ``ce`` and ``partition``, in the order of the paper's ablation (table 2);
``idm+pixels`` stores one image in an image, as the cross-architecture and continual-learning experiments do.
``dm+trained@epochs=30`` looks through trained networks alone (figure 3), and ``idm@pretrained=10`` starts the
queue from ten trained ones (supplement, section 3).

Where paper and code differ this is the code: the accuracy is in percent; the networks that train are not the
one looked through (see ModelQueue, whose fields lead to the paper's form); one class after another takes a step
at rate 0.2 with momentum 0.5. Their TinyImageNet script starts from whole images by mistake; this starts from
mosaics.

Two things differ. For CIFAR-100 at 50 images per class the authors' command has 10 training steps and their
answer to a user 40 (uitrbn/IDM, issue 1: the command gives about 46 %); this has 40. And Acc: the authors'
meters are emptied whenever they evaluate, so that a network weighs 0 until it trains again, which is the
modifier ``meter``; without it Acc is that of the network's last training, so that how often a run is evaluated
does not change its images. Which is better has not been measured.
"""

from dataclasses import replace

from cl_condense.condensation.modifiers import Adding
from cl_condense.condensation.objectives import class_aware_regularisation
from cl_condense.condensation.paper_settings import tuned
from cl_condense.condensation.recipe import Recipe, Term
from cl_condense.condensation.sources.pool import TrainedPool
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.condensation.storage import Partition, Pixels

# (data set, images per class): real images a class, iterations between new networks, steps that a network
# trains, networks in the queue, images of a batch that they train on, weight of the cross-entropy, iterations
# between evaluations, which empty the authors' meters. From the commands of the authors' repository, but 40
# steps of training for CIFAR-100 at 50 images, from their issue 1 (the command: 10); the paper has weights 0.5,
# 0.5, 0.1. Those for digits are ours (REPRODUCIBILITY.md): their short embeddings make DM's term far smaller.
SETTINGS = {
    ("cifar10", 1): (5000, 5, 10, 100, 256, 0.5, 100),
    ("cifar10", 10): (256, 30, 10, 100, 256, 0.5, 100),
    ("cifar10", 50): (256, 30, 10, 100, 256, 0.1, 500),
    ("cifar100", 1): (5000, 5, 10, 100, 256, 0.5, 100),
    ("cifar100", 10): (256, 30, 50, 100, 256, 0.1, 100),
    ("cifar100", 50): (256, 30, 40, 100, 256, 0.1, 500),
    ("tinyimagenet", 1): (256, 30, 10, 100, 256, 0.5, 100),
    ("tinyimagenet", 10): (256, 30, 10, 100, 256, 0.5, 500),
    ("tinyimagenet", 50): (256, 30, 50, 100, 256, 0.8, 1000),
    ("imagenet100", 10): (128, 50, 10, 50, 128, 3.0, 1000),
    ("digits", 2): (256, 30, 2, 100, 256, 0.005, 100),
}
REAL, PUSH, STEPS, SIZE, BATCH, WEIGHT, EVALUATE = tuned(SETTINGS)

QUEUE = ModelQueue(push_every=PUSH, train_steps=STEPS, size=SIZE, batch=BATCH)
CE = Term(class_aware_regularisation, WEIGHT)


def queue(recipe: Recipe) -> Recipe:
    """Networks from IDM's queue, with IDM's learning rate and real images."""
    if not isinstance(recipe.source, RandomNets):
        nets = type(recipe.source).__name__
        raise ValueError(
            f"its networks are of {nets} already, not untrained; put it after dm, such as dm+queue"
        )
    return replace(recipe, source=QUEUE, lr=0.2, momentum=0.5, class_steps=True, real_per_class=REAL)


def trained(recipe: Recipe) -> Recipe:
    """Networks that were trained for some epochs (figure 3, which has 100 of each 10 to 60 epochs)."""
    if not isinstance(recipe.source, RandomNets):
        nets = type(recipe.source).__name__
        raise ValueError(
            f"its networks are of {nets} already, not untrained; put it after dm, such as dm+trained"
        )
    return replace(recipe, source=TrainedPool(architecture="own"))


def _untrained(recipe: Recipe) -> str:
    if isinstance(recipe.source, ModelQueue):
        return ""
    return "it weighs by the accuracy of networks trained on real images; put queue before it"


ce = Adding((CE,), lacks=_untrained)
"""IDM's class-aware regularisation: cross-entropy, weighted by the network's accuracy."""


def meter(recipe: Recipe) -> Recipe:
    """The authors' accuracy of a network: the mean since their last evaluation, 0 until it trains again."""
    if not isinstance(recipe.source, ModelQueue) or recipe.source.meter is not None:
        has = isinstance(recipe.source, ModelQueue)
        raise ValueError(
            "its queue has one already; leave it out"
            if has
            else "it is of networks in a queue; put queue before it"
        )
    return replace(recipe, source=replace(recipe.source, meter=EVALUATE))


def partition(recipe: Recipe) -> Recipe:
    """Each stored image holds 2 x 2 smaller ones."""
    if recipe.synthetic.factor > 1:
        raise ValueError("its images hold several already; leave it out")
    return replace(recipe, synthetic=Partition(2))


def pixels(recipe: Recipe) -> Recipe:
    """Each stored image is one image."""
    if recipe.synthetic.factor == 1:
        raise ValueError("its stored images are single ones already; leave it out")
    return replace(recipe, synthetic=Pixels())
