"""NCFM: Dataset Distillation with Neural Characteristic Function (Wang et al., CVPR 2025, arXiv:2502.20653).

L = 300 x the distance of the characteristic functions of embeddings, the modifier ``cf``, which puts it in the
place of DM's term: ``dm+cf``, and with NCFM's networks and cross-entropy ``dance+cf``. The released
configurations leave the paper's sampling network off, and so has this. Of its own are AdamW, at 0.001, a
schedule that waits for plateaus, 1,024 real images a class and 20,000 iterations; here these are the base's.
"""

from cl_condense.condensation.modifiers import Replacing
from cl_condense.condensation.objectives import characteristic_function, mean_matching
from cl_condense.condensation.recipe import Term

CF = Term(characteristic_function, 300.0)

cf = Replacing(mean_matching, CF, "dm+cf")
