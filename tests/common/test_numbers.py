"""One rule for numbers: every place that takes one refuses those without sense and takes the others."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from cl_condense.common.numbers import MOST, SEED_MAX, finite, seed, whole
from cl_condense.common.rng import fold, subseed
from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.paper_settings import Tuned
from cl_condense.condensation.sources.pool import BlendedPool, TrainedPool
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.condensation.sources.training import DynamicLoop, InnerLoop, RealTraining
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.condensation.storage import Partition
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.budgets import Budget
from cl_condense.methods.condense import condense
from cl_condense.methods.coresets import Coreset, random
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.runs.run_config import RunConfig
from cl_condense.training.augment import DSA
from cl_condense.training.protocol import Training

NONE = [True, False, np.True_, torch.tensor(True), "3", "x", b"3", None, float("nan"), float("inf"), [1], (2,)]
FRACTIONS = [1.5, 2.0, np.float32(1.5), torch.tensor(1.5), torch.ones(2, dtype=torch.int64), 1j]
HUGE = 10**26
ENDLESS = -(10**5000)  # which Python does not write out
FINITE_NONE = [True, "1", "x", float("nan"), float("inf"), float("-inf"), np.nan, 10**400, torch.ones(2), 1j]


@pytest.fixture(scope="module")
def real():
    images = torch.randint(0, 256, (12, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageSet.of(images, torch.arange(12) % 2)


def term(weight):
    dm = build("dm")
    return replace(dm, terms=(replace(dm.terms[0], weight=weight),))


def changed(make, name):
    """What makes a thing with one field as given."""
    return lambda value: make(**{name: value})


WHOLE = {  # place: (what takes a number, below, above or None, some that are right)
    "whole": (partial(whole, "n"), 0, None, (1, HUGE)),
    "Recipe.iterations": (changed(partial(build, "dm"), "iterations"), 0, MOST["iterations"], (1, 10**9)),
    "Recipe.real_per_class": (changed(partial(build, "dm"), "real_per_class"), 0, None, (1, 5000)),
    "Recipe.reuse": (changed(partial(build, "dm"), "reuse"), 0, None, (1, 7)),
    "Recipe.reusing": (build("dm").reusing, 0, None, (1, 7)),
    "build coreset": (changed(partial(build, "herding"), "iterations"), 0, None, (1, 100)),
    "Coreset.iterations": (partial(Coreset, "mine", random), -1, None, (0, 100)),
    "RandomNets.steps": (RandomNets, 0, None, (1, 7)),
    **{
        f"{getattr(kind, '__name__', 'InnerLoop')}.{name}": (
            changed(kind, name),
            -1 if name == "start_with" else 0,
            None,
            (1, 7),
        )
        for kind, names in {
            partial(InnerLoop, outer=1, inner=1): "outer inner",
            DynamicLoop: "window epochs real_per_class",
            RealTraining: "steps images",
            ModelQueue: "push_every train_steps size batch start_with trained",
            TrainedPool: "size epochs",
            BlendedPool: "size epochs batch",
            Partition: "factor",
        }.items()
        for name in names.split()
        for below in [-1 if name == "start_with" else 0]
    },
    "Budget.max_size": (Budget, 0, None, (1, 100)),
    "Budget.max_bytes": (changed(Budget, "max_bytes"), 0, None, (1, 10**6)),
    "RunConfig.max_bytes": (changed(partial(RunConfig.of, "digits", ipc=None), "max_bytes"), 0, None, (1,)),
    "Training.epochs": (changed(Training, "epochs"), 0, None, (1, 1000)),
    "Training.batch_size": (changed(Training, "batch_size"), 0, None, (1, 256)),
    "settled": (lambda value: build("dm", iterations=Tuned((("a", 1, value),))).settled(1), 0, None, (1, 9)),
    **{
        f"RunConfig.{name}": (changed(partial(RunConfig.of, "digits"), name), 0, MOST.get(name), (1,))
        for name in "steps ipc budget orders networks iterations real_per_class".split()
        + "epochs width depth reuse".split()
    },
    "seed": (seed, -1, SEED_MAX, (0, SEED_MAX)),
    "RunConfig.seed": (changed(partial(RunConfig.of, "digits", orders=1), "seed"), -1, SEED_MAX, (0, SEED_MAX)),
}
OPTIONAL = [
    f"RunConfig.{name}" for name in "ipc budget max_bytes iterations real_per_class depth reuse".split()
]
OPTIONAL += ["Budget.max_size", "Budget.max_bytes"]

FINITE = {  # place: (what takes a number, some out of range, some in it)
    "finite": (partial(finite, "x", above=0, at_most=2), (0, -1, 2.1), (1e-9, 1, 2, 2.0)),
    "Recipe.lr": (changed(partial(build, "dm"), "lr"), (0, -1.0), (1e-5, 100)),
    "Recipe.momentum": (changed(partial(build, "dm"), "momentum"), (-0.1, 1, 1.5), (0, 0.5)),
    "Recipe.halvings": (lambda v: build("dm", halvings=(0.5, v)), (-0.1, 1.1), (0, 0.6, 1)),
    "Term.weight": (term, (), (-1, 0, 1e4)),
    "Training.lr": (changed(Training, "lr"), (-1.0,), (0, 0.01)),
    "Training.momentum": (changed(Training, "momentum"), (-0.1, 1), (0, 0.9)),
    "Training.weight_decay": (changed(Training, "weight_decay"), (-1e-9,), (0, 5e-4)),
    "Training.cutmix": (changed(Training, "cutmix"), (-0.1, 1.1), (0, 1)),
    "Training.decay": (changed(Training, "decay"), (0, 1.1), (0.1, 1)),
    "Training.milestones": (lambda v: Training(milestones=(v,)), (-0.1, 1.1), (0, 1)),
    "DSA.prob_flip": (partial(changed, DSA)("prob_flip"), (-0.1, 1.1), (0, 1)),
    "DSA.ratio_scale": (partial(changed, DSA)("ratio_scale"), (0.9,), (1, 1.2)),
    "DSA.ratio_rotate": (partial(changed, DSA)("ratio_rotate"), (-1,), (0, 15)),
    "DSA.ratio_crop_pad": (partial(changed, DSA)("ratio_crop_pad"), (-0.1,), (0, 0.125)),
    "DSA.ratio_cutout": (partial(changed, DSA)("ratio_cutout"), (-0.1,), (0, 0.5)),
    **{f"DSA.{n}": (partial(changed, DSA)(n), (), (0, 2.5)) for n in "brightness saturation contrast".split()},
}


def refused(take, value):
    with pytest.raises(ValueError, match=r": give a (whole|finite) number|: give a seed of at most") as error:
        take(value)
    said = str(error.value)
    assert "\n" not in said
    assert (
        "with thousands of digits"
        if isinstance(value, int) and value == ENDLESS
        else " ".join(str(value).split())[:57]
    ) in said


@pytest.mark.parametrize("place", WHOLE)
def test_a_whole_number_is_one_in_its_range_and_all_else_is_one_line(place):
    take, below, most, right = WHOLE[place]
    above = [] if most is None else [most + 1, HUGE]
    for value in [*NONE, *FRACTIONS, below, -3, ENDLESS, *above]:
        if not (value is None and place in OPTIONAL):
            refused(take, value)
    for value in right:
        assert take(value) == take(value)
    for kind in (np.int64, np.uint8, torch.tensor):
        assert take(kind(right[0])) == take(right[0])


@pytest.mark.parametrize("place", FINITE)
def test_a_finite_number_is_one_in_its_range_and_all_else_is_one_line(place):
    take, wrong, right = FINITE[place]
    for value in [*FINITE_NONE, *wrong]:
        refused(take, value)
    for value in right:
        assert take(value) == take(value)
        assert take(np.float64(value)) == take(value)


@pytest.mark.parametrize("value", [*NONE, *FRACTIONS, 0, -3])
def test_images_per_class_and_seeds_are_checked_before_any_work(value, real):
    network = MakeConvNet((1, 8, 8), 4, 1)
    for method in (build("dm", iterations=1), build("random")):
        refused(lambda v, m=method: condense(real, m, ipc=v, network=network), value)
        if not (isinstance(value, int) and value == 0 and value is not False):
            refused(lambda v, m=method: condense(real, m, ipc=1, network=network, seed=v), value)
    refused(lambda v: Condensation(real, build("dm"), ipc=v, network=network), value)


@pytest.mark.parametrize("value", [-1, SEED_MAX + 1])
def test_a_seed_has_32_bits(value, real):
    for method in (build("dm", iterations=1), build("random")):
        refused(
            lambda v, m=method: condense(real, m, ipc=1, network=MakeConvNet((1, 8, 8), 4, 1), seed=v), value
        )
    highest = build("random")(real, ipc=1, network=MakeConvNet((1, 8, 8), 4, 1), seed=SEED_MAX)
    assert highest.seed == SEED_MAX


def test_numbers_of_numpy_are_plain_ones_in_records():
    settings = build("dm", iterations=np.int64(7), lr=np.float32(0.5), momentum=np.float64(0.25)).settings()
    assert [type(settings[k]) for k in ("iterations", "lr", "momentum")] == [int, float, float]
    assert type(RunConfig.of("digits", ipc=np.int64(3)).main.ipc) is int


def test_the_seeds_of_all_class_orders_are_in_range():
    assert RunConfig.of("digits", seed=SEED_MAX - 4, orders=5).seed == SEED_MAX - 4
    words = f"seed {SEED_MAX - 3} with 5 orders: give a seed of at most {SEED_MAX - 4}"
    with pytest.raises(ValueError, match=words):
        RunConfig.of("digits", seed=SEED_MAX - 3, orders=5)


def test_subseeds_are_seeds_and_differ():
    found = [subseed(a, b) for a in range(60) for b in range(60)]
    assert [seed(value) for value in found] == found
    assert len(set(found)) > len(found) - 8  # of 2^32, two of 3,600 may be the same
    assert max(found) > 2**31
    assert subseed(1, 2) == fold(1, 2) >> 31
