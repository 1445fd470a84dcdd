"""What the memory holds: budgets, classes that are scarce or return, tasks, and what it depends on."""

import pickle
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from streams import (
    METHODS,
    buffer,
    counts,
    equal,
    experience,
    mean_distance,
    message,
    nc,
    noise,
    replay,
    strategy_of,
)

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.storage import Partition
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.strategies import CondensedBuffer

# budgets


def test_a_shared_budget_gives_the_remainder_to_the_first_classes_of_the_stream():
    memory, seen = buffer(10), []
    assert len(memory.buffer) == 0
    for wanted in ({7: 10}, {7: 5, 2: 5}, {7: 4, 2: 3, 0: 3}, {7: 3, 2: 3, 0: 2, 5: 2}):
        seen = [c for c in wanted if c not in seen]
        memory.post_adapt(None, noise(*seen))
        assert counts(memory) == wanted
        seen = list(wanted)


@pytest.mark.parametrize("method", METHODS)
def test_a_budget_per_class_grows_and_leaves_what_is_stored(method):
    memory = buffer(per_class=3, method=method)
    memory.post_adapt(None, noise(4, 1))
    first = memory.memory
    memory.post_adapt(None, noise(0, seed=1))
    assert counts(memory) == {0: 3, 1: 3, 4: 3}
    assert torch.equal(memory.memory.only([1, 4]).pixels, first.pixels)


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
        CondensedBuffer(**budget)
    assert word in message(error)


def test_other_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="recondense or prefix"):
        CondensedBuffer(5, shrink="cut")
    with pytest.raises(ValueError, match="did you mean 'ddm'"):
        CondensedBuffer(5, method="ddn")


def test_images_with_channels_last_are_refused():
    memory = buffer(5)
    with pytest.raises(ValueError, match=r"\(12, 8, 8, 3\) have channels last: .*permute\(0, 3, 1, 2\)"):
        memory.post_adapt(None, experience(torch.zeros(12, 8, 8, 3), [0] * 12))
    assert memory.memory is None


def test_too_small_a_memory_is_an_error_that_leaves_it_as_it_was():
    memory = buffer(3)
    memory.post_adapt(None, noise(0, 1))
    before, stored = pickle.dumps(memory), memory.memory
    with pytest.raises(ValueError, match="3 images cannot hold 4 classes") as error:
        memory.post_adapt(None, noise(2, 3))
    assert "raise max_size" in message(error)
    assert memory.memory is stored
    assert pickle.dumps(memory) == before
    memory.post_adapt(None, noise(2))
    assert counts(memory) == {0: 1, 1: 1, 2: 1}


def test_divergence_leaves_the_memory_as_it_was():
    memory = buffer(6, method=replace(build("dm"), lr=1e30))
    with pytest.raises(ValueError, match="diverged"):
        memory.post_adapt(None, noise(0))
    assert memory.memory is None
    assert len(memory.buffer) == 0
    memory.method = build("random")
    memory.post_adapt(None, noise(1))
    assert counts(memory) == {1: 6}


@pytest.mark.parametrize("method", METHODS)
def test_a_memory_is_resized_down_at_once_and_up_by_later_experiences(method):
    memory = buffer(10, method=method)
    memory.post_adapt(None, noise(0, 1))
    memory.resize(None, 5)
    assert (memory.max_size, counts(memory)) == (5, {0: 3, 1: 2})
    assert len(memory.buffer) == 5
    memory.resize(None, 30)
    assert counts(memory) == {0: 3, 1: 2}
    memory.post_adapt(None, noise(2))
    assert counts(memory) == {0: 3, 1: 2, 2: 10}
    with pytest.raises(ValueError, match="cannot hold 3 classes"):
        memory.resize(None, 2)
    assert (memory.max_size, counts(memory)) == (30, {0: 3, 1: 2, 2: 10})


def test_a_memory_is_resized_before_its_first_experience():
    memory = buffer(10)
    memory.resize(None, 4)
    memory.post_adapt(None, noise(0, 1))
    assert counts(memory) == {0: 2, 1: 2}


def test_a_budget_per_class_is_not_resized():
    with pytest.raises(ValueError, match="5 images per class"):
        buffer(per_class=5).resize(None, 50)


