"""Methods by name, how they compose, and what is refused."""

import json
import pickle
import re
from dataclasses import replace

import pytest
import torch

from cl_condense.condensation.paper_settings import Tuned
from cl_condense.condensation.recipe import Recipe
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.condensation.storage import Partition, Pixels
from cl_condense.methods.registry import BASES, COMPOSED, MODIFIERS, build

CORESETS = ("random", "herding", "k_center", "forgetting", "reservoir")
ON_DM = [m for m in MODIFIERS if m not in ("ce", "calibration", "labels", "meter", "pixels", "dsa")]
EVERY = [
    *BASES,
    *COMPOSED,
    *(f"dm+{modifier}" for modifier in ON_DM),
    "dm+moments+icd",
    "cafe+dsa",
    "idm+pixels",
    "idm+meter",
    "dm+pool+calibration",
    "dance+cf",
]
OPTIMISED = [name for name in EVERY if name not in CORESETS]


def total_weights(recipe):
    """Weight of each objective."""
    weights = {}
    for term in recipe.terms:
        key = term.objective.__name__
        weights[key] = weights.get(key, 0) + term.weight
    return weights


def refusal(name, **changes):
    with pytest.raises(ValueError, match=r"unknown|selects|setting|fit|modifier") as error:
        build(name, **changes)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", EVERY)
def test_a_method_has_the_name_that_it_was_asked_for(name):
    assert build(name).name == name
    assert build(name).settings()["name"] == name


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ddm", "dm+sm+icd"),
        ("ddm", "dm+moments+gram+icd"),
        ("first_ddm", "dm+first_sm+first_icd"),
        ("first_ddm", "dm+first_moments+first_gram+first_icd"),
        ("later_ddm", "dm+later_sm+later_icd"),
        ("dm+sm", "dm+moments+gram"),
        ("dm+later_sm", "dm+later_moments+later_gram"),
        ("ddm+later_icd", "dm+sm+icd+later_icd"),
    ],
)
def test_a_composition_is_the_sum_of_its_parts(name, parts):
    assert replace(build(parts), name=name) == build(name)


def test_the_order_of_modifiers_changes_no_weight():
    assert total_weights(build("dm+icd+sm")) == total_weights(build("ddm"))


def test_ddm_has_the_weights_of_its_paper():
    names = total_weights(build("ddm"))
    assert names == {
        "mean_matching": 1.0,
        "style_moments": 1e4,
        "gram_matrices": 1e4,
        "intra_class_diversity": 10.0,
    }


def test_the_first_code_of_ddm_has_the_mean_weight_of_its_ten_classes():
    """Style that is not reset between classes: s = (s + L_c) / 3 for three layers, added up for every class."""
    total, style = torch.zeros(()), torch.zeros(())
    losses = torch.ones(10, requires_grad=True)  # of each class the sum over layers
    for each in losses:
        style = (style + each) / 3
        total = total + style
    (counts,) = torch.autograd.grad(total, losses)
    assert float(3 * counts[0]) == pytest.approx(1.5, rel=1e-4)
    assert float(3 * counts[-1]) == pytest.approx(1.0)
    names = total_weights(build("first_ddm"))
    assert names == {
        "mean_matching": 1.0,
        "mean_map_moments": pytest.approx(1e4 * float(3 * counts.mean()), rel=1e-4),
        "mean_gram_matrices": names["mean_map_moments"],
        "two_neighbour_diversity": 10.0,
    }


@pytest.mark.parametrize(
    "modifier", [m for m in ON_DM if m not in ("queue", "pool", "trained", "partition", "m3d", "cf")]
)
def test_a_modifier_of_terms_adds_to_dm_and_changes_nothing_else(modifier):
    dm, changed = build("dm"), build(f"dm+{modifier}")
    assert changed == replace(dm, name=f"dm+{modifier}", terms=changed.terms)
    assert changed.terms[:1] == dm.terms
    assert len(changed.terms) > 1


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("idm", {"mean_matching": 1.0, "class_aware_regularisation": 0.5}),
        ("iid", {"class_centralisation": 0.05, "covariance_matching": 0.01}),
        ("idm+iid", {"class_centralisation": 0.05, "covariance_matching": 0.01}),
        ("idm+sm", {"style_moments": 1e4, "gram_matrices": 1e4}),
        ("datadam", {"mean_matching": 1.0, "attention_matching": 100.0}),
        ("m3d", {"gaussian_mmd": 1.0}),
        ("dm+m3d", {"scaled_gaussian_mmd": 1.0}),
        ("idm+m3d", {"scaled_gaussian_mmd": 1.0, "class_aware_regularisation": 0.5}),
        ("dance", {"mean_matching": 1.0, "trained_classification": 1.0}),
        ("dance+cf", {"characteristic_function": 300.0, "trained_classification": 1.0}),
        ("dm+cf", {"characteristic_function": 300.0}),
    ],
)
def test_a_method_has_its_published_weights(name, parts):
    found = total_weights(build(name).settled(10))
    assert {part: found[part] for part in parts} == parts


