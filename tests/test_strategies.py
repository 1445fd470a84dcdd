"""The Avalanche layer: what the memory holds, that it runs where Avalanche takes a memory, and GDumb on it."""

import io
import pickle
import random
import warnings
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from avalanche.benchmarks import class_incremental_benchmark, nc_benchmark, split_online_stream
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.checkpointing import maybe_load_checkpoint, save_checkpoint
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.logging import TextLogger
from avalanche.models import IncrementalClassifier, MTSimpleMLP
from avalanche.training import ER_ACE, Naive
from avalanche.training.plugins import EvaluationPlugin, GDumbPlugin, ReplayPlugin
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.transforms import Compose, Normalize, RandomCrop, ToTensor

from cl_condense.condensed import CondensedSet
from cl_condense.datasets import load
from cl_condense.draws import permutation
from cl_condense.evaluate import Training
from cl_condense.methods import build
from cl_condense.networks import MakeConvNet
from cl_condense.sources import RandomNets
from cl_condense.strategies import CondensedBuffer, CondensedGDumb
from cl_condense.synthetic import Partition

MAKE_NET = MakeConvNet((1, 8, 8), width=8)
METHODS = ["random", "dm"]


def small(data, n):
    """The first n images of each class of digits, in a dataset as Avalanche takes it."""
    starts = [sum(data.counts[:i]) for i in range(10)]
    index = torch.cat([torch.arange(start, start + n) for start in starts])
    index = index[permutation(len(index), 0)]
    dataset = TensorDataset(data.take(index), data.labels[index])
    dataset.targets = data.labels[index].tolist()
    return dataset


@pytest.fixture(scope="module")
def digits():
    train, test = load("digits")
    return small(train, 30), small(test, 8)


def nc(train, test, **options):
    return nc_benchmark(train, test, 5, **{"task_labels": False, "seed": 0} | options)


def ci(train, test):
    streams = {"train": as_classification_dataset(train), "test": as_classification_dataset(test)}
    return class_incremental_benchmark(streams, num_experiences=5, seed=0)


def buffer(max_size=None, *, method="random", **options):
    return CondensedBuffer(max_size, method=method, **{"make_net": MAKE_NET, "iterations": 2} | options)


def experience(images, labels):
    """An experience is to the buffer what has a dataset."""
    dataset = TensorDataset(images, torch.as_tensor(labels))
    dataset.targets = torch.as_tensor(labels).tolist()
    return SimpleNamespace(dataset=as_classification_dataset(dataset))


def noise(*classes, n=12, mean=0.0, seed=0):
    """An experience of n random images for each class, or of (class, n) pairs."""
    pairs = [c if isinstance(c, tuple) else (c, n) for c in classes]
    labels = torch.cat([torch.full((n,), c) for c, n in pairs])
    generator = torch.Generator().manual_seed(seed)
    return experience(torch.randn(len(labels), 1, 8, 8, generator=generator) + mean, labels)


def counts(made):
    return dict(zip(made.memory.class_ids, made.memory.counts, strict=True))


def equal(a, b):
    assert counts(a) == counts(b)
    assert torch.equal(a.memory.pixels, b.memory.pixels)


def message(error):
    assert "\n" not in str(error.value)
    return str(error.value)


# in Avalanche's strategies


def replay(memory, common):
    return Naive(**common, plugins=[ReplayPlugin(mem_size=memory.max_size, storage_policy=memory)])


def gdumb(memory, common):
    plugin = GDumbPlugin(memory.max_size)
    plugin.storage_policy = memory
    return Naive(**common, plugins=[plugin])


def er_ace(memory, common):
    strategy = ER_ACE(**common, mem_size=memory.max_size, batch_size_mem=10)
    strategy.storage_policy = memory
    return strategy


def condensed_gdumb(memory, common):
    return CondensedGDumb(
        model=common["model"], buffer=memory, networks=2, training=Training(epochs=3), evaluator=None
    )