@pytest.mark.parametrize("synthetic", [None, Partition(2)], ids=str)
def test_shrinking_recondenses_or_keeps_the_first(synthetic):
    method = replace(build("dm"), **({"synthetic": synthetic} if synthetic else {}))
    kept = {}
    for shrink in ("recondense", "prefix"):
        memory = buffer(24, method=method, shrink=shrink, iterations=40)
        memory.post_adapt(None, noise(0, 1, n=48))
        before = memory.memory
        memory.post_adapt(None, noise(2, n=48, seed=1))
        assert counts(memory) == {0: 8, 1: 8, 2: 8}
        kept[shrink] = memory.memory
    assert torch.equal(kept["prefix"].only([0, 1]).pixels, before.first({0: 8, 1: 8}).pixels)
    assert torch.equal(kept["prefix"].only([2]).pixels, kept["recondense"].only([2]).pixels)
    x = before.decode()[0]
    apart = [mean_distance(x, kept[shrink].only([0, 1]).decode()[0]) for shrink in ("recondense", "prefix")]
    assert apart[0] < 0.5 * apart[1]


def test_a_coreset_keeps_its_first_images_however_it_shrinks():
    memory = buffer(24)
    memory.post_adapt(None, noise(0, 1))
    before = memory.memory
    memory.post_adapt(None, noise(2))
    assert torch.equal(memory.memory.only([0, 1]).pixels, before.first({0: 8, 1: 8}).pixels)


# classes that are scarce, alone, or return


@pytest.mark.parametrize("method", METHODS)
def test_a_class_never_gets_more_images_than_it_has_shown(method):
    memory = buffer(per_class=8, method=method)
    memory.post_adapt(None, noise((0, 3), (1, 20), (2, 1)))
    assert counts(memory) == {0: 3, 1: 8, 2: 1}
    memory.post_adapt(None, noise((0, 2), (2, 30), seed=1))
    assert counts(memory) == {0: 5, 1: 8, 2: 8}


def test_a_class_that_returns_with_few_images_after_the_budget_rose():
    memory = buffer(4)
    memory.post_adapt(None, noise(0, 1, n=50))
    memory.resize(None, 20)
    memory.post_adapt(None, noise((0, 3), 2, seed=1))
    assert {c: counts(memory)[c] for c in (1, 2)} == {1: 2, 2: 6}
    assert 2 <= counts(memory)[0] <= 5


@pytest.mark.parametrize(("old", "new"), [(200, 200), (300, 100), (100, 300)])
def test_a_class_that_returns_is_drawn_from_all_that_it_has_shown(old, new):
    share, seeds = 0.0, 40
    for seed in range(seeds):
        memory = buffer(per_class=20, seed=seed)
        for n, mark in ((old, 1.0), (new, 0.0)):
            images = torch.randn(n, 1, 8, 8)
            images[:, 0, 0, 0] = mark
            memory.post_adapt(None, experience(images, [3] * n))
        share += float(memory.memory.pixels[:, 0, 0, 0].mean()) / seeds
    # A share of 20 images has a standard deviation of 0.11, its mean here one of 0.02.
    assert share == pytest.approx(old / (old + new), abs=0.06)


def test_a_class_that_returns_is_condensed_as_the_union():
    generator = torch.Generator().manual_seed(0)
    pictures = 2 * torch.randn(2, 1, 8, 8, generator=generator)
    parts = [picture + torch.randn(80, 1, 8, 8, generator=generator) for picture in pictures]
    memory = buffer(per_class=10, method="dm", iterations=60)
    for part in parts:
        memory.post_adapt(None, experience(part, [3] * 80))
    apart = [mean_distance(memory.memory.pixels, x) for x in (torch.cat(parts), *parts)]
    assert apart[0] < 0.3 * min(apart[1:])


def test_no_image_is_stored_twice_where_classes_return():
    memory = buffer(per_class=20, method="dm")
    memory.post_adapt(None, noise(0, 1, n=100))
    memory.post_adapt(None, noise(0, 2, n=100, seed=1))
    assert [len(memory.memory.only([c]).pixels.unique(dim=0)) for c in (0, 1, 2)] == [20, 20, 20]


