"""Economy: what it makes of each method, and what has none."""

from dataclasses import replace

import pytest

from cl_condense.condensation.phases import Quiet
from cl_condense.condensation.recipe import Recipe
from cl_condense.condensation.sources.training import DynamicLoop, RealTraining
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.methods.economy import economical, numbers_of, why_alone, why_not
from cl_condense.methods.registry import BASES, COMPOSED, build

RECIPES = [name for name in [*BASES, *COMPOSED] if isinstance(build(name), Recipe)]
REUSE = ["dm", "ddm", "first_ddm", "later_ddm", "datadam", "m3d", "m3d_linear", "m3d_polynomial"]
ALONE = ["dc", "dsa", "dcc", "cafe", "dd", "ld", "frepo", "mtt"]
HAVE = [*REUSE, "idm", "dance", "dance4x4", "iid", *ALONE]


def settled(name, dataset="cifar10", ipc=10, **changes):
    return economical(build(name, dataset, **changes)).settled(ipc)


def test_what_has_an_economy():
    assert {name for name in RECIPES if not why_not(build(name))} == {*HAVE}


@pytest.mark.parametrize("name", ["dm", "ddm", "datadam", "dm+sm", "dm+icd", "dm+m3d", "dm+cov", "dm+cf"])
def test_a_method_with_untrained_networks_starts_noisy_and_ends_quietly(name):
    found, paper = settled(name), build(name, "cifar10").settled(10)
    assert (found.iterations, found.real_per_class, found.reuse) == (2500, 64, 10)
    assert (found.source, found.quiet) == (RandomNets(10), Quiet(0.16, 0.1, 256))
    same = replace(found, source=paper.source, iterations=20_000, real_per_class=256, reuse=1, quiet=None)
    assert same == paper


@pytest.mark.parametrize(("ipc", "push"), [(1, 5), (10, 30)])
@pytest.mark.parametrize("name", ["idm", "idm+pixels", "idm+sm", "dm+queue"])
def test_a_queue_keeps_a_network_for_as_long_and_trains_in_between(name, ipc, push):
    found, paper = settled(name, ipc=ipc), build(name, "cifar10").settled(ipc)
    assert (found.iterations, found.real_per_class, found.reuse) == (2500, 64, 10)
    assert found.source == replace(paper.source, steps=10)
    assert (found.source.push_every, found.source.train_steps) == (push, 10)
    assert found.quiet == Quiet(0.16, 0.1, 256)
    kept = {name: getattr(paper, name) for name in ("iterations", "real_per_class", "source")}
    assert replace(found, reuse=1, quiet=None, **kept) == paper


@pytest.mark.parametrize("name", ["dm+iid", "iid", "idm+iid", "dm+cc"])
def test_a_pool_beside_the_networks_is_small_and_slim_and_stays_as_long(name):
    found, paper = settled(name), build(name, "cifar10").settled(10)
    own, theirs = (next(term for term in r.terms if term.source) for r in (found, paper))
    slim = replace(theirs.source, size=2, epochs=8, width=0.125, steps=10)
    assert own == replace(theirs, source=slim, weight=4 * theirs.weight)
    assert [t for t in found.terms if not t.source] == [t for t in paper.terms if not t.source]
    assert (found.source.steps, found.reuse) == (10, 10)
    assert "a pool of 2 ResNet-18s, 0.125 times as wide, of 8 epochs" in numbers_of(found.settings())
    assert "a pool of 10 ResNet-18s, 0.5 times as wide, of 40 epochs" in numbers_of(paper.settings())
    one = settled("dm+cc@size=1,epochs=1")
    assert "a pool of 1 ResNet-18, 0.125 times as wide, of 1 epoch," in numbers_of(one.settings())


@pytest.mark.parametrize("said", ["cc", "class_centralisation"])
def test_a_weight_that_is_said_stands(said):
    assert settled(f"dm+cc@{said}=0.02").terms[1].weight == 0.02


def test_weights_are_in_proportion_to_the_width_at_every_budget():
    weights = [settled("dm+iid", ipc=ipc).terms[1].weight for ipc in (10, 50)]
    assert weights == [4 * 0.05, 4 * 0.003]
    assert settled("dm+iid@width=0.25").terms[1].weight == 0.05


def test_what_an_expression_says_of_a_term_or_its_networks_stands():
    (_, cc) = settled("dm+cc@cc.size=9,cc.epochs=3").terms
    assert (cc.source.size, cc.source.epochs, cc.source.width) == (9, 3, 0.125)
    (_, cc) = settled("dm+cc@width=0.25").terms
    assert (cc.source.size, cc.source.epochs, cc.source.width) == (2, 8, 0.25)
    (_, cc) = settled("dm+cc@architecture=own").terms
    assert (cc.source.size, cc.source.epochs, cc.source.architecture) == (5, 20, "own")
    kept = settled("dm+cc@cc.steps=4")
    assert (kept.reuse, kept.source, kept.terms[1].source.steps) == (4, RandomNets(4), 4)