def strategy_of(make, memory, seed=0):
    torch.manual_seed(seed)
    model = MAKE_NET(10)
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9)
    common = {"model": model, "optimizer": optimizer, "train_mb_size": 16, "train_epochs": 1, "evaluator": None}
    return make(memory, common | {"eval_mb_size": 64})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [replay, gdumb, er_ace, condensed_gdumb], ids=lambda make: make.__name__)
@pytest.mark.parametrize("benchmark", [nc, ci], ids=lambda benchmark: benchmark.__name__)
def test_every_strategy_keeps_a_balanced_memory_within_the_budget(digits, benchmark, make, method):
    stream, memory = benchmark(*digits), buffer(23, method=method, task_labels=True if make is er_ace else None)
    strategy, seen = strategy_of(make, memory), []
    for exp, wanted in zip(
        stream.train_stream, ["cb", "6665", "444443", "33333332", "3332222222"], strict=True
    ):
        seen += sorted(exp.dataset.targets.uniques)
        strategy.train(exp)
        assert counts(memory) == {c: int(n, 16) for c, n in zip(seen, wanted, strict=True)}
        assert Counter(memory.buffer.targets) == counts(memory)
        assert len(memory.buffer) == 23
    strategy.eval(stream.test_stream)


@pytest.mark.parametrize("method", METHODS)
def test_a_replayed_memory_lessens_forgetting(digits, method):
    right = []
    for make in (replay, lambda _, common: Naive(**common)):
        strategy = strategy_of(make, buffer(100, method=method))
        for exp in nc(*digits).train_stream:
            strategy.train([exp] * 4)
        x, y = digits[1].tensors
        right.append(float((strategy.model.eval()(x).argmax(1) == y).double().mean()))
    assert right[0] > right[1] + 0.2


# what an item looks like


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("benchmark", "length", "kind"), [(nc, 3, int), (ci, 2, torch.Tensor)])
def test_an_item_of_the_memory_looks_like_one_of_the_stream(digits, benchmark, length, kind, method):
    exp = benchmark(*digits).train_stream[0]
    memory = buffer(20, method=method)
    memory.post_adapt(None, exp)
    ours, theirs = memory.buffer[0], exp.dataset[0]
    assert len(ours) == len(theirs) == length
    assert isinstance(ours[1], kind)
    assert isinstance(theirs[1], kind)
    assert (ours[0].shape, ours[0].dtype) == (theirs[0].shape, theirs[0].dtype)
    mixed = exp.dataset.concat(memory.buffer)
    loader = DataLoader(mixed, batch_size=80, collate_fn=exp.dataset.collate_fn)
    (batch,) = loader
    assert len(batch) == length
    assert batch[1].tolist() == [*exp.dataset.targets, *memory.memory.labels.tolist()]
    assert torch.equal(batch[0][60:], memory.memory.pixels)


@pytest.mark.parametrize("task_labels", [True, False])
@pytest.mark.parametrize("benchmark", [nc, ci])
def test_items_have_a_task_where_one_is_asked_for(digits, benchmark, task_labels):
    memory = buffer(20, task_labels=task_labels)
    memory.post_adapt(None, benchmark(*digits).train_stream[0])
    assert len(memory.buffer[0]) == 2 + task_labels
    assert list(memory.buffer[0][2:]) == [0] * task_labels


