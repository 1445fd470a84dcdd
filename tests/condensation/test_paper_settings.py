"""Settings by data set and images per class: the table's nearest row, and every published one."""

from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import product
from typing import NamedTuple

import pytest

from cl_condense.condensation.paper_settings import Tuned, settle, settled, tuned
from cl_condense.condensation.recipe import Recipe, Term
from cl_condense.condensation.sources.pool import TrainedPool
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.condensation.sources.training import DynamicLoop, InnerLoop, RealTraining
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.condensation.storage import Partition
from cl_condense.methods.registry import BASES, COMPOSED, build
from cl_condense.training.augment import DSA
from cl_condense.training.protocol import mixed_training

TABLE = {
    ("photos", 1): (0.1, 10),
    ("photos", 10): (0.2, 20),
    ("photos", 50): (0.3, 30),
    ("drawings", 4): (0.4, 40),
    ("drawings", 16): (0.5, 50),
}
RATE, STEPS = tuned(TABLE)


def test_a_table_becomes_one_tuned_number_a_column():
    assert RATE.rows == tuple((*key, row[0]) for key, row in TABLE.items())
    assert STEPS.rows == tuple((*key, row[1]) for key, row in TABLE.items())


def test_rows_of_different_lengths_are_no_table():
    with pytest.raises(ValueError, match="shorter"):
        tuned({("a", 1): (1, 2), ("a", 2): (1,)})


@pytest.mark.parametrize(
    ("dataset", "ipc", "value"),
    [
        ("photos", 1, 10),
        ("photos", 10, 20),
        ("photos", 50, 30),
        ("drawings", 4, 40),
        ("drawings", 16, 50),
        ("photos", 3, 10),  # 3 times 1, and less than a third of 10
        ("photos", 4, 20),  # 4 times 1, but 2.5 times fewer than 10, although 3 more and 6 fewer
        ("photos", 22, 20),
        ("photos", 23, 30),
        ("photos", 1000, 30),
        ("drawings", 1, 40),
        ("drawings", 8, 40),  # as near to 16
        ("drawings", 9, 50),
        ("", 10, 20),  # the table's first data set
        ("sketches", 50, 30),
        ("sketches", 4, 20),
    ],
)
def test_the_nearest_row_of_the_data_set_counts_or_of_the_first_one(dataset, ipc, value):
    assert STEPS.at(dataset, ipc) == value


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(("few", "ipc", "many"), [(2, 4, 8), (1, 10, 100), (4, 10, 25), (3, 30, 300)])
def test_of_two_as_near_the_fewer_counts(few, ipc, many, down):
    rows = (("a", few, 1), ("a", many, 2))
    assert Tuned(rows[::-1] if down else rows).at("a", ipc) == 1


def test_a_tuned_number_shows_its_table():
    assert repr(RATE) == "[photos 1: 0.1, 10: 0.2, 50: 0.3; drawings 4: 0.4, 16: 0.5]"


@dataclass(frozen=True)
class Part:
    value: object
    other: object = None


class Pair(NamedTuple):
    value: object


def test_settling_goes_through_tuples_and_dataclasses_and_leaves_all_else():
    pair = Pair(RATE)  # not a part of recipes
    part = Part((RATE, 7, ("x", Part(STEPS, Part))), pair)
    assert settle(part, "photos", 9) == Part((0.2, 7, ("x", Part(20, Part))), pair)
    assert part.value[0] is RATE, "the part itself stays as it is"
    assert settle("photos", "photos", 9) == "photos"


def test_settling_goes_through_recipes_terms_and_networks():
    def objective(real, syn):
        raise AssertionError

    terms = (Term(objective, RATE, source=InnerLoop(STEPS, 2)), Term(objective, 3.0))
    recipe = Recipe("mine", terms, ModelQueue(STEPS, STEPS), iterations=STEPS, lr=RATE, dataset="drawings")
    want = replace(
        recipe,
        terms=(Term(objective, 0.5, source=InnerLoop(50, 2)), Term(objective, 3.0)),
        source=ModelQueue(50, 50),
        iterations=50,
        lr=0.5,
    )
    assert recipe.settled(30) == want
    assert want.settled(1) == want


def test_a_number_that_was_given_is_not_looked_up():
    recipe = build("dm", "cifar10", lr=3.0)
    assert recipe.settled(100).lr == 3.0
    assert build("dm", "cifar10").settled(100).lr == 10.0


