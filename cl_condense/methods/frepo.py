"""FRePo: Dataset Distillation using Neural Feature Regression (Zhou et al., NeurIPS 2022, arXiv:2206.00719).

L = the error on real images of ridge regression on the synthetic ones, in the embedding of networks that train
on the synthetic images (RecycledNets). It is the finite successor of KIP (Nguyen et al., NeurIPS 2021), whose
kernels are those of infinitely wide networks, and which the papers' tables quote.

The authors' images take 500,000 steps of LAMB at 0.0003, on images whitened by ZCA, and their labels are
learned too. Here the steps are SGD's, at rates of our own, and labels are hard; with ``+labels`` they are
learned probabilities (``ld.py``).
"""

from cl_condense.condensation.objectives import kernel_regression
from cl_condense.condensation.recipe import Recipe, Term
from cl_condense.condensation.sources.recycled import RecycledNets
from cl_condense.training.augment import DSA

FREPO = Recipe(
    "frepo",
    terms=(Term(kernel_regression, joint=True),),
    source=RecycledNets(),
    augment=DSA("none"),
    real_per_class=100,  # of CIFAR-10 about their batch of 1,024
    lr=1.0,
    momentum=0.9,
)
