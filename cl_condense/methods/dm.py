"""DM: Dataset Condensation with Distribution Matching (Zhao and Bilen, WACV 2023, arXiv:2110.04181)."""

from cl_condense.engine import Recipe, Term
from cl_condense.objectives import mean_matching

# The paper's section 4.1 and the authors' code agree; the code takes lr 10 from 100 images per class on.
DM = Recipe("dm", terms=(Term(mean_matching),))