@pytest.mark.parametrize("modifier", ["m3d", "cf"])
def test_m3d_and_cf_on_others_replace_mean_matching_alone(modifier):
    for base in ("dm", "idm", "dance"):
        before, after = build(base), build(f"{base}+{modifier}")
        assert after == replace(before, name=after.name, terms=after.terms)
        assert after.terms[1:] == before.terms[1:]
        assert "mean_matching" not in after.settings()["terms"]


def test_pool_changes_the_networks_alone_and_calibration_adds_its_term():
    dm, pooled, both = (build(name) for name in ("dm", "dm+pool", "dm+pool+calibration"))
    assert pooled == replace(dm, name="dm+pool", source=build("dance").source)
    assert both == replace(pooled, name=both.name, terms=build("dance").terms)


def test_idm_is_its_ablation_with_all_three_parts():
    idm = build("idm").settled(10)
    assert (idm.lr, idm.momentum, idm.class_steps, idm.synthetic) == (0.2, 0.5, True, Partition(2))
    assert idm.source == ModelQueue(push_every=30, train_steps=10, size=100, batch=256)
    assert replace(build("dm+queue+ce+partition"), name="idm") == build("idm")
    assert build("idm+pixels").synthetic == Pixels()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("dm+ce", "put queue before it"),
        ("dm+pixels", "single ones already"),
        ("idm+partition", "hold several already"),
        ("dc+queue", "InnerLoop"),
        ("idm+queue", "ModelQueue"),
        ("dm+meter", "put queue before it"),
        ("idm+meter+meter", "its queue has one already"),
        ("dm+dsa", "augments already"),
        ("dm+iid+cc", "there already"),
        ("dc+m3d", "no mean matching"),
        ("dm+m3d+m3d", "no mean matching"),
        ("dm+m3d+cf", "no mean matching"),
        ("dc+cf", "such as dm+cf"),
        ("dm+calibration", "put pool before it"),
        ("idm+calibration", "put pool before it"),
        ("dance+calibration", "there already"),
        ("dance+pool", "BlendedPool"),
        ("idm+pool", "ModelQueue"),
        ("dance+queue", "BlendedPool"),
    ],
)
def test_a_modifier_that_makes_no_sense_is_refused_with_the_reason(name, reason):
    said = refusal(name)
    assert said.startswith(f"{name}: {name.rsplit('+', 1)[1]} does not fit: ")
    assert reason in said


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_the_data_set_chooses_among_published_settings(dataset):
    weight = {"cifar10": 0.5, "cifar100": 0.1}[dataset]
    recipe = build("idm", dataset).settled(10)
    found = {term.objective.__name__: term.weight for term in recipe.terms}
    assert found["class_aware_regularisation"] == weight


def test_dm_has_the_published_schedule():
    dm = build("dm")
    assert (dm.iterations, dm.settled(10).lr, dm.momentum, dm.real_per_class) == (20_000, 1.0, 0.5, 256)
    assert dm.source == RandomNets(1)
    assert dm.settled(100).lr == 10.0


@pytest.mark.parametrize("name", OPTIMISED)
def test_overrides_reach_the_recipe_and_leave_the_method_of_that_name(name):
    before = build(name)
    assert build(name, iterations=7, lr=0.2) == replace(before, iterations=7, lr=0.2)
    assert build(name) == before


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("ddmm", "ddm"), ("hearding", "herding"), ("rndom", "random"), ("later_dm", "later_ddm"), ("xyz", "")],
)
def test_an_unknown_method_is_answered_with_the_nearest_and_all_known(name, nearest):
    said = refusal(name)
    assert f"unknown method {name!r}" in said
    assert ("did you mean" in said) == bool(nearest)
    assert not nearest or f"did you mean {nearest!r}?" in said
    for known in (*BASES, *COMPOSED):
        assert known in said


@pytest.mark.parametrize(
    ("name", "suffix", "nearest"),
    [
        ("dm+smm", "smm", "sm"),
        ("ddm+momens", "momens", "moments"),
        ("dm+later_gam", "later_gam", "later_gram"),
        ("herding+icdd", "icdd", "icd"),
    ],
)
def test_an_unknown_modifier_is_answered_with_the_nearest(name, suffix, nearest):
    said = refusal(name)
    assert f"unknown modifier of {name.split('+')[0]} {suffix!r}" in said
    assert f"did you mean {nearest!r}?" in said


@pytest.mark.parametrize("name", ["", "+", "dm+", "+sm", "dm++sm"])
def test_a_half_name_is_refused(name):
    assert refusal(name).startswith("unknown m")


def test_a_modifier_alone_is_told_from_a_method():
    assert refusal("sm") == "sm is a modifier, not a method: put it after one, such as dm+sm"


@pytest.mark.parametrize("base", CORESETS)
def test_a_coreset_with_a_modifier_is_refused_with_the_reason(base):
    said = refusal(f"{base}+sm")
    assert f"{base} selects real images and takes no modifiers" in said
    assert "dm+sm" in said


