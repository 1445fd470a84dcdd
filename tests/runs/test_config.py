"""Configs: what a result depends on is its identity, and nothing else is."""

import json
from dataclasses import asdict, fields, replace

import pytest

from cl_condense.papers.set_work import SetWork
from cl_condense.runs.config import CondenseConfig, StreamConfig, TrainConfig
from cl_condense.runs.run_config import RunConfig

OTHER = {  # another value for every field
    "dataset": "cifar100",
    "method": "ddm",
    "ipc": 3,
    "codec": "float32",
    "economy": False,
    "iterations": 7,
    "real_per_class": 8,
    "precision": "bfloat16",
    "compiled": True,
    "reuse": 5,
    "network": "vgg11",
    "width": 64,
    "depth": 2,
    "augment": "crop",
    "seed": 9,
    "data": "abcd1234",
    "networks": 4,
    "epochs": 11,
    "evaluation": "plain",
    "training_precision": "bfloat16",
    "steps": 2,
    "orders": 3,
    "budget": 90,
    "max_bytes": 10_000,
    "shrink": "prefix",
    "trainers": ("idc", "gdumb"),
    "scenario": "domain",
    "blur": 0.5,
    "batch": 20,
    "boundaries": False,
    "staging": 0.5,
    "enough": 9,
    "order_seed": 1993,
    "class_orders": ((2, 0, 1),),
}
CONDENSE, TRAIN = CondenseConfig("cifar10", "dm"), TrainConfig("cifar10")


def names(config):
    return [f.name for f in fields(config)]


def other(config, name):
    return replace(config, **{name: OTHER[name]})


def test_every_field_is_looked_at():
    parts = (CondenseConfig, TrainConfig, StreamConfig)
    assert OTHER.keys() == {name for part in parts for name in names(part)}


@pytest.mark.parametrize("name", names(CondenseConfig))
def test_every_field_of_a_condensation_is_in_its_identity(name):
    changed = other(CONDENSE, name)
    assert changed.identity()[name] == OTHER[name]
    assert changed.identity() != CONDENSE.identity()
    same = name == "compiled"  # compiled or not is rounding, so that one set does for both
    assert (SetWork(changed, TRAIN).set_name() == SetWork(CONDENSE, TRAIN).set_name()) == same


@pytest.mark.parametrize("name", names(TrainConfig))
def test_every_field_of_a_training_but_how_it_is_computed_is_in_its_identity(name):
    assert (other(TRAIN, name).identity() == TRAIN.identity()) == (name == "compiled")
    assert SetWork(CONDENSE, other(TRAIN, name)).set_name() == SetWork(CONDENSE, TRAIN).set_name()


def test_what_does_not_condense_by_economy_is_of_the_papers():
    for method in ("random", "idc"):
        found = CondenseConfig("cifar10", method).identity()
        assert (found["economy"], found["reuse"]) == (False, 1)
        assert found == CondenseConfig("cifar10", method, economy=False, reuse=1).identity()
    assert CondenseConfig("cifar10", "dm").identity()["reuse"] is None


def test_a_record_gives_the_condensation_again():
    for config in (CONDENSE, *(other(CONDENSE, name) for name in names(CondenseConfig))):
        record = json.loads(json.dumps(config.identity() | {"recipe": {}, "seconds": 1.0}))
        assert CondenseConfig.of(record).identity() == config.identity()


@pytest.mark.parametrize("name", sorted(OTHER.keys() - {"dataset", "method"}))
def test_a_flat_value_of_a_run_goes_to_all_that_have_it(name):
    run = RunConfig.of("cifar10", ("random", "dm"), **{name: OTHER[name]})
    found = [getattr(part, name) for part in (run.main, run.train, run.stream) if hasattr(part, name)]
    assert found
    assert set(found) == {OTHER[name]}
    assert run.flat()[name] == run.values()[name] == OTHER[name]
    assert RunConfig.of(**run.flat()) == run
    assert RunConfig.read(run.values()).values() == run.values()
    assert run.digest() != RunConfig.of("cifar10", ("random", "dm")).digest()


def test_a_run_has_a_condensation_a_method_that_differ_in_it_alone():
    run = RunConfig.of("cifar10", ("herding", "dm", "idm"), iterations=7)
    assert run.methods == ("herding", "dm", "idm")
    assert run.of_method("idm") == replace(run.of_method("dm"), method="idm")
    assert run.of_method("herding") == replace(run.main, method="herding", iterations=None)
    assert run.main == run.of_method("dm")
    assert RunConfig.of("cifar10", ("herding",), iterations=7).main.iterations == 7


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"methods": ()}, "no method: give at least one, such as ddm"),
        ({"methods": ("dm", "dm")}, "methods dm, dm: give each of them once"),
        ({"methods": ("ddmm",)}, "unknown method 'ddmm': did you mean 'ddm'"),
    ],
)
def test_methods_without_sense_are_one_line(values, said):
    with pytest.raises(ValueError, match=said) as error:
        RunConfig.of("cifar10", **values)
    assert "\n" not in str(error.value)


def test_a_field_that_no_part_has_is_a_mistake():
    with pytest.raises(TypeError, match="no field of a run: nets"):
        RunConfig.of("cifar10", nets=3)


def test_an_evaluation_is_recorded_in_full(digits_pair):
    from cl_condense.methods.condense import condense
    from cl_condense.runs.evaluate_sets import evaluate_set

    train, test = digits_pair
    config = TrainConfig("digits", networks=2, epochs=1, width=4, depth=1, seed=3)
    record = evaluate_set(condense(train, "random", ipc=1), test, config, "cpu")
    assert TrainConfig.of(record) == config
    assert record.items() >= asdict(config).items()
