"""Augmentation that fits the data set, in all that a method trains."""

import pytest

from cl_condense.condensation.recipe import Recipe
from cl_condense.methods.registry import BASES, build
from cl_condense.runs.build import method_for
from cl_condense.runs.config import CondenseConfig
from cl_condense.runs.defaults import own_numbers
from cl_condense.training.augment import DSA

TRAINING = {
    "dance": lambda recipe: recipe.source,
    "dm+pool": lambda recipe: recipe.source,
    "idc": lambda recipe: recipe.source,
    "mtt": lambda recipe: recipe.source.source,
}
"""Where the networks are that a method trains on augmented real images."""


def made(method, dataset, **given):
    config = CondenseConfig(dataset, method, **{"augment": DSA.strategy, "economy": False} | given)
    return method_for(config)


@pytest.mark.parametrize("method", TRAINING)
@pytest.mark.parametrize(
    ("words", "left"), [("none", set()), ("color", {"color"}), ("flip_crop", {"crop", "flip"})]
)
def test_networks_that_train_inside_a_method_have_it_too(method, words, left):
    usual, own = (
        TRAINING[method](recipe).augment for recipe in (build(method), made(method, "digits", augment=words))
    )
    assert {*own.groups} - {"none"} == {*usual.groups} & left
    assert own.every == usual.every


@pytest.mark.parametrize("dataset", ["digits", "mnist", "svhn"])
def test_digits_are_not_flipped_in_the_trainings_of_mtt(dataset):
    recipe = made("mtt", dataset, augment=own_numbers(dataset)["augment"])
    assert "flip" in build("mtt").source.source.augment.groups
    assert "flip" not in recipe.source.source.augment.groups


@pytest.mark.parametrize("method", [name for name in BASES if isinstance(build(name), Recipe)])
def test_where_all_of_it_fits_methods_are_what_their_papers_say(method):
    assert made(method, "cifar10") == build(method, "cifar10")
