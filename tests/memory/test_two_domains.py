"""A second domain of the same classes: five digits, one a step, and then again, turned by 90 degrees."""

from dataclasses import replace

import pytest
import torch

from cl_condense.condensation.recipe import Recipe
from cl_condense.data.datasets import load
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.training.augment import DSA
from cl_condense.training.evaluate import score
from cl_condense.training.protocol import Training

PER_CLASS = 6
WORDS = "color_crop_cutout_scale_rotate"  # digits are not flipped


@pytest.fixture(scope="module")
def digits():
    return tuple(part.only(range(5)) for part in load("digits"))


def domains(train):
    """Ten experiences of one class each."""
    for turns in (0, 1):
        for c in train.class_ids:
            own = train.only([c])
            x = own.take(torch.arange(len(own))).rot90(turns, (2, 3)).contiguous()
            yield ImageSet.of(x, [c] * len(own), normalisation=(train.mean, train.std))


def memory_of(method, train, seed=0):
    built = build(method, "digits")
    if isinstance(built, Recipe):
        built = replace(built, iterations=40, real_per_class=32, augment=DSA(WORDS))
    return ClassMemory(
        per_class=PER_CLASS,
        method=built,
        dataset="digits",
        network=MakeConvNet(train.shape, width=16, depth=2),
        device="cpu",
        seed=seed,
    )


def accuracy(memory, test, turns):
    images = test.take(torch.arange(len(test))).rot90(turns, (2, 3)).contiguous()
    turned = ImageSet.of(images, test.labels, normalisation=(test.mean, test.std))
    x, y = memory.condensed.decode()
    training = Training(100, augment=DSA(WORDS))
    network = MakeConvNet(test.shape, width=16, depth=2)
    return float(score(x, y, turned, network=network, training=training, networks=2, keys=(0,)).mean())


def share_of_second(memory, train):
    """Of random images, which are those of the stream: the share that is nearer to one of the second domain."""
    stored, labels = memory.condensed.decode()
    second = 0
    for x, label in zip(stored, labels, strict=True):
        own = train.only([int(label)])
        real = own.take(torch.arange(len(own)))
        gaps = [(real.rot90(turns, (2, 3)) - x).square().flatten(1).sum(1).min() for turns in (0, 1)]
        second += bool(gaps[1] < gaps[0])
    return second / len(stored)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "least"), [("random", 0.75), ("dm", 0.8)])
def test_the_second_domain_is_remembered_and_an_interruption_changes_nothing(digits, tmp_path, method, least):
    train, test = digits
    memory, resumed = memory_of(method, train), memory_of(method, train)
    for number, exp in enumerate(domains(train)):
        memory.update(exp)
        if number == 7:
            memory.save(tmp_path / "memory.safetensors")
            resumed.load(tmp_path / "memory.safetensors")
        if number > 7:
            resumed.update(exp)
    assert torch.equal(memory.condensed.stored["pixels"], resumed.condensed.stored["pixels"])
    if method == "random":
        assert share_of_second(memory, train) == pytest.approx(0.5, abs=0.1)
    assert accuracy(memory, test, 1) >= least
    assert accuracy(memory, test, 0) >= least