@pytest.mark.parametrize(
    ("base", "setting", "has"),
    [("random", "iterations", "none"), *((base, "lr", "only iterations") for base in CORESETS[1:4])],
)
def test_a_coreset_with_settings_that_it_has_not_is_refused_with_the_reason(base, setting, has):
    assert refusal(base, **{setting: 5}) == f"{base} selects real images: it has no setting {setting}, {has}"


@pytest.mark.parametrize("base", CORESETS[1:4])
def test_a_coreset_takes_the_steps_of_its_network(base):
    assert build(base, iterations=100) == replace(build(base), iterations=100)
    assert build(base, iterations=100).settings() == {"name": base, "iterations": 100}


@pytest.mark.parametrize("name", ["dm", "ddm", "dm+m3d", "m3d"])
def test_reuse_is_what_reusing_gives(name):
    assert build(name, reuse=5) == build(name).reusing(5)
    assert build(name, reuse=5, lr=0.5) == replace(build(name), lr=0.5).reusing(5)


@pytest.mark.parametrize("name", ["idc", "dc", "cafe", "dc+cc"])
def test_reuse_does_not_fit_networks_that_change_sooner(name):
    assert "reuse 5 does not fit" in refusal(name, reuse=5)


def test_a_setting_that_does_not_exist_is_refused_by_its_name():
    assert "learning_rate" in refusal("dm", learning_rate=1.0)


def strings(value):
    """All strings in plain data."""
    if isinstance(value, str):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in inside for text in strings(part)]


@pytest.mark.parametrize("ipc", [None, 1, 50])
@pytest.mark.parametrize("name", EVERY)
def test_settings_are_plain_data(name, ipc):
    method = build(name)
    if ipc and isinstance(method, Recipe):
        method = method.settled(ipc)
    settings = method.settings()
    assert json.loads(json.dumps(settings)) == settings
    assert [text for text in strings(settings) if re.match(r"\w+\(|\[", text)] == []
    for part in ("source", "synthetic", "augment") if isinstance(method, Recipe) else ():
        assert settings[part]["kind"] == type(getattr(method, part)).__name__


def test_settled_settings_have_the_numbers_of_the_budget():
    recipe = build("idm")
    for ipc, weight, push in ((1, 0.5, 5), (50, 0.1, 30)):
        settings = recipe.settled(ipc).settings()
        assert settings["terms"] == {"mean_matching": 1.0, "class_aware_regularisation": weight}
        assert settings["source"] == {
            "kind": "ModelQueue",
            "push_every": push,
            "train_steps": 10,
            "size": 100,
            "batch": 256,
            "start_with": 3,
            "trained": 2,
            "meter": None,
            "steps": 1,
            "pretrained": 0,
            "pretraining": 5,
            "subset": 0.5,
        }
    assert ["cifar10", 50, 0.1] in recipe.settings()["terms"]["class_aware_regularisation"]


def test_two_tuned_terms_of_one_objective_add_up():
    dm = build("dm")
    one, other = Tuned((("a", 1, 1.0), ("a", 10, 2.0))), Tuned((("a", 10, 0.5), ("b", 1, 0.25)))
    for weights, total in (
        ((one, other), [["a", 1, 1.5], ["a", 10, 2.5], ["b", 1, 1.25]]),
        ((one, 3.0), [["a", 1, 4.0], ["a", 10, 5.0]]),
        ((3.0, one), [["a", 1, 4.0], ["a", 10, 5.0]]),
        ((1.0, 3.0), 4.0),
    ):
        recipe = replace(dm, terms=tuple(replace(dm.terms[0], weight=weight) for weight in weights))
        assert recipe.settings()["terms"] == {"mean_matching": total}


def test_a_part_of_ones_own_says_its_kind():
    class Own:
        def start(self, context):
            raise NotImplementedError

    assert replace(build("dm"), source=Own()).settings()["source"] == {"kind": "Own"}


@pytest.mark.parametrize("name", ["dm+sm+gram", "dm+gram+sm", "ddm+icd", "dm+icd+icd"])
def test_a_term_that_is_there_already_is_refused(name):
    assert "is there already" in refusal(name)


@pytest.mark.parametrize("name", OPTIMISED)
def test_settings_name_every_term_with_its_weight(name):
    recipe = build(name)
    assert isinstance(recipe, Recipe)
    settled = recipe.settled(10)
    assert settled.settings()["terms"] == total_weights(settled)


@pytest.mark.parametrize(
    "changes",
    [
        {"iterations": 3},
        {"syn_per_class": 5},
        {"class_steps": True},
        {"lr": 0.1},
        {"momentum": 0.0},
        {"real_per_class": 9},
        {"space": "unit"},
    ],
)
def test_settings_tell_an_override(changes):
    assert build("ddm", **changes).settings() == build("ddm").settings() | changes


@pytest.mark.parametrize("name", EVERY)
def test_a_method_can_be_pickled(name):
    again = pickle.loads(pickle.dumps(build(name)))
    assert again == build(name)
    assert again.settings() == build(name).settings()
