"""Settings in the expression of a method: which there are, what they change, and what leaves them alone."""

import json
from dataclasses import replace

import pytest
from commands import call
from small_runs import few
from small_sets import same

from cl_condense import CondensedSet, MakeConvNet, condense
from cl_condense.condensation.paper_settings import Tuned
from cl_condense.condensation.recipe import Recipe
from cl_condense.data.datasets import load
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.methods.economy import ECONOMY, economical
from cl_condense.methods.expressions import parse
from cl_condense.methods.registry import BASES, COMPOSED, MODIFIERS, build, settings_of
from cl_condense.reports.html.words import cite
from cl_condense.runs.build import method_for
from cl_condense.runs.config import CondenseConfig

METHODS = [*BASES, *COMPOSED, "idm+iid", "dance+cf", "dm+m3d", "cafe+dsa", "dm+partition", "idm+meter"]
RECIPES = [name for name in METHODS if isinstance(build(name), Recipe)]


def test_an_expression_has_a_base_modifiers_and_settings():
    said = parse("dm+sm+icd@lr=5,sm=1e2,init=noise,factor=-1,x=.5")
    assert said == (
        "dm",
        ("sm", "icd"),
        {"lr": 5, "sm": 100.0, "init": "noise", "factor": -1, "x": 0.5},
    )
    assert [type(value) for value in said.settings.values()] == [int, float, str, int, float]


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_takes_its_own_value_and_changes_nothing_then(name):
    recipe = build(name).settled(10)
    for setting, value in settings_of(name).items():
        own = value.at("", 10) if isinstance(value, Tuned) else value
        if own is not None:
            expression = f"{name}@{setting}={own}"
            found = build(expression)
            assert (found.name, len(found.chosen)) == (expression, 1)
            assert replace(found, name=name, chosen=()).settled(10) == recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_takes_another_value(name):
    for setting, value in settings_of(name).items():
        if not isinstance(value, str) and setting not in ("reuse", "factor"):
            expression = f"{name}@{setting}=0.625"
            try:
                found = build(expression)
            except ValueError as error:
                assert "0.625: give a whole number from" in str(error)  # noqa: PT017 - for numbers of images
                found = build(expression := f"{name}@{setting}=35")
            assert settings_of(expression)[setting] in (0.625, 35)
            assert replace(found, chosen=()).settled(10) != replace(build(name), name=expression).settled(10)


@pytest.mark.parametrize(
    ("expression", "path", "value"),
    [
        ("idm@ce=0.1", "terms.class_aware_regularisation", 0.1),
        ("idm@class_aware_regularisation=0.1", "terms.class_aware_regularisation", 0.1),
        ("ddm@sm=5", "terms.gram_matrices", 5.0),
        ("ddm@sm=5,moments=6", "terms.style_moments", 6.0),
        ("dm+cf@cf=100", "terms.characteristic_function", 100.0),
        ("dance@reuse=5,size=3,epochs=4", "source.steps", 5),
        ("dance@reuse=5,size=3,epochs=4", "source.size", 3),
        ("idm+iid@source.size=3", "source.size", 3),
        ("idm+iid@cc.size=3", "sources.class_centralisation.size", 3),
        ("cafe@source.real_per_class=3", "source.real_per_class", 3),
        ("cafe@real_per_class=3", "real_per_class", 3),
        ("m3d@steps=10", "source.steps", 10),
        ("dm+partition@factor=3", "synthetic.factor", 3),
        ("dm@init=noise", "synthetic.init", "noise"),
        ("dm@syn_per_class=3,momentum=0.25", "momentum", 0.25),
    ],
)
def test_a_setting_is_in_the_part_that_has_it(expression, path, value):
    found = build(expression).settings()
    for key in path.split("."):
        found = found[key]
    assert found == value


