"""DC: Dataset Condensation with Gradient Matching (Zhao et al., ICLR 2021, arXiv:2006.05929).

L = sum over classes and output units of 1 - cos(g_real, g_syn) under networks that train on the synthetic
images between the steps on these. ``iterations`` counts the steps on the images: the authors' 1,000 outer
iterations times the steps that each network sees. Their code runs with the budgets of this table alone; others
take the nearest.
"""

from cl_condense.condensation.objectives import gradient_matching
from cl_condense.condensation.paper_settings import tuned
from cl_condense.condensation.recipe import Recipe, Term
from cl_condense.condensation.sources.training import InnerLoop
from cl_condense.condensation.storage import Pixels
from cl_condense.training.augment import DSA

# (data set, images per class): iterations, steps a network sees, epochs that it trains between them.
SETTINGS = {
    ("cifar10", 1): (1_000, 1, 1),
    ("cifar10", 10): (10_000, 10, 50),
    ("cifar10", 20): (20_000, 20, 25),
    ("cifar10", 30): (30_000, 30, 20),
    ("cifar10", 40): (40_000, 40, 15),
    ("cifar10", 50): (50_000, 50, 10),
}
ITERATIONS, OUTER, INNER = tuned(SETTINGS)

DC = Recipe(
    "dc",
    terms=(Term(gradient_matching),),
    source=InnerLoop(OUTER, INNER),
    synthetic=Pixels("noise"),
    augment=DSA("none"),
    iterations=ITERATIONS,
    lr=0.1,
)