@pytest.mark.parametrize("method", METHODS)
def test_a_label_of_two_tasks_is_two_classes(digits, method):
    stream = nc(*digits, task_labels=True, class_ids_from_zero_in_each_exp=True)
    memory = buffer(30, method=method, codec="float32")
    strategy = strategy_of(replay, memory)
    for t, exp in enumerate(stream.train_stream):
        strategy.train(exp)
        pairs = Counter((y, task) for _, y, task in memory.buffer)
        assert set(pairs) == {(y, task) for task in range(t + 1) for y in (0, 1)}
        assert sum(pairs.values()) == 30
        assert max(pairs.values()) - min(pairs.values()) <= 1
        assert Counter(zip(memory.buffer.targets, memory.buffer.targets_task_labels, strict=True)) == pairs
    if method == "random":
        real, labels = digits[0].tensors
        for x, y, task in memory.buffer:
            same = (real == x).flatten(1).all(1)
            assert labels[same].tolist() == [stream.classes_order_original_ids[2 * task + y]]


# going on later


@pytest.mark.parametrize("method", METHODS)
def test_a_pickle_is_as_small_as_the_memory_and_goes_on_alike(digits, method):
    first, second = list(nc(*digits).train_stream)[:2]
    memory = buffer(per_class=20, method=method)
    memory.post_adapt(None, first)
    assert len(memory.buffer) == 40
    assert len(pickle.dumps(memory)) <= 40 * 64 * 4 + 4096
    again = pickle.loads(pickle.dumps(memory))
    assert torch.equal(again.buffer[3][0], memory.buffer[3][0])
    for one in (memory, again):
        one.post_adapt(None, second)
    equal(memory, again)
    assert len(pickle.dumps(memory)) <= 80 * 64 * 4 + 4096


@pytest.mark.parametrize("shrink", ["recondense", "prefix"])
@pytest.mark.parametrize("method", METHODS)
def test_a_saved_memory_goes_on_alike(tmp_path, method, shrink):
    whole = buffer(13, method=method, shrink=shrink)
    whole.post_adapt(None, noise(5, 3, n=40))
    whole.post_adapt(None, noise(0, n=40, seed=1))
    whole.save(tmp_path / "memory.safetensors", order=[5, 3, 0])
    resumed = buffer(13, method=method, shrink=shrink)
    assert resumed.load(tmp_path / "memory.safetensors") == {"order": [5, 3, 0]}
    equal(whole, resumed)
    assert [type(v) for v in resumed.buffer[0]] == [type(v) for v in whole.buffer[0]]
    for exp in (noise(2, n=40, seed=2), noise(5, 4, n=40, seed=3)):
        for memory in (whole, resumed):
            memory.post_adapt(None, exp)
        equal(whole, resumed)


def test_what_cannot_be_saved_or_loaded_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="empty"):
        buffer(5).save(tmp_path / "a.safetensors")
    CondensedSet(torch.zeros(1, 1, 8, 8), (0,), (1,), (0.0,), (1.0,)).save(tmp_path / "a.safetensors")
    memory = buffer(5)
    with pytest.raises(ValueError, match="not a saved buffer") as error:
        memory.load(tmp_path / "a.safetensors")
    assert str(tmp_path / "a.safetensors") in message(error)
    assert memory.memory is None


# what it depends on


@pytest.mark.parametrize("method", [*METHODS, "herding", "ddm"])
def test_the_memory_depends_on_the_seed_alone(method):
    made = []
    for global_seed, seed in ((1, 0), (2, 0), (2, 1)):
        torch.manual_seed(global_seed)
        memory = buffer(
            10, method=replace(build(method), iterations=2) if method == "herding" else method, seed=seed
        )
        for exp in (noise(0, 1), noise(2, seed=1)):
            memory.post_adapt(None, exp)
        made.append(memory)
    equal(made[0], made[1])
    assert not torch.equal(made[0].memory.pixels, made[2].memory.pixels)


@pytest.mark.parametrize("method", [*METHODS, "herding"])
def test_the_global_generators_are_left_alone(method):
    memory = buffer(10, method=replace(build(method), iterations=2) if method == "herding" else method)
    before = torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())
    memory.post_adapt(None, noise(0, 1))
    memory.post_adapt(None, noise(2))
    assert (torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())) == before


