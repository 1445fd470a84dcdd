"""What synthetic images are optimised for: one plain function per matching term.

Every objective takes the real and the synthetic ``View`` of the same k classes through the same network
and returns a scalar that is a SUM over classes of something averaged within each class (class centralisation
sums there too, as its paper does). So the gradient of a class does not depend on which classes share the step,
and a weight means the same with 2 classes or 100.
"""

from __future__ import annotations

from cl_condense.condensation.objectives.attention import attention_matching, plain_attention_matching
from cl_condense.condensation.objectives.characteristic import characteristic_function
from cl_condense.condensation.objectives.classification import (
    class_aware_regularisation,
    discrimination,
    trained_classification,
)
from cl_condense.condensation.objectives.gradients import (
    contrastive_gradient_matching,
    gradient_distance,
    gradient_matching,
)
from cl_condense.condensation.objectives.kernels import (
    gaussian_mmd,
    linear_mmd,
    polynomial_mmd,
    scaled_gaussian_mmd,
)
from cl_condense.condensation.objectives.means import (
    layer_matching,
    mean_matching,
    second_moments,
    third_moments,
)
from cl_condense.condensation.objectives.regression import kernel_regression
from cl_condense.condensation.objectives.relations import class_centralisation, covariance_matching
from cl_condense.condensation.objectives.style import (
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
from cl_condense.condensation.objectives.unrolled import trajectory_matching, unrolled_classification
from cl_condense.condensation.view import Objective

__all__ = [
    "Objective",
    "attention_matching",
    "characteristic_function",
    "class_aware_regularisation",
    "class_centralisation",
    "contrastive_gradient_matching",
    "conv_gram_matrices",
    "covariance_matching",
    "discrimination",
    "gaussian_mmd",
    "gradient_distance",
    "gradient_matching",
    "gram_matrices",
    "intra_class_diversity",
    "kernel_regression",
    "layer_matching",
    "linear_mmd",
    "mean_gram_matrices",
    "mean_map_moments",
    "mean_matching",
    "plain_attention_matching",
    "polynomial_mmd",
    "principal_spread",
    "relative_moments",
    "scaled_gaussian_mmd",
    "second_moments",
    "style_moments",
    "third_moments",
    "trained_classification",
    "trajectory_matching",
    "two_neighbour_diversity",
    "unrolled_classification",
]