def test_augmentation_is_for_training_alone():
    memory = buffer(4, transform=lambda x: x + 100)
    memory.post_adapt(None, noise(0, 1))
    for i, x in enumerate(memory.memory.pixels):
        assert torch.equal(memory.buffer.train()[i][0], x + 100)
        assert torch.equal(memory.buffer.eval()[i][0], x)


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
    memory = buffer(6, method=replace(build("dm"), lr=1e30, iterations=3))
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
    method = replace(build("dm", iterations=40), **({"synthetic": synthetic} if synthetic else {}))
    kept = {}
    for shrink in ("recondense", "prefix"):
        memory = buffer(24, method=method, shrink=shrink)
        memory.post_adapt(None, noise(0, 1, n=48))
        before = memory.memory
        memory.post_adapt(None, noise(2, n=48, seed=1))
        assert counts(memory) == {0: 8, 1: 8, 2: 8}
        kept[shrink] = memory.memory
    assert torch.equal(kept["prefix"].only([0, 1]).pixels, before.first({0: 8, 1: 8}).pixels)
    assert torch.equal(kept["prefix"].only([2]).pixels, kept["recondense"].only([2]).pixels)
    x = before.decode()[0]
    apart = [mean_distance(x, kept[shrink].only([0, 1]).decode()[0]) for shrink in ("recondense", "prefix")]
    assert apart[0] < 0.8 * apart[1]


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


def mean_distance(a, b):
    """Squared distance of two sets' mean embeddings, over networks that condensation has not seen."""
    nets = RandomNets(MAKE_NET, 2, seed=999, device=torch.device("cpu"))
    means = [torch.stack([nets.at(i).features(x).embedding.mean(0) for i in range(10)]) for x in (a, b)]
    return float((means[0] - means[1]).square().sum())


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
    memory = buffer(30, method=method)
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


# pictures, and what is refused


class Pictures(Dataset):
    """PIL images, as torchvision's data sets give them."""

    def __init__(self, sizes, classes=10):
        generator = torch.Generator().manual_seed(0)
        self.pixels = [torch.randint(0, 256, (s, s, 3), dtype=torch.uint8, generator=generator) for s in sizes]
        self.targets = [i % classes for i in range(len(sizes))]

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        return Image.fromarray(self.pixels[index].numpy()), self.targets[index]


def normalise(image):
    return Compose([ToTensor(), Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))])(image)


@pytest.mark.parametrize("method", METHODS)
def test_pictures_are_remembered_by_the_evaluation_transform(method):
    data, made = Pictures([12] * 100), []
    transforms = {"train_transform": Compose([RandomCrop(12, 4), normalise]), "eval_transform": normalise}
    for seed in (0, 1):
        memory = buffer(20, method=method, make_net=MakeConvNet((3, 12, 12), width=8))
        torch.manual_seed(seed)
        common = {"model": MakeConvNet((3, 12, 12), width=8)(10), "train_mb_size": 16, "evaluator": None}
        common["optimizer"] = torch.optim.SGD(common["model"].parameters(), 0.01)
        strategy = replay(memory, common)
        for exp in nc(data, data, **transforms).train_stream:
            strategy.train(exp)
        made.append(memory)
    equal(*made)
    if method == "random":
        real = torch.stack([normalise(x) for x, _ in data])
        for x, y, _ in made[0].buffer:
            same = (real == x).flatten(1).all(1)
            assert [data.targets[i] for i in same.nonzero().flatten()] == [y]


def test_the_stated_normalisation_gives_the_pictures_back():
    data = Pictures([12] * 20)
    normalisation = ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    memory = buffer(20, normalisation=normalisation)
    memory.post_adapt(None, nc(data, data, eval_transform=normalise).train_stream[0])
    shown = {bytes(x.permute(1, 2, 0).contiguous().numpy()) for x in memory.memory.to_pixels()}
    assert len(shown) == 4
    assert shown <= {bytes(x.numpy()) for x in data.pixels}


def raw(x):
    return (x * 100).to(torch.uint8)


@pytest.mark.parametrize(
    ("sizes", "transform", "words"),
    [
        ([12] * 20, None, ["Image", "eval_transform", "ToTensor"]),
        ([12] * 20, lambda x: raw(ToTensor()(x)), ["uint8", "eval_transform"]),
        ([12, 12, 9, 9] * 5, ToTensor(), ["3x12x12", "3x9x9", "resize", "eval_transform"]),
        ([12] * 600 + [9] * 600, ToTensor(), ["3x12x12", "3x9x9", "resize"]),
    ],
    ids=["pictures", "integers", "sizes", "sizes of batches"],
)
def test_images_that_do_not_fit_are_refused_with_the_remedy(sizes, transform, words):
    data = Pictures(sizes, classes=2)
    memory = buffer(20)
    exp = nc_benchmark(
        data, data, 1, False, seed=0, shuffle=False, train_transform=ToTensor(), eval_transform=transform
    )
    with pytest.raises(ValueError, match=words[0]) as error:
        memory.post_adapt(None, exp.train_stream[0])
    for word in words:
        assert word in message(error)
    assert memory.memory is None


