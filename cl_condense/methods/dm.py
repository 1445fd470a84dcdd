"""DM: Dataset Condensation with Distribution Matching (Zhao and Bilen, WACV 2023, arXiv:2110.04181).

L = sum over classes of |mean_real - mean_syn|^2 of embeddings under a new random network at every iteration.
Paper and code agree; the code's loss is a plain sum over classes and dimensions, which is what the learning
rate of 1 belongs to.
"""

from cl_condense.condensation.objectives import mean_matching
from cl_condense.condensation.paper_settings import tuned
from cl_condense.condensation.recipe import Recipe, Term

# (data set, images per class): learning rate. The paper's section 4.1 and the code's readme.
SETTINGS = {
    ("cifar10", 50): (1.0,),
    ("cifar10", 100): (10.0,),
    ("cifar100", 50): (1.0,),
}
(LR,) = tuned(SETTINGS)

DM = Recipe("dm", terms=(Term(mean_matching),), lr=LR)
