"""LD: Flexible Dataset Distillation: Learn Labels Instead of Images (Bohdal et al., 2020, arXiv:2006.08572).

Random real images that stay as they are, each with learned probabilities of all classes, under FRePo's loss
and networks: the form of the paper in which the last layer is the solution of ridge regression, and the others
train on the learned labels.

The authors' labels begin alike for all classes, take steps of Adam, and are cut and divided to be
probabilities; their loss is the cross-entropy of calibrated logits, on LeNet and AlexNet. Here they are a
softmax, begin near the image's own class, and take SGD at a rate of our own on FRePo's squared error.

``+labels`` learns the labels of a method whose images are learned too: ``frepo+labels``, ``dd+labels``.
"""

from dataclasses import replace

from cl_condense.condensation.labels import LearnedLabels
from cl_condense.condensation.recipe import Recipe
from cl_condense.condensation.storage import RealImages
from cl_condense.methods.frepo import FREPO

# The best rate of some for digits, on held-out training images (REPRODUCIBILITY.md); for others it was never
# looked at.
LEARNED = LearnedLabels(1.0)

LD = replace(FREPO, name="ld", synthetic=RealImages(), labels=LEARNED)


def labels(recipe: Recipe) -> Recipe:
    """Labels that are learned beside the images.

    Raises:
        ValueError: where they are learned already, and for a recipe that does not read labels.
    """
    if recipe.labels:
        raise ValueError("its labels are learned already; leave it out")
    return replace(recipe, labels=LEARNED)