def test_an_online_experience_is_refused_with_the_remedy(digits):
    stream = split_online_stream(nc(*digits).train_stream, experience_size=10)
    memory = buffer(20)
    with pytest.raises(ValueError, match="online") as error:
        memory.post_adapt(None, next(iter(stream)))
    assert "original stream" in message(error)


def test_images_of_another_size_do_not_join_the_memory():
    memory = buffer(20)
    memory.post_adapt(None, noise(0))
    with pytest.raises(ValueError, match="condense them alike"):
        memory.post_adapt(None, experience(torch.zeros(5, 1, 4, 4), [1] * 5))
    assert counts(memory) == {0: 12}


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


@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_of_avalanche_goes_on_alike(digits, method, tmp_path):
    stream = nc(*digits)
    whole = strategy_of(replay, buffer(24, method=method))
    for exp in stream.train_stream[:2]:
        whole.train(exp)
    save_checkpoint(whole, tmp_path / "checkpoint")
    resumed, number = maybe_load_checkpoint(strategy_of(replay, buffer(24), seed=1), tmp_path / "checkpoint")
    assert number == 2
    assert (tmp_path / "checkpoint").stat().st_size < 1_000_000
    for strategy in (whole, resumed):
        for exp in stream.train_stream[2:]:
            strategy.train(exp)
    memories = [
        next(p for p in s.plugins if isinstance(p, ReplayPlugin)).storage_policy for s in (whole, resumed)
    ]
    assert memories[0] is not memories[1]
    assert len(memories[0].buffer) == 24
    equal(*memories)


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


def test_updating_warns_of_nothing():
    memory, filters = buffer(10), list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        inside = list(warnings.filters)
        memory.update(SimpleNamespace(experience=noise(0, 1)))
        assert warnings.filters == inside
    assert caught == []
    assert warnings.filters == filters
    assert counts(memory) == {0: 5, 1: 5}


def test_progress_and_time_are_told():
    seen = []
    memory = buffer(4, method="dm", on_step=seen.append)
    memory.post_adapt(None, noise(0, 1))
    assert [p.iteration for p in seen] == [1, 2]
    assert memory.seconds > 0


# GDumb


def gdumb_on(digits, model=None, memory=None, **options):
    options = {
        "networks": 3,
        "training": Training(epochs=5, lr=0.05),
        "evaluator": None,
        "eval_mb_size": 7,
    } | options
    return CondensedGDumb(model=model or MAKE_NET(10), buffer=memory or buffer(40), **options)


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("benchmark", [nc, ci])
def test_metrics_are_means_over_the_networks(digits, benchmark):
    stream, text = benchmark(*digits), io.StringIO()
    metrics = accuracy_metrics(stream=True, experience=True)
    strategy = gdumb_on(digits, evaluator=EvaluationPlugin(metrics, loggers=[TextLogger(text)]))
    for exp in stream.train_stream:
        strategy.train(exp)
    told = strategy.eval(stream.test_stream)
    assert len(strategy.accuracies) == len(strategy.networks) == 3
    assert strategy.model is strategy.networks[0]
    x, y = digits[1].tensors
    own = [float((net(x).argmax(1) == y).double().mean()) for net in strategy.networks]
    assert strategy.accuracies == pytest.approx(own)
    assert len(set(own)) > 1
    assert max(own) > 0.3
    assert sum(own) / 3 == pytest.approx(next(v for k, v in told.items() if k.startswith("Top1_Acc_Stream")))
    for i, exp in enumerate(stream.test_stream):
        mine = torch.isin(y, torch.tensor(list(exp.dataset.targets.uniques)))
        part = [float((net(x[mine]).argmax(1) == y[mine]).double().mean()) for net in strategy.networks]
        assert sum(part) / 3 == pytest.approx(next(v for k, v in told.items() if k.endswith(f"Exp00{i}")))
    assert "Top1_Acc_Stream" in text.getvalue()
    assert strategy.train_seconds > 0


