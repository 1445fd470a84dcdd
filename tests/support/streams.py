"""Streams, memories and strategies that several test files make."""

from types import SimpleNamespace

import torch
from avalanche.benchmarks import class_incremental_benchmark, nc_benchmark
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.training import Naive
from avalanche.training.plugins import ReplayPlugin
from torch.utils.data import TensorDataset

from cl_condense.common.rng import permutation
from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.data.datasets import load
from cl_condense.data.imageset import ImageSet
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.strategies import CondensedBuffer
from cl_condense.training.augment import DSA

NETWORK = MakeConvNet((1, 8, 8), width=8)
METHODS = ["random", "dm"]


def small(data, n):
    """The first n images of each class of digits, in a dataset as Avalanche takes it."""
    starts = [sum(data.counts[:i]) for i in range(10)]
    index = torch.cat([torch.arange(start, start + n) for start in starts])
    index = index[permutation(len(index), 0)]
    dataset = TensorDataset(data.take(index), data.labels[index])
    dataset.targets = data.labels[index].tolist()
    return dataset


def digits():
    """Few images of each class, to train on and to test on."""
    train, test = load("digits")
    return small(train, 30), small(test, 8)


def nc(train, test, **options):
    return nc_benchmark(train, test, 5, **{"task_labels": False, "seed": 0} | options)


def ci(train, test):
    streams = {"train": as_classification_dataset(train), "test": as_classification_dataset(test)}
    return class_incremental_benchmark(streams, num_experiences=5, seed=0)


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


def buffer(max_size=None, *, method="random", **options):
    return CondensedBuffer(max_size, method=method, **{"network": NETWORK, "iterations": 2} | options)


def counts(made):
    return dict(zip(made.memory.class_ids, made.memory.counts, strict=True))


def equal(a, b):
    assert counts(a) == counts(b)
    assert torch.equal(a.memory.pixels, b.memory.pixels)


def mean_distance(a, b):
    """Squared distance of two sets' mean embeddings, over networks that condensation has not seen."""
    nets = RandomNets().start(SourceContext(ImageSet.of(a, [0] * len(a)), NETWORK, DSA(), 999))
    means = [torch.stack([nets.at(i).net.features(x).embedding.mean(0) for i in range(10)]) for x in (a, b)]
    return float((means[0] - means[1]).square().sum())


def message(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def replay(memory, common):
    return Naive(**common, plugins=[ReplayPlugin(mem_size=memory.max_size, storage_policy=memory)])


def strategy_of(make, memory, seed=0):
    torch.manual_seed(seed)
    model = NETWORK(10)
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9)
    common = {"model": model, "optimizer": optimizer, "train_mb_size": 16, "train_epochs": 1, "evaluator": None}
    return make(memory, common | {"eval_mb_size": 64})
