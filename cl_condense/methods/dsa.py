"""DSA: Dataset Condensation with Differentiable Siamese Augmentation.

(Zhao and Bilen, ICML 2021, arXiv:2102.08259)

DC from a start at real images, with the same augmentation of the real and the synthetic images of a class, and
augmented training of the networks.
"""

from dataclasses import replace

from cl_condense.condensation.storage import Pixels
from cl_condense.methods.dc import DC
from cl_condense.training.augment import DSA as Augmentation

DSA = replace(DC, name="dsa", synthetic=Pixels(), augment=Augmentation())
