"""DDM: Decomposed Distribution Matching in Dataset Condensation (Malakshan et al., arXiv:2412.04748).

L = L_MMD + beta L_ICD + lambda (alpha L_MM + L_CM), eq. 7, 10 and 11; everything else is DM's. The weights are
beta = 10, lambda = 10,000 and alpha = 1: what the commands in the authors' readme give each term. Two codes
have been released. The first, ``first_ddm``, reads the style from the maps after ReLU (an in-place ReLU changes
what its norm layers returned) and averages maps before taking moments; no script of it runs the whole method.
It adds each class's style to a third of what earlier classes left, so that a class counts 1 to 1.5 times, by
its place in the loop: here each counts the mean of that over ten classes, 1.5 (1 - 1/20) = 1.425. The later
code, ``later_ddm``, reads the style before the norm, its moments relative to the real ones, and replaces the
divergence by a bounded match of the real class's spread.

The parts of the paper's loss are the modifiers ``moments``, ``gram``, ``sm`` (both) and ``icd``; those of the
first code ``first_moments``, ``first_gram``, ``first_sm`` and ``first_icd``, and of the later one
``later_moments``, ``later_gram``, ``later_sm`` and ``later_icd``.
"""

from cl_condense.condensation.objectives import (
    conv_gram_matrices,
    gram_matrices,
    intra_class_diversity,
    mean_gram_matrices,
    mean_map_moments,
    principal_spread,
    relative_moments,
    style_moments,
    two_neighbour_diversity,
)
from cl_condense.condensation.recipe import Term

MOMENTS = Term(style_moments, 1e4)
GRAM = Term(gram_matrices, 1e4)
ICD = Term(intra_class_diversity, 10.0)

FIRST_MOMENTS = Term(mean_map_moments, 1.425e4)
FIRST_GRAM = Term(mean_gram_matrices, 1.425e4)
FIRST_ICD = Term(two_neighbour_diversity, 10.0)

LATER_MOMENTS = Term(relative_moments, 180.0)
LATER_GRAM = Term(conv_gram_matrices, 1e4)
LATER_ICD = Term(principal_spread, 30.0)