def unsettled(part, where="it"):
    """Where there are tuned numbers, by looking everywhere."""
    if isinstance(part, Tuned):
        return [where]
    if isinstance(part, tuple | list | set | frozenset):
        inside = enumerate(part)
    elif isinstance(part, dict):
        inside = part.items()
    elif is_dataclass(part) and not isinstance(part, type):
        inside = [(f.name, getattr(part, f.name)) for f in fields(part)]
    else:
        inside = []
    return [found for name, value in inside for found in unsettled(value, f"{where}.{name}")]


OPTIMISED = [name for name in (*BASES, *COMPOSED) if isinstance(build(name), Recipe)]


def test_tuned_numbers_are_found_where_they_are():
    assert unsettled(build("dc")) == ["it.source.outer", "it.source.inner", "it.iterations"]
    assert "it.terms.1.weight" in unsettled(build("idm"))
    assert all(not unsettled(build(name)) for name in (*BASES, *COMPOSED) if name not in OPTIMISED)


@pytest.mark.parametrize("name", OPTIMISED)
def test_every_method_is_settled_for_every_budget(name):
    for dataset, ipc in product(["cifar10", "cifar100", "digits", ""], [1, 2, 10, 20, 50]):
        recipe, case = build(name, dataset).settled(ipc), f"{dataset or 'no data set'}, {ipc}"
        assert unsettled(recipe) == [], case
        assert (recipe.name, recipe.dataset) == (name, dataset), case
        assert isinstance(recipe.iterations, int), case
        assert isinstance(recipe.real_per_class, int), case
        assert min(recipe.iterations, recipe.real_per_class, recipe.lr) > 0, case
        assert all(term.weight > 0 for term in recipe.terms), case


@pytest.mark.parametrize("value", [3, 3.0])
def test_a_settled_number_is_whole(value):
    assert settled(value) == 3
    assert isinstance(settled(value), int)


def test_a_number_that_is_not_settled_is_an_error_that_shows_it():
    with pytest.raises(ValueError, match="settle it for a data set and images per class") as error:
        settled(RATE)
    assert str(RATE) in str(error.value)
    assert "\n" not in str(error.value)


def settings(name, dataset, ipc):
    recipe = build(name, dataset).settled(ipc)
    return recipe, recipe.source, [term.weight for term in recipe.terms]


@pytest.mark.parametrize("name", ["dc", "dsa"])
@pytest.mark.parametrize(
    ("ipc", "networks", "outer", "inner"),
    [
        (1, 1000, 1, 1),
        (10, 1000, 10, 50),
        (20, 1000, 20, 25),
        (30, 1000, 30, 20),
        (40, 1000, 40, 15),
        (50, 1000, 50, 10),
    ],
)
def test_dc_and_dsa_have_the_published_loops(name, ipc, networks, outer, inner):
    recipe, nets, _ = settings(name, "cifar10", ipc)
    assert nets == InnerLoop(outer, inner)
    assert recipe.iterations == networks * outer
    assert (recipe.lr, recipe.momentum, recipe.real_per_class) == (0.1, 0.5, 256)
    assert recipe.synthetic.init == ("noise" if name == "dc" else "real")
    assert (recipe.augment.strategy == "none") == (name == "dc")


@pytest.mark.parametrize(("ipc", "outer", "inner"), [(1, 10, 5), (10, 10, 50), (50, 50, 10)])
def test_dcc_trains_its_networks_at_one_image_a_class_too(ipc, outer, inner):
    recipe, nets, _ = settings("dcc", "cifar10", ipc)
    assert nets == InnerLoop(outer, inner)
    assert recipe.iterations == 1000 * outer


@pytest.mark.parametrize(
    ("dataset", "ipc", "real", "push", "steps", "weight"),
    [
        ("cifar10", 1, 5000, 5, 10, 0.5),
        ("cifar10", 10, 256, 30, 10, 0.5),
        ("cifar10", 50, 256, 30, 10, 0.1),
        ("cifar100", 1, 5000, 5, 10, 0.5),
        ("cifar100", 10, 256, 30, 50, 0.1),
        ("cifar100", 50, 256, 30, 40, 0.1),
        ("tinyimagenet", 50, 256, 30, 50, 0.8),
        ("imagenet100", 10, 128, 50, 10, 3.0),
        ("", 10, 256, 30, 10, 0.5),
    ],
)
def test_idm_has_the_settings_of_its_commands(dataset, ipc, real, push, steps, weight):
    recipe, nets, weights = settings("idm", dataset, ipc)
    assert (recipe.real_per_class, nets.push_every, nets.train_steps) == (real, push, steps)
    assert (nets.start_with, nets.trained) == (3, 2)
    assert (nets.size, nets.batch) == ((50, 128) if dataset == "imagenet100" else (100, 256))
    assert weights == [1.0, weight]
    assert (recipe.iterations, recipe.synthetic.factor) == (20_000, 2)


