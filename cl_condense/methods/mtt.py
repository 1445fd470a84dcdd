"""MTT: Dataset Distillation by Matching Training Trajectories.

(Cazenavette et al., CVPR 2022, arXiv:2203.11932)

L = |theta_N - theta*|^2 / |theta_0 - theta*|^2: steps on the synthetic images are to lead a network from one
epoch of its training on real images to a later one. The trainings are done before (Trajectories), and kept in a
file.

Its experts are few and short here, for small machines: the authors train 100 for 50 epochs and begin at one of
the first 20 or 40 (``mtt@size=100,epochs=50,starts=20``). They learn the rate of the steps, from 0.01, with the
images; here it stays. Augmentation is drawn for each class and iteration, theirs for every step. With many
images of a class they take some of them in a step (``each``).
"""

from cl_condense.condensation.objectives import trajectory_matching
from cl_condense.condensation.paper_settings import tuned
from cl_condense.condensation.recipe import Recipe, Term
from cl_condense.condensation.sources.trajectories import Trajectories
from cl_condense.condensation.sources.unrolled import Unrolled

# (data set, images per class): learning rate. The authors' command for all; that for digits is ours, the best
# of 1, 10 and 100 on held-out training images (REPRODUCIBILITY.md).
(LR,) = tuned({("cifar10", 1): (1000.0,), ("digits", 2): (1.0,)})

MTT = Recipe(
    "mtt",
    terms=(Term(trajectory_matching, joint=True),),
    source=Unrolled(Trajectories(), unroll=20),
    iterations=5_000,
    real_per_class=1,  # of which nothing is looked at
    lr=LR,
)
