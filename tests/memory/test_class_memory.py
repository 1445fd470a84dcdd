"""What a memory holds: its budget, and what it depends on."""

import pickle
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from memories import METHODS, class_memory, counts, equal, message, noise, pixels_of

from cl_condense.data.imageset import ImageSet
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet

# budgets


def test_a_shared_budget_gives_the_remainder_to_the_first_classes_of_the_stream():
    memory, seen = class_memory(10), []
    for wanted in ({7: 10}, {7: 5, 2: 5}, {7: 4, 2: 3, 0: 3}, {7: 3, 2: 3, 0: 2, 5: 2}):
        seen = [c for c in wanted if c not in seen]
        memory.update(noise(*seen))
        assert counts(memory.condensed) == wanted
        seen = list(wanted)


@pytest.mark.parametrize("method", METHODS)
def test_a_budget_per_class_grows_and_leaves_what_is_stored(method):
    memory = class_memory(per_class=3, method=method)
    memory.update(noise(4, 1))
    first = memory.condensed
    memory.update(noise(0, seed=1))
    assert counts(memory.condensed) == {0: 3, 1: 3, 4: 3}
    assert torch.equal(memory.condensed.only([1, 4]).pixels, first.pixels)


@pytest.mark.parametrize(
    ("budget", "word"),
    [
        ({}, "one budget"),
        ({"max_size": 5, "per_class": 5}, "one budget"),
        ({"max_size": 0}, "0"),
        ({"per_class": -1}, "-1"),
    ],
)
def test_a_budget_is_given_once_and_is_positive(budget, word):
    with pytest.raises(ValueError, match="give") as error:
        ClassMemory(**budget)
    assert word in message(error)


def test_other_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="recondense or prefix"):
        ClassMemory(5, shrink="cut")
    with pytest.raises(ValueError, match="did you mean 'ddm'"):
        ClassMemory(5, method="ddmm")


def test_images_with_channels_last_are_refused_before_they_come():
    with pytest.raises(ValueError, match=r"\(12, 8, 8, 3\) have channels last: .*permute\(0, 3, 1, 2\)"):
        ImageSet.of(torch.zeros(12, 8, 8, 3), [0] * 12)


def test_too_small_a_memory_is_an_error_that_leaves_it_as_it_was():
    memory = class_memory(3)
    memory.update(noise(0, 1))
    before, stored = pickle.dumps(memory), memory.condensed
    with pytest.raises(ValueError, match="3 images cannot hold 4 classes") as error:
        memory.update(noise(2, 3))
    assert "raise max_size" in message(error)
    assert memory.condensed is stored
    assert pickle.dumps(memory) == before
    memory.update(noise(2))
    assert counts(memory.condensed) == {0: 1, 1: 1, 2: 1}


def test_divergence_leaves_the_memory_as_it_was():
    memory = class_memory(6, method=replace(build("dm"), lr=1e30))
    with pytest.raises(ValueError, match="diverged"):
        memory.update(noise(0))
    assert memory.condensed is None
    memory.method = build("random")
    memory.update(noise(1))
    assert counts(memory.condensed) == {1: 6}


@pytest.mark.parametrize("method", METHODS)
def test_a_memory_is_resized_down_at_once_and_up_by_later_experiences(method):
    memory = class_memory(10, method=method)
    memory.update(noise(0, 1))
    memory.resize(5)
    assert (memory.max_size, counts(memory.condensed)) == (5, {0: 3, 1: 2})
    memory.resize(30)
    assert counts(memory.condensed) == {0: 3, 1: 2}
    memory.update(noise(2))
    assert counts(memory.condensed) == {0: 3, 1: 2, 2: 10}
    with pytest.raises(ValueError, match="cannot hold 3 classes"):
        memory.resize(2)
    assert (memory.max_size, counts(memory.condensed)) == (30, {0: 3, 1: 2, 2: 10})


def test_a_memory_is_resized_before_its_first_experience():
    memory = class_memory(10)
    memory.resize(4)
    memory.update(noise(0, 1))
    assert counts(memory.condensed) == {0: 2, 1: 2}


def test_a_budget_per_class_is_not_resized():
    with pytest.raises(ValueError, match="5 images per class"):
        class_memory(per_class=5).resize(50)


# what it depends on


@pytest.mark.parametrize("method", [*METHODS, "herding", "ddm"])
def test_the_memory_depends_on_the_seed_alone(method):
    made = []
    for global_seed, seed in ((1, 0), (2, 0), (2, 1)):
        torch.manual_seed(global_seed)
        memory = class_memory(
            10, method=replace(build(method), iterations=2) if method == "herding" else method, seed=seed
        )
        for exp in (noise(0, 1), noise(2, seed=1)):
            memory.update(exp)
        made.append(memory)
    equal(made[0].condensed, made[1].condensed)
    assert not torch.equal(made[0].condensed.pixels, made[2].condensed.pixels)


