"""DDM: Decomposed Distribution Matching in Dataset Condensation (Malakshan et al., arXiv:2412.04748).

L = L_MMD + beta L_ICD + lambda (alpha L_MM + L_CM), eq. 7, 10 and 11; everything else is DM's. The weights are
beta = 10, lambda = 10,000 and alpha = 1: what the commands in the authors' readme give each term. Two codes
have been released. The first reads the style from the maps after ReLU (an in-place ReLU changes what its norm
layers returned), averages maps before taking moments and accumulates style over classes; no script of it runs
the whole method. The later one reads the style before the norm, its moments relative to the real ones, and
replaces the divergence by a bounded match of the real class's spread.

The parts of the paper's loss are the modifiers ``moments``, ``gram``, ``sm`` (both) and ``icd``; those of the
later code ``later_moments``, ``later_gram``, ``later_sm`` and ``later_icd``.
"""

from cl_condense.objectives import (
    conv_gram_matrices,
    gram_matrices,
    intra_class_diversity,
    principal_spread,
    relative_moments,
    style_moments,
)
from cl_condense.recipes import Term

MOMENTS = Term(style_moments, 1e4)
GRAM = Term(gram_matrices, 1e4)
ICD = Term(intra_class_diversity, 10.0)

LATER_MOMENTS = Term(relative_moments, 180.0)
LATER_GRAM = Term(conv_gram_matrices, 1e4)
LATER_ICD = Term(principal_spread, 30.0)
