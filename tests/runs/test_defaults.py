"""What a data set and a way to evaluate have by default."""

import pytest

from cl_condense.runs.defaults import default_epochs


@pytest.mark.parametrize(
    ("dataset", "evaluation", "epochs"),
    [
        ("digits", "plain", 200),
        ("cifar100", "plain", 300),
        ("cifar100", "augmented", 1000),
        ("cifar100", "mixed", 1000),
        ("mnist", "plain", 300),
    ],
)
def test_epochs_are_the_data_sets_own_or_the_published(dataset, evaluation, epochs):
    assert default_epochs(dataset, evaluation) == epochs
