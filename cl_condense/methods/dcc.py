"""DCC: Dataset Condensation with Contrastive Signals (Lee et al., ICML 2022, arXiv:2202.02916).

DSA, but the gradients that match are those of all classes together. At first they match class by class, as in
DSA: in the authors' code until a quarter of the outer iterations is done (250 of 1,000) or a network has seen
10 steps. Its strongest setting, which the tables quote, has DSA's augmentation, and so has this.
"""

from dataclasses import replace

from cl_condense.condensation.objectives import contrastive_gradient_matching, gradient_matching
from cl_condense.condensation.paper_settings import tuned
from cl_condense.condensation.recipe import Term
from cl_condense.condensation.sources.training import InnerLoop
from cl_condense.methods.dc import SETTINGS
from cl_condense.methods.dsa import DSA

# DC's, but 10 steps a network at one image per class, with 5 epochs between them.
ITERATIONS, OUTER, INNER = tuned({**SETTINGS, ("cifar10", 1): (10_000, 10, 5)})


def warming_up(done: float, age: int) -> bool:
    """Whether gradients match class by class: after ``done`` of the run, ``age`` steps into a network."""
    return done < 0.25 and age < 10


def warm(done: float, age: int) -> bool:
    return not warming_up(done, age)


DCC = replace(
    DSA,
    name="dcc",
    terms=(
        Term(gradient_matching, when=warming_up),
        Term(contrastive_gradient_matching, when=warm, joint=True),
    ),
    source=InnerLoop(OUTER, INNER),
    iterations=ITERATIONS,
)
