"""Streams, memories and strategies that several test files make."""

from types import SimpleNamespace

import memories
import torch
from avalanche.benchmarks import class_incremental_benchmark, nc_benchmark
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.training import Naive
from avalanche.training.plugins import ReplayPlugin
from memories import NETWORK
from torch.utils.data import TensorDataset

from cl_condense.common.rng import permutation
from cl_condense.data.datasets import load
from cl_condense.strategies import CondensedBuffer


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


def noise(*classes, **options):
    """An experience of random images of some classes."""
    return experience(*memories.random_images(*classes, **options))


def buffer(max_size=None, *, method="random", **options):
    return CondensedBuffer(max_size, method=method, **{"network": NETWORK, "iterations": 2} | options)


def counts(made):
    return memories.counts(made.memory)


def equal(a, b):
    memories.equal(a.memory, b.memory)


def replay(memory, common):
    return Naive(**common, plugins=[ReplayPlugin(mem_size=memory.max_size, storage_policy=memory)])


def strategy_of(make, memory, seed=0):
    torch.manual_seed(seed)
    model = NETWORK(10)
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9)
    common = {"model": model, "optimizer": optimizer, "train_mb_size": 16, "train_epochs": 1, "evaluator": None}
    return make(memory, common | {"eval_mb_size": 64})