def test_progress_and_time_are_told():
    seen = []
    memory = buffer(4, method="dm", on_iteration=seen.append)
    memory.post_adapt(None, noise(0, 1))
    assert [p.done for p in seen] == [1, 2]
    assert memory.seconds > 0


# how images are stored


@pytest.mark.parametrize("codec", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("method", METHODS)
def test_a_memory_stores_images_by_its_codec(tmp_path, method, codec):
    memory = buffer(per_class=3, method=method, codec=codec)
    memory.post_adapt(None, noise(0, 1))
    assert memory.memory.codec == codec
    assert memory.memory.nbytes == 6 * {"uint8": 68, "float16": 128, "float32": 256}[codec] + 2 * 16
    memory.save(tmp_path / "memory.safetensors")
    other = buffer(per_class=3, method=method, codec="float16" if codec == "uint8" else "uint8")
    with pytest.raises(ValueError, match=f"codec='{codec}'"):
        other.load(tmp_path / "memory.safetensors")
    assert other.memory is None


@pytest.mark.parametrize("codec", ["uint8", "float32"])
@pytest.mark.parametrize("method", METHODS)
def test_a_budget_in_bytes_is_never_exceeded(method, codec):
    memory = buffer(max_bytes=3000, method=method, codec=codec)
    each = {"uint8": 68, "float32": 256}[codec]
    for t in range(4):
        memory.post_adapt(None, noise(2 * t, 2 * t + 1, n=60, seed=t))
        assert 3000 - each < memory.memory.nbytes <= 3000
        assert max(counts(memory).values()) - min(counts(memory).values()) <= 1
    assert (memory.max_size, memory.max_bytes, memory.per_class) == (0, 3000, None)
    with pytest.raises(ValueError, match="3000 bytes"):
        memory.resize(None, 5)


def test_too_few_bytes_are_an_error_that_says_how_many_images_they_hold():
    memory = buffer(max_bytes=200)
    memory.post_adapt(None, noise(0))
    with pytest.raises(ValueError, match=r"200 bytes \(2 images\) cannot hold 3 classes: raise max_bytes"):
        memory.post_adapt(None, noise(1, 2))


# methods whose networks see all classes


@pytest.mark.parametrize("method", ["dm+queue+ce", "herding", "dsa"])
def test_networks_that_train_see_every_class_whatever_the_quotas(method):
    """A budget of 5 gives two classes 3 and 2 images: condensed apart, each network would know one class."""
    seen = []

    def network(classes):
        seen.append(classes)
        return MakeConvNet((1, 8, 8), width=4)(classes)

    built = build(method, "digits")
    memory = buffer(5, method=replace(built, iterations=2), network=network, dataset="digits")
    memory.post_adapt(None, noise(0, 1))
    assert counts(memory) == {0: 3, 1: 2}
    memory.post_adapt(None, noise((2, 30), (3, 1), seed=1))
    assert counts(memory) == {0: 2, 1: 1, 2: 1, 3: 1}
    assert {n for n in seen if n > 1} == {2}, "1 is a look at the architecture"
    assert seen.count(2) == len([n for n in seen if n > 1])


# settings by data set


def test_settings_of_another_data_set_are_said():
    memory = buffer(per_class=2, method="idm")
    with pytest.warns(UserWarning, match="idm takes its settings for cifar10: give dataset="):
        memory.post_adapt(None, noise(0, 1))
    memory.post_adapt(None, noise(2, 3))
    named = buffer(per_class=2, method="idm", dataset="digits")
    named.post_adapt(None, noise(0, 1))
    assert named.recipe["name"] == "idm"
    strange = buffer(per_class=2, method="idm", dataset="svhn")
    with pytest.warns(UserWarning, match="idm takes its settings for cifar10: it has none for svhn"):
        strange.post_adapt(None, noise(0, 1))


def test_settings_that_are_the_same_for_all_are_not_spoken_of():
    memory = buffer(per_class=2, method="ddm")
    memory.post_adapt(None, noise(0, 1))
