"""The Avalanche layer: what the memory holds, that it runs where Avalanche takes a memory, and GDumb on it."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from avalanche.benchmarks import class_incremental_benchmark, nc_benchmark
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.training import ER_ACE, Naive
from avalanche.training.plugins import GDumbPlugin, ReplayPlugin
from torch.utils.data import TensorDataset

from cl_condense.datasets import load
from cl_condense.draws import permutation
from cl_condense.evaluate import Training
from cl_condense.networks import MakeConvNet
from cl_condense.strategies import CondensedBuffer, CondensedGDumb

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
    stream = benchmark(*digits)
    memory = buffer(23, method=method, task_labels=True if make is er_ace else None)
    strategy = strategy_of(make, memory)
    seen = []
    for exp, quotas in zip(
        stream.train_stream, ([12, 11], [6] * 3 + [5], [4] * 5 + [3], [3] * 7 + [2], [3] * 3 + [2] * 7)
    ):
        seen += sorted(exp.dataset.targets.uniques)
        strategy.train(exp)
        assert counts(memory) == dict(zip(seen, quotas, strict=True))
        assert Counter(memory.buffer.targets) == counts(memory)
        assert len(memory.buffer) == 23
    strategy.eval(stream.test_stream)


@pytest.mark.parametrize("method", METHODS)
def test_a_replayed_memory_lessens_forgetting(digits, method):
    scores = []
    for memory in (buffer(100, method=method), None):
        stream = nc(*digits)
        strategy = strategy_of(replay if memory else lambda _, common: Naive(**common), memory)
        for exp in stream.train_stream:
            for _ in range(4):
                strategy.train(exp) if memory is None or exp is None else strategy.train(exp)
        strategy.model.eval()
        x, y = digits[1].tensors
        scores.append(float((strategy.model(x).argmax(1) == y).double().mean()))
    assert scores[0] > scores[1] + 0.2