@pytest.mark.parametrize(("reuse", "steps"), [(1, 1), (4, 4)])
def test_reuse_may_be_said(reuse, steps):
    found = economical(build("idm", "cifar10"), reuse).settled(10)
    assert (found.reuse, found.source.steps) == (reuse, steps)
    found = economical(build("dance", "cifar10"), reuse).settled(10)
    assert (found.reuse, found.source.steps, found.source.size) == (reuse, steps, 5)


@pytest.mark.parametrize("name", ["dance", "dance+cf", "dm+pool", "dance+sm"])
def test_a_method_with_a_pool_has_a_smaller_one_in_the_place_of_reuse(name):
    found, paper = settled(name), build(name, "cifar10").settled(10)
    assert (found.source.size, found.source.epochs, found.reuse) == (5, 20, 1)
    assert (found.iterations, found.real_per_class) == (2500, 64)
    assert "a pool of 5 networks of 20 epochs" in numbers_of(found.settings())
    same = replace(found, source=paper.source, iterations=paper.iterations, quiet=None)
    assert replace(same, real_per_class=paper.real_per_class) == paper
    assert settled("dance", "imagenette").source.batch == 128


def test_a_quiet_end_has_no_more_real_images_than_the_paper():
    assert settled("m3d").quiet == Quiet(0.16, 0.1, 128)
    assert settled("dm", real_per_class=32).quiet == Quiet(0.16, 0.1, 32)


@pytest.mark.parametrize(
    ("name", "dataset", "iterations"),
    [("m3d", "imagenet10", 1000), ("m3d", "imagenet100", 1000), ("m3d", "cifar10", 2500)],
)
def test_fewer_iterations_of_a_paper_stay(name, dataset, iterations):
    assert settled(name, dataset).iterations == iterations


def test_smaller_numbers_of_a_recipe_stay():
    found = settled("dm", iterations=100, real_per_class=16)
    assert (found.iterations, found.real_per_class, found.reuse) == (100, 16, 10)


@pytest.mark.parametrize("name", HAVE)
def test_it_is_the_same_before_and_after_the_numbers_are_chosen(name):
    made = build(name, "cifar10")
    assert economical(made).settled(10) == economical(made.settled(10))


@pytest.mark.parametrize("name", [*ALONE, "cafe+dsa", "dsa+cc"])
def test_where_networks_change_there_are_fewer_iterations_and_real_images_and_no_more(name):
    found, paper = settled(name), build(name, "cifar10").settled(10)
    assert why_alone(build(name)).startswith("its networks train ")
    judging = isinstance(paper.source, DynamicLoop)
    assert found.iterations == min(1250 if judging else 2500, paper.iterations)
    assert found.real_per_class == min(64, paper.real_per_class)
    kept = ("iterations", "real_per_class", "source", "terms")
    assert replace(found, **{name: getattr(paper, name) for name in kept}) == paper
    assert found.source == replace(paper.source, **({"real_per_class": 32} if judging else {}))
    with pytest.raises(ValueError, match="reuse 5 does not fit"):
        economical(build(name), 5)
    assert economical(build(name), 1) == economical(build(name))


def test_what_is_said_of_the_loop_of_cafe_stands():
    assert settled("cafe@source.real_per_class=99").source.real_per_class == 99


@pytest.mark.parametrize("name", ["idc", "idc+pixels"])
def test_a_method_whose_networks_train_on_real_images_has_none_and_says_why(name):
    made = build(name)
    assert economical(made) is made
    assert why_not(made) == "its networks train on real images between iterations"


def test_a_term_with_networks_of_its_own_that_change_has_none():
    made = build("dm")
    kept, changing = (
        replace(made, terms=(replace(made.terms[0], source=nets),)) for nets in (RandomNets(5), RealTraining())
    )
    assert economical(kept).terms[0].source == RandomNets(10)
    assert economical(changing) is changing
    assert why_not(changing) == "its networks train on real images between iterations"


def test_the_numbers_are_said_in_a_few_words():
    quiet = "the last 400 with 256 real images at 0.1 of the rate"
    said = f"2,500 iterations, 64 real images a class, reuse 10, {quiet}"
    assert numbers_of(settled("dm").settings()) == said
    assert numbers_of(build("dm").settled(10).settings()) == "20,000 iterations, 256 real images a class"