def test_each_experience_starts_from_new_weights(digits):
    stream = nc(*digits)
    one = gdumb_on(digits)
    drawn = gdumb_on(digits, training=Training(epochs=1, lr=0.0))
    starts = []
    for exp in stream.train_stream[:2]:
        memory = pickle.loads(pickle.dumps(one.buffer))
        one.train(exp)
        drawn.train(exp)
        starts += [weights(net) for net in drawn.networks]
        # Neither the given model nor what an earlier experience taught leaves a trace.
        torch.manual_seed(5)
        other = gdumb_on(digits, memory=memory)
        other.train(exp)
        for a, b in zip(one.networks, other.networks, strict=True):
            assert torch.equal(weights(a), weights(b))
    assert all(not torch.equal(starts[i], starts[j]) for i in range(6) for j in range(i))
    other = gdumb_on(digits, seed=1, training=Training(epochs=1, lr=0.0))
    other.train(stream.train_stream[0])
    assert not torch.equal(weights(other.model), starts[0])


def test_the_first_network_does_not_depend_on_how_many_there_are(digits):
    exp = nc(*digits).train_stream[0]
    trained = []
    for networks in (1, 3):
        strategy = gdumb_on(digits, networks=networks, training=Training(epochs=3))
        strategy.train(exp)
        trained.append(weights(strategy.model))
    torch.testing.assert_close(*trained, rtol=1e-3, atol=1e-4)


def test_experiences_call_their_plugins(digits):
    calls = []

    class Spy:
        def before_training_exp(self, strategy, **kwargs):
            calls.append((len(strategy.buffer.buffer), len(strategy.adapted_dataset)))

        def after_training_exp(self, strategy, **kwargs):
            calls.append("after")

    strategy = gdumb_on(digits, plugins=[Spy()])
    strategy.train(nc(*digits).train_stream[:2])
    assert calls == [(40, 40), "after"] * 2


@pytest.mark.parametrize("networks", [1, 3])
def test_a_head_that_grows_is_trained_and_evaluated(digits, networks):
    body = [nn.Flatten(), nn.Linear(64, 16), nn.ReLU()]
    strategy = gdumb_on(digits, nn.Sequential(*body, IncrementalClassifier(16, 2)), networks=networks)
    stream = nc(*digits)
    for exp in stream.train_stream:
        strategy.train(exp)
        strategy.eval(stream.test_stream)
        assert len(strategy.accuracies) == networks


def test_an_untrained_strategy_is_evaluated(digits):
    strategy = gdumb_on(digits)
    strategy.eval(nc(*digits).test_stream)
    assert len(strategy.accuracies) == 1
    assert 0 <= strategy.accuracies[0] < 0.5


def test_periodic_evaluation_works(digits):
    stream, metrics = nc(*digits), EvaluationPlugin(accuracy_metrics(stream=True))
    strategy = gdumb_on(digits, evaluator=metrics, eval_every=0)
    for exp in stream.train_stream[:2]:
        strategy.train(exp, eval_streams=[stream.test_stream])
        assert len(strategy.accuracies) == 3


def test_what_gdumb_cannot_train_is_refused(digits):
    with pytest.raises(ValueError, match="MTSimpleMLP has a head for each task") as error:
        gdumb_on(digits, MTSimpleMLP(64))
    assert "single head" in message(error)
    with pytest.raises(ValueError, match="0 networks"):
        gdumb_on(digits, networks=0)
