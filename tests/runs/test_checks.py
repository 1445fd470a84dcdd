"""What makes no sense or does not fit the data is one line before any work."""

import re
from dataclasses import replace

import pytest
import torch

from cl_condense.data.imageset import ImageSet
from cl_condense.runs.checks import check_condensing, check_run, check_training, fingerprint, ipc_within
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.runs.run_config import RunConfig


def said(check, *args):
    with pytest.raises(ValueError, match=r"\w") as error:
        check(*args)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "ddmm"}, "did you mean 'ddm'"),
        ({"codec": "int8"}, "'int8'"),
        ({"network": "resnet"}, "did you mean 'resnet18'?"),
        ({"network": "vgg11"}, "a VGG-11 does not fit images of 8x8"),
        ({"depth": 9}, "depth 9"),
        ({"augment": "blur"}, "augmentation 'blur' is unknown"),
        ({"precision": "float16"}, "precision 'float16'"),
        ({"reuse": 3, "method": "idc"}, "reuse 3 does not fit idc"),
    ],
)
def test_a_condensation_without_sense(changes, message, digits_pair):
    config = CondenseConfig("digits", "dm", depth=2)
    check_condensing(config, digits_pair[0])
    assert message in said(check_condensing, replace(config, **changes), digits_pair[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluation": "plane"}, "unknown evaluation 'plane': did you mean 'plain'?"),
        ({"network": "vgg11"}, "a VGG-11 does not fit images of 8x8"),
        ({"augment": "blur"}, "augmentation 'blur' is unknown"),
    ],
)
def test_a_training_without_sense(changes, message, digits_pair):
    config = TrainConfig("digits", depth=2)
    check_training(config, *digits_pair)
    assert message in said(check_training, replace(config, **changes), *digits_pair)


def test_test_images_of_other_classes(digits_pair):
    train, test = digits_pair
    assert "differ in classes" in said(check_training, TrainConfig("digits", depth=2), train, test.only([0, 1]))


def test_every_part_of_a_run_is_looked_at(digits_pair):
    run = RunConfig.of("digits", ("random", "dm"), depth=2)
    check_run(run, *digits_pair)
    for changes, message in (
        ({"steps": 11}, "11 steps for 10 classes of digits: give at most 10"),
        ({"shrink": "melt"}, "unknown shrink 'melt'"),
        ({"evaluation": "plane"}, "unknown evaluation 'plane'"),
        ({"codec": "int8"}, "'int8'"),
        ({"ipc": None}, "give one of ipc"),
        ({"ipc": None, "max_bytes": 100}, "100 bytes are below one image per class as uint8: give at least "),
    ):
        assert message in said(check_run, run.changed(**changes), *digits_pair)


def test_a_budget_in_bytes_holds_as_many_images_of_each_class(digits_pair):
    train, _ = digits_pair
    least = int(re.findall(r"\d+$", said(ipc_within, 10, train, "uint8"))[0])
    assert ipc_within(least, train, "uint8") == 1
    assert ipc_within(10 * least, train, "uint8") > ipc_within(10 * least, train, "float32")


def test_a_class_may_have_fewer_images_than_its_share_of_the_bytes_of_a_run(digits_pair):
    train, test = digits_pair
    pixels, labels = train.images, train.labels
    kept = torch.cat([(labels == c).nonzero()[: 30 if c else 3, 0] for c in train.class_ids])
    fewer = ImageSet.of(pixels[kept], labels[kept])
    run = RunConfig.of("digits", ("random",), depth=2, ipc=None, max_bytes=100 * (64 + 8))
    check_run(run, fewer, test)
    assert "but class 0 has 3: give at most" in said(ipc_within, run.stream.max_bytes, fewer, "uint8")
    told = said(check_run, run.changed(max_bytes=10**6), fewer, test)
    assert "images as uint8, more than the 273 there are: give at most " in told
    check_run(run.changed(max_bytes=int(re.findall(r"\d+$", told)[0])), fewer, test)


def test_a_fingerprint_tells_images_labels_and_names_apart(digits_pair):
    train, test = digits_pair
    others = (test, train.only([0, 1]), replace(train, names=train.names[::-1]))
    assert len({fingerprint(images) for images in (train, *others)}) == 4
    assert fingerprint(train) == fingerprint(replace(train))