@pytest.mark.parametrize("method", [*METHODS, "herding"])
def test_the_global_generators_are_left_alone(method):
    memory = class_memory(10, method=replace(build(method), iterations=2) if method == "herding" else method)
    before = torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())
    memory.update(noise(0, 1))
    memory.update(noise(2))
    assert (torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())) == before


def test_progress_and_time_are_told():
    seen = []
    memory = class_memory(4, method="dm", on_iteration=seen.append)
    memory.update(noise(0, 1))
    assert [p.done for p in seen] == [1, 2]
    assert memory.seconds > 0


# methods whose networks see all classes


@pytest.mark.parametrize("method", ["dm+queue+ce", "herding", "dsa"])
def test_networks_that_train_see_every_class_whatever_the_quotas(method):
    """A budget of 5 gives two classes 3 and 2 images: condensed apart, each network would know one class."""
    seen = []

    def network(classes):
        seen.append(classes)
        return MakeConvNet((1, 8, 8), width=4)(classes)

    built = build(method, "digits")
    memory = class_memory(5, method=replace(built, iterations=2), network=network, dataset="digits")
    memory.update(noise(0, 1))
    assert counts(memory.condensed) == {0: 3, 1: 2}
    memory.update(noise((2, 30), (3, 1), seed=1))
    assert counts(memory.condensed) == {0: 2, 1: 1, 2: 1, 3: 1}
    assert {n for n in seen if n > 1} == {2}, "1 is a look at the architecture"
    assert seen.count(2) == len([n for n in seen if n > 1])


# pixels and floats


@pytest.mark.parametrize("method", [*METHODS, "herding", "ddm", "idm", "dsa"])
def test_pixels_give_what_their_normalised_values_do(method):
    """Also where a class returns and where images are condensed again."""
    built = replace(build(method, "cifar10"), **({"iterations": 2} if method != "random" else {}))
    memories = [class_memory(9, method=built, dataset="cifar10") for _ in range(2)]
    for seed, classes in enumerate([(0, 1), (1, 2)]):
        pixels = pixels_of(*classes, seed=seed)
        floats = ImageSet.of(
            pixels.take(torch.arange(len(pixels))),
            pixels.labels,
            normalisation=(pixels.mean, pixels.std),
        )
        for memory, images in zip(memories, (pixels, floats), strict=True):
            memory.update(images)
        equal(*(memory.condensed for memory in memories))


def test_the_names_of_classes_are_kept():
    memory = class_memory(6, method="dm")
    for classes in [(0, 1), (1, 2)]:
        memory.update(replace(noise(*classes), names=tuple("abc"[c] for c in classes)))
    assert memory.condensed.names == ("a", "b", "c")


def test_pixels_of_another_normalisation_are_refused():
    memory = class_memory(6)
    memory.update(pixels_of(0, 1))
    stored = memory.condensed
    with pytest.raises(ValueError, match="one normalisation") as error:
        memory.update(replace(pixels_of(2), mean=(0.3,)))
    assert "(0.3,)" in message(error)
    assert (memory.condensed, memory.experiences) == (stored, 1)


def test_images_with_weights_are_refused():
    memory = class_memory(6)
    with pytest.raises(ValueError, match="images with weights") as error:
        memory.update(replace(noise(0), weights=torch.ones(12)))
    assert "\n" not in message(error)
    assert memory.condensed is None


def test_a_pickle_is_as_small_as_the_memory_and_holds_no_real_images():
    memory = class_memory(per_class=2, method="dm", on_iteration=lambda progress: None)
    memory.update(noise(*range(10), n=500))
    assert len(pickle.dumps(memory)) <= memory.condensed.nbytes + 4096
    again = pickle.loads(pickle.dumps(memory))
    for one in (memory, again):
        one.update(noise(10, seed=1))
    equal(memory.condensed, again.condensed)


# settings by data set


def test_settings_of_another_data_set_are_said():
    memory = class_memory(per_class=2, method="idm")
    with pytest.warns(UserWarning, match="idm takes its settings for cifar10: give dataset="):
        memory.update(noise(0, 1))
    memory.update(noise(2, 3))
    named = class_memory(per_class=2, method="idm", dataset="digits")
    named.update(noise(0, 1))
    assert named.recipe["name"] == "idm"
    strange = class_memory(per_class=2, method="idm", dataset="svhn")
    with pytest.warns(UserWarning, match="idm takes its settings for cifar10: it has none for svhn"):
        strange.update(noise(0, 1))


def test_settings_that_are_the_same_for_all_are_not_spoken_of():
    memory = class_memory(per_class=2, method="ddm")
    memory.update(noise(0, 1))