def test_every_modifier_of_one_term_is_the_name_of_its_weight():
    alone = {
        name: own.modify.terms for name, own in MODIFIERS.items() if len(getattr(own.modify, "terms", ())) == 1
    }
    assert {"ce", "calibration", "icd", "cov", "m3d", "cf", "sam"} <= alone.keys()
    for name, (term,) in alone.items():
        base = {"ce": "idm", "calibration": "dance"}.get(name, f"dm+{name}")
        expression = f"{base}@{name}=3"
        assert build(expression).settings()["terms"][term.objective.__name__] == 3


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("dm@iterations=9000", {"iterations": 9000, "real_per_class": 64, "reuse": 10}),
        ("dm@real_per_class=128", {"iterations": 2500, "real_per_class": 128}),
        ("dm@reuse=4", {"reuse": 4}),
        ("m3d@steps=1", {"reuse": 1}),
        ("m3d@steps=4", {"reuse": 4}),
        ("m3d@steps=15", {"reuse": 5}),
        ("m3d@steps=20", {"reuse": 10}),
        ("dm@lr=0.5", {"lr": 0.5, "reuse": 10}),
    ],
)
def test_economy_leaves_what_an_expression_sets(expression, found):
    made = economical(build(expression))
    assert {name: getattr(made, name) for name in found} == found
    if "steps" in expression:
        assert made.source == build(expression).source
    if "real_per_class" in expression:
        assert made.quiet.real_per_class == 128


def test_economy_leaves_the_pool_that_an_expression_sets():
    source = economical(build("dance@epochs=60")).settled(10).source
    assert (source.size, source.epochs) == (ECONOMY.pool, 60)


def test_an_option_for_several_methods_leaves_what_an_expression_sets():
    given = {"iterations": 7, "real_per_class": 8, "reuse": 2}
    for economy in (False, True):
        own = method_for(
            CondenseConfig("digits", "dm@iterations=5,real_per_class=6,reuse=3", economy=economy, **given)
        )
        assert (own.iterations, own.real_per_class, own.reuse) == (5, 6, 3)
        assert own.quiet is None or own.quiet.real_per_class == 6
        kept = method_for(CondenseConfig("digits", "m3d@steps=4", economy=economy, **given))
        assert (kept.iterations, kept.source.steps, kept.reuse) == (7, 4, 2)
    assert method_for(CondenseConfig("digits", "herding@iterations=5", **given)).iterations == 5


def test_a_number_that_was_given_takes_the_place_of_the_tuned_one():
    for dataset in ("cifar10", "cifar100"):
        weights = build("idm@ce=0.3", dataset).settled(10).settings()["terms"]
        assert weights["class_aware_regularisation"] == 0.3


def test_the_library_takes_an_expression_wherever_it_takes_a_method():
    real, network = few(load("digits")[0], 6), MakeConvNet((1, 8, 8), 4)
    made = condense(real, "dm@iterations=2,real_per_class=4", ipc=1, network=network)
    assert (made.recipe["name"], made.recipe["iterations"]) == ("dm@iterations=2,real_per_class=4", 2)
    memory = ClassMemory(per_class=1, method="dm@iterations=2,real_per_class=4", network=network, device="cpu")
    memory.update(real)
    assert memory.recipe["name"] == made.recipe["name"]
    assert memory.recipe["iterations"] == 2


def test_commands_take_expressions_and_so_do_their_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = "dm@lr=0.5,iterations=3"
    assert call("condense", "--method", name, "--real-per-class", 4, "--width", 4, "--device", "cpu") == 0
    path = tmp_path / "condensed" / f"digits-{name}-ipc2-seed0.safetensors"
    recipe = CondensedSet.load(path).recipe
    assert (recipe["name"], recipe["lr"], recipe["iterations"]) == (name, 0.5, 3)
    again = ["condense", "--config", path.with_suffix(".toml"), "--out", "b.safetensors"]
    assert call(*again) == 0
    same(CondensedSet.load(tmp_path / "b.safetensors"), CondensedSet.load(path))
    quick = "--orders 1 --networks 1 --real-per-class 4 --epochs 1 --width 4 --steps 2 --device cpu".split()
    assert call("run", "--method", name, "--method", "idm@ce=0.1,iterations=2", *quick, "--out", "run") == 0
    records = [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    assert {record["method"] for record in records} == {name, "idm@ce=0.1,iterations=2"}
    assert call("run", "--config", "run/config.toml", "--out", "run") == 0
    assert call("report", "run", "--out", "page.html") == 0
    assert name in (tmp_path / "page.html").read_text()
    assert call("methods", "idm@ce=0.1") == 0
    assert "0.1 x class_aware_regularisation" in capsys.readouterr().out


def test_papers_of_an_expression_are_those_of_its_method():
    assert cite("idm+sm@ce=0.1") == cite("idm+sm") != ""
