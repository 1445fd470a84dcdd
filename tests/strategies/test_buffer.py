"""CondensedBuffer is a ClassMemory: what it hands over, what it adds, and how it goes on later."""

import inspect
import pickle
from collections import Counter

import pytest
import torch
from memories import METHODS, class_memory, message
from memories import noise as images
from streams import buffer, equal, experience, nc, noise, replay, strategy_of

from cl_condense.memory.class_memory import ClassMemory
from cl_condense.methods.registry import build
from cl_condense.strategies import CondensedBuffer

# a ClassMemory


def test_it_takes_and_shows_all_that_a_class_memory_does():
    own, inner = (dict(inspect.signature(kind).parameters) for kind in (CondensedBuffer, ClassMemory))
    inner.pop("ranks")  # a strategy is one process
    assert {name: own[name].default for name in inner} == {name: p.default for name, p in inner.items()}
    given = {
        "max_size": 7,
        "codec": "float16",
        "dataset": "cifar10",
        "network": build,
        "device": "cpu",
        "seed": 3,
        "shrink": "prefix",
        "on_iteration": print,
    }
    memory = CondensedBuffer(**given)
    assert {name: getattr(memory, name) for name in given} == given
    assert {name: getattr(memory.class_memory, name) for name in given} == given
    assert (memory.per_class, memory.max_bytes) == (None, None)
    assert memory.method == ClassMemory(7, dataset="cifar10").method
    assert CondensedBuffer(7, papers=True, iterations=5).method.iterations == 5
    assert (memory.memory, memory.recipe, memory.experiences, memory.seconds) == (None, {}, 0, 0)
    assert CondensedBuffer(per_class=2).max_size == CondensedBuffer(max_bytes=900).max_size == 0
    memory.method = build("random")
    memory.on_iteration = None
    assert (memory.class_memory.method, memory.class_memory.on_iteration) == (build("random"), None)


def test_an_experience_gives_what_its_images_give():
    ours, theirs = buffer(5, method="dm"), class_memory(5, method="dm")
    for classes in [(0, 1), (1, 2)]:
        ours.post_adapt(None, noise(*classes))
        theirs.update(images(*classes))
    assert torch.equal(ours.memory.pixels, theirs.condensed.pixels)
    assert (ours.experiences, ours.recipe) == (2, theirs.recipe)
    assert ours.seconds > 0


def test_a_resized_memory_is_shown_at_once():
    memory = buffer(10)
    memory.post_adapt(None, noise(0, 1))
    assert len(memory.buffer) == 10
    memory.resize(None, 5)
    assert (memory.max_size, len(memory.buffer)) == (5, 5)
    with pytest.raises(ValueError, match="cannot hold 2 classes"):
        memory.resize(None, 1)
    assert (memory.max_size, len(memory.buffer)) == (5, 5)


def test_a_failed_experience_leaves_what_is_shown():
    memory = buffer(3)
    assert len(memory.buffer) == 0
    memory.post_adapt(None, noise(0, 1))
    shown, before = memory.buffer, pickle.dumps(memory)
    with pytest.raises(ValueError, match="3 images cannot hold 4 classes"):
        memory.post_adapt(None, noise(2, 3))
    assert memory.buffer is shown
    assert pickle.dumps(memory) == before


def test_images_with_channels_last_are_refused():
    memory = buffer(5)
    with pytest.raises(ValueError, match=r"\(12, 8, 8, 3\) have channels last: .*permute\(0, 3, 1, 2\)"):
        memory.post_adapt(None, experience(torch.zeros(12, 8, 8, 3), [0] * 12))
    assert memory.memory is None


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


@pytest.mark.parametrize("task_labels", [True, False])
def test_a_saved_memory_goes_on_alike_with_items_of_the_same_form(tmp_path, task_labels):
    whole = buffer(13, method="dm", task_labels=task_labels)
    whole.post_adapt(None, noise(5, 3, n=40))
    whole.save(tmp_path / "memory.safetensors", order=[5, 3, 0])
    resumed = buffer(13, method="dm", task_labels=task_labels)
    assert resumed.load(tmp_path / "memory.safetensors") == {"order": [5, 3, 0]}
    assert [type(v) for v in resumed.buffer[0]] == [type(v) for v in whole.buffer[0]]
    assert len(resumed.buffer[0]) == 2 + task_labels
    for memory in (whole, resumed):
        memory.post_adapt(None, noise(2, n=40, seed=2))
    equal(whole, resumed)


def test_the_file_of_a_class_memory_is_loaded_and_the_other_way_round(tmp_path):
    ours, theirs = buffer(6), class_memory(6)
    theirs.update(images(0, 1))
    theirs.save(tmp_path / "memory.safetensors", seconds=3.0)
    assert ours.load(tmp_path / "memory.safetensors") == {"seconds": 3.0}
    assert Counter(y for _, y, _ in ours.buffer) == {0: 3, 1: 3}
    ours.save(tmp_path / "memory.safetensors")
    theirs.load(tmp_path / "memory.safetensors")
    ours.post_adapt(None, noise(2))
    theirs.update(images(2))
    assert torch.equal(ours.memory.pixels, theirs.condensed.pixels)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({}, "not a saved memory"),
        ({"seen": [[0, 12]], "format": [False, True]}, "all experiences drew the same random numbers"),
        ({"seen": [[0, 12]], "experiences": 1, "format": [False]}, r"items of format \[False\]"),
        ({"seen": [[0, 12]], "experiences": 1, "format": 3}, "items of format 3"),
        ({"seen": 3, "experiences": 1, "format": [False, True]}, "cannot be read as a saved memory"),
    ],
)
def test_what_is_no_saved_memory_is_refused_by_name(tmp_path, extra, words):
    memory, path = buffer(5), tmp_path / "a.safetensors"
    memory.post_adapt(None, noise(0))
    shown = memory.buffer
    memory.memory.save(path, **extra)
    with pytest.raises(ValueError, match=words) as error:
        memory.load(path)
    assert str(path) in message(error)
    assert memory.buffer is shown


def test_a_pickle_of_before_is_refused_by_name():
    memory = buffer(5)
    old = {"_seen": {}, "experiences": 0, "memory": None}
    with pytest.raises(ValueError, match="the pickled buffer is of an earlier version: make the memory again"):
        memory.__setstate__(old)