@pytest.mark.parametrize(
    ("dataset", "ipc", "rate", "pool"),
    [
        ("cifar10", 1, 0.01, (20, 60, 64)),
        ("cifar10", 10, 0.1, (20, 60, 64)),
        ("cifar100", 50, 0.5, (20, 60, 64)),
        ("tinyimagenet", 10, 0.1, (20, 60, 64)),
        ("imagenette", 1, 0.1, (5, 80, 128)),
        ("imagewoof", 10, 1.0, (5, 80, 128)),
    ],
)
def test_dance_has_the_settings_of_its_scripts(dataset, ipc, rate, pool):
    recipe, nets, weights = settings("dance", dataset, ipc)
    assert recipe.lr == pytest.approx(rate)
    assert (nets.size, nets.epochs, nets.batch) == pool
    training = nets.training()
    assert training == replace(mixed_training(nets.epochs, "color_crop"), batch_size=nets.batch)
    assert (recipe.iterations, recipe.real_per_class, recipe.syn_per_class) == (10_000, 128, 200)
    assert (recipe.momentum, recipe.class_steps, recipe.space) == (0.5, True, "unit")
    assert recipe.synthetic == Partition(2, "nearest")
    assert recipe.augment == DSA("color_crop_cutout", every=True)
    assert weights == [1.0, 1.0]


@pytest.mark.parametrize(("ipc", "centralisation"), [(1, 0.05), (10, 0.05), (50, 0.003)])
def test_iid_has_the_weights_of_its_paper_on_dm_and_idm(ipc, centralisation):
    recipe, nets, weights = settings("iid", "cifar10", ipc)
    assert nets == RandomNets(1)
    assert weights == ([1.0, centralisation, 0.01] if ipc > 1 else [1.0])
    assert [term.source for term in recipe.terms[1:2]] == [TrainedPool(epochs=40)] * (ipc > 1)
    assert settings("idm+iid", "cifar10", ipc)[2][2:] == [centralisation, 0.01]


@pytest.mark.parametrize(
    ("dataset", "ipc", "evaluate"),
    [
        ("cifar10", 1, 100),
        ("cifar10", 10, 100),
        ("cifar10", 50, 500),
        ("cifar100", 10, 100),
        ("cifar100", 50, 500),
        ("tinyimagenet", 1, 100),
        ("tinyimagenet", 10, 500),
        ("tinyimagenet", 50, 1000),
        ("imagenet100", 10, 1000),
    ],
)
def test_idms_meters_are_emptied_when_its_commands_evaluate(dataset, ipc, evaluate):
    recipe, nets, _ = settings("idm+meter", dataset, ipc)
    assert nets.meter == evaluate
    plain = settings("idm", dataset, ipc)[0]
    assert replace(recipe, name="idm", source=replace(nets, meter=None)) == plain


@pytest.mark.parametrize("ipc", [1, 10, 20, 50])
def test_idc_has_its_published_settings(ipc):
    recipe, nets, _ = settings("idc", "cifar10", ipc)
    assert (recipe.lr, recipe.momentum) == (pytest.approx(0.005 * ipc / 10), 0.5)
    assert recipe.iterations == 2000 * 100
    assert nets == RealTraining(steps=100, images=2000, cutmix=0.5)
    assert nets.augment.groups == ("color", "crop")
    assert (recipe.real_per_class, recipe.syn_per_class, recipe.space) == (64, 128, "unit")
    assert recipe.synthetic == Partition(2, "nearest")


def test_cafe_and_m3d_have_their_published_settings():
    cafe, nets, _ = settings("cafe", "cifar10", 10)
    assert nets == DynamicLoop(settled=0.04, moved=0.03, window=10, real_per_class=128)
    assert (cafe.lr, cafe.momentum, cafe.halvings) == (0.1, 0.5, (0.6, 0.8, 0.9))
    m3d, nets, _ = settings("m3d", "cifar10", 10)
    assert (m3d.iterations, m3d.real_per_class, nets) == (10_000, 128, RandomNets(5))
    assert (m3d.syn_per_class, m3d.synthetic) == (200, Partition(2))
