"""DD: Dataset Distillation (Wang et al., 2018, arXiv:1811.10959).

L = cross-entropy of real images under a random network that has trained on the synthetic ones: step after step
on one image of each class, three times through all, looked back through to the images. The network is new in
every iteration, as in its setting of random initialisation.

The authors learn the rate of each step, from 0.02, with the images, by Adam at 0.01; here it stays, and the
images take SGD at a rate of our own. Their networks are LeNet for MNIST and AlexNet for CIFAR-10.
"""

from cl_condense.condensation.objectives import unrolled_classification
from cl_condense.condensation.paper_settings import tuned
from cl_condense.condensation.recipe import Recipe, Term
from cl_condense.condensation.sources.unrolled import Unrolled
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.condensation.storage import Pixels
from cl_condense.training.augment import DSA

# (data set, images per class): steps, three times through the images; learning rate, which for digits is the
# best of 0.1, 1, 10 and 100 on held-out training images (REPRODUCIBILITY.md), and else was never looked at.
STEPS, LR = tuned({("cifar10", 1): (3, 1.0), ("cifar10", 10): (30, 1.0), ("digits", 2): (6, 100.0)})

DD = Recipe(
    "dd",
    terms=(Term(unrolled_classification, joint=True),),
    source=Unrolled(RandomNets(), unroll=STEPS, rate=0.02, each=1),
    synthetic=Pixels("noise"),
    augment=DSA("none"),
    real_per_class=100,  # of CIFAR-10 about their batch of 1,024
    lr=LR,
    momentum=0.9,
)
