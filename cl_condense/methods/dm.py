"""DM: Dataset Condensation with Distribution Matching (Zhao and Bilen, WACV 2023, arXiv:2110.04181)."""

from cl_condense.condense import Recipe, Term
from cl_condense.objectives import mean_matching

# Settings: section 4.1 of the paper and the authors' code agree. The code takes lr 10 from 100 images per class.
DM = Recipe("dm", terms=(Term(mean_matching),))
