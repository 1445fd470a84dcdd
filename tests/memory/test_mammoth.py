"""MammothBuffer beside mammoth's own buffer: the same calls, the same kinds of answers.

``API`` was read from mammoth e75a491 (2026-05-20), which no index has as a package. With a checkout of it in
``CL_CONDENSE_MAMMOTH``, and kornia installed, which it imports, the tests run on mammoth's own class too.
"""

import importlib
import inspect
import os
import sys
from collections import Counter

import pytest
import torch
from memories import class_memory, message
from torch import nn
from torchvision.transforms import Compose, Normalize, RandomCrop, ToPILImage, ToTensor

from cl_condense.memory.mammoth import MammothBuffer
from cl_condense.networks.convnet import MakeConvNet

API = {
    "add_data": "examples labels logits task_labels attention_maps true_labels sample_selection_scores",
    "empty": "",
    "get_all_data": "transform device",
    "get_balanced_data": "size transform n_classes",
    "get_data": "size transform return_index device mask_task_out cpt return_not_aug not_aug_transform "
    "force_indexes",
    "get_data_by_index": "indexes transform device",
    "get_dataloader": "args batch_size shuffle drop_last transform sampler",
    "is_empty": "",
    "is_full": "",
    "serialize": "out_device",
    "to": "device",
    "__getitem__": "index transform",
    "__iter__": "",
    "__len__": "",
}
"""Methods that models call, and their parameters; ``init_tensors`` is its own affair."""

ATTRIBUTES = (
    "attributes",
    "buffer_size",
    "device",
    "examples",
    "labels",
    "num_seen_examples",
    "used_attributes",
)
CHECKOUT = os.environ.get("CL_CONDENSE_MAMMOTH", "")


def theirs(size):
    if not CHECKOUT:
        pytest.skip("no checkout of mammoth in CL_CONDENSE_MAMMOTH")
    pytest.importorskip("kornia")
    sys.path.insert(0, CHECKOUT)
    try:
        return importlib.import_module("utils.buffer").Buffer(size)
    finally:
        sys.path.remove(CHECKOUT)


def ours(size, **options):
    return MammothBuffer(class_memory(size), **options)


BOTH = pytest.mark.parametrize("make", [ours, theirs])


def pictures(*classes, n=12, seed=0):
    """Images of 8 bits in [0, 1], n of each class, and their labels, in random order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor(classes).repeat(n)
    pixels = torch.randint(0, 256, (len(labels), 3, 8, 8), generator=generator)
    return pixels / 255, labels


def fill(buffer, *classes, epochs=1, **options):
    """A task as a model's ``observe`` and ``end_task`` tell of it."""
    images, labels = pictures(*classes, **options)
    for _ in range(epochs):
        for x, y in zip(images.split(10), labels.split(10), strict=True):
            buffer.add_data(examples=x, labels=y)
    if isinstance(buffer, MammothBuffer):
        buffer.condense()
    return images


@BOTH
def test_it_has_the_methods_and_attributes_that_models_use(make):
    buffer = make(6)
    fill(buffer, 0, 1)
    for name, words in API.items():
        parameters = inspect.signature(getattr(buffer, name)).parameters
        assert set(words.split()) <= parameters.keys() or "others" in parameters, name
    assert [name for name in ATTRIBUTES if not hasattr(buffer, name)] == []


AUGMENT = Compose([ToPILImage(), RandomCrop(8, padding=1), ToTensor(), Normalize((0.5,) * 3, (0.2,) * 3)])


@BOTH
def test_answers_are_of_the_same_kinds(make):
    buffer = make(6)
    assert buffer.is_empty()
    assert not hasattr(buffer, "examples")
    fill(buffer, 3, 7)
    assert (len(buffer), buffer.is_empty(), buffer.is_full(), buffer.buffer_size) == (6, False, True, 6)
    assert (buffer.examples.shape, buffer.examples.dtype) == ((6, 3, 8, 8), torch.float32)
    assert (buffer.labels.shape, buffer.labels.dtype) == ((6,), torch.int64)
    assert buffer.used_attributes == ["examples", "labels"]
    x, y = buffer.get_data(4, transform=AUGMENT, device="cpu")
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((4, 3, 8, 8), torch.float32, (4,), torch.int64)
    assert float(x.min()) < 0, "normalised"
    assert len(buffer.get_data(50)[0]) == 6
    index, plain, augmented, y = buffer.get_data(3, AUGMENT, True, return_not_aug=True)
    assert torch.equal(plain, buffer.examples[index])
    assert torch.equal(y, buffer.labels[index])
    assert not torch.equal(plain, augmented)
    assert torch.equal(buffer.get_data(2, force_indexes=[4, 1])[0], buffer.examples[[4, 1]])
    assert set(buffer.get_data(6, mask_task_out=1, cpt=5)[1].tolist()) == {3}
    assert torch.equal(buffer.get_data_by_index([2, 0])[0], buffer.examples[[2, 0]])
    assert torch.equal(buffer.get_all_data()[0], buffer.examples)
    assert torch.equal(buffer[5][0], buffer.examples[5])
    assert buffer.serialize().keys() == {"examples", "labels"}
    assert buffer.to("cpu") is buffer
    buffer.empty()
    assert (len(buffer), buffer.is_empty(), hasattr(buffer, "examples")) == (0, True, False)


@BOTH
def test_balanced_data_has_as_many_of_each_class(make):
    buffer = make(60)
    fill(buffer, 0, 1, 2, 5)
    assert set(Counter(buffer.get_balanced_data(8)[1].tolist()).values()) == {2}
    assert len(Counter(buffer.get_balanced_data(6, n_classes=2)[1].tolist())) == 2


def test_task_labels_are_given_back_and_mask_out():
    buffer = ours(8)
    for task in (0, 1):
        x, y = pictures(2 * task, 2 * task + 1)
        buffer.add_data(examples=x, labels=y, task_labels=torch.full_like(y, task))
        buffer.condense()
    assert buffer.used_attributes == ["examples", "labels", "task_labels"]
    _, y, tasks = buffer.get_data(8)
    assert tasks.tolist() == (y // 2).tolist()
    assert set(buffer.get_data(8, mask_task_out=0)[1].tolist()) == {2, 3}


def test_an_image_counts_once_however_many_epochs_show_it():
    once, often = ours(6), ours(6)
    images = [fill(buffer, 0, 1, epochs=epochs) for buffer, epochs in [(once, 1), (often, 3)]]
    assert once.num_seen_examples == often.num_seen_examples == len(images[0]) == 24
    assert torch.equal(once.examples, often.examples)
    assert once.memory.seen == often.memory.seen == {0: 12, 1: 12}


def test_a_batch_that_is_filled_anew_does_not_change_what_was_taken():
    buffer, (images, labels) = ours(24), pictures(0, 1)
    pixels = (images * 255).round().to(torch.uint8)
    batch = torch.empty_like(pixels[:6])
    for x, y in zip(pixels.split(6), labels.split(6), strict=True):
        buffer.add_data(batch.copy_(x), y)
    buffer.condense()
    nearest = (buffer.examples[:, None] - images).abs().amax((2, 3, 4)).min(1)
    assert sorted(nearest.indices.tolist()) == [*range(24)]
    given = buffer.serialize()
    given["examples"].zero_()
    assert buffer.examples.any()


def test_task_labels_of_some_images_only_are_refused_before_these_are_taken():
    (x, y), (more, their) = pictures(0, 1), pictures(2, 3)
    tasks, theirs = torch.zeros_like(y), torch.ones_like(their)
    for condense in (False, True):
        for first, second, words in [
            (tasks, None, "images before came with task_labels, these 24 with none: give task_labels with"),
            (None, theirs, "images before came with no task_labels, these 24 with some: give task_labels with"),
        ]:
            buffer = ours(8)
            buffer.add_data(x[:0], y[:0])
            buffer.add_data(x, y, task_labels=first)
            if condense:
                buffer.condense()
            with pytest.raises(ValueError, match=words) as error:
                buffer.add_data(more, their, task_labels=second)
            message(error)
            assert buffer.num_seen_examples == 24
            buffer.condense()
            assert set(buffer.get_data(8)[1].tolist()) == {0, 1}
            buffer.empty()
            buffer.add_data(more, their, task_labels=second)


def test_what_is_stored_are_images_of_the_tasks_in_their_own_pixels():
    buffer, shown = ours(8), []
    for task in (0, 1):
        shown.append(fill(buffer, 2 * task, 2 * task + 1, seed=task))
        assert Counter(buffer.labels.tolist()) == dict.fromkeys(range(2 * task + 2), 8 // (2 * task + 2))
    # the random method keeps real images; its codec rounds to 8 bits of their own range
    for image in buffer.examples:
        assert (torch.cat(shown) - image).abs().amax((1, 2, 3)).min() < 1.01 / 255


def test_while_a_task_is_shown_those_before_are_replayed():
    buffer = ours(6)
    fill(buffer, 0, 1)
    before = buffer.examples
    x, y = pictures(2, 3)
    buffer.add_data(examples=x, labels=y)
    assert torch.equal(buffer.examples, before)
    buffer.condense()
    buffer.condense()
    assert buffer.memory.experiences == 2, "nothing was gathered since"
    assert set(buffer.labels.tolist()) == {0, 1, 2, 3}


def test_samples_are_of_the_seed_and_leave_the_global_generators():
    drawn, before = [], torch.get_rng_state()
    for _ in range(2):
        buffer = ours(12)
        fill(buffer, 0, 1)
        drawn.append(torch.cat([buffer.get_data(4)[0] for _ in range(3)]))
    assert torch.equal(*drawn)
    assert torch.equal(torch.get_rng_state(), before)


def test_its_size_may_be_changed_and_a_loader_gives_all():
    buffer = ours(8)
    fill(buffer, 0, 1)
    buffer.buffer_size = 4
    assert (len(buffer), buffer.memory.max_size) == (4, 4)
    batches = list(buffer.get_dataloader(None, 3, shuffle=True))
    assert sorted(torch.cat([y for _, y in batches]).tolist()) == [0, 0, 1, 1]
    assert [len(item) for item in buffer] == [2] * 4


def test_er_trains_on_it():
    """``observe`` of mammoth's er, on two tasks."""
    buffer, net = ours(8), MakeConvNet((3, 8, 8), width=4)(4)
    optimizer, loss = torch.optim.SGD(net.parameters(), 0.01), nn.CrossEntropyLoss()
    for task in (0, 1):
        images, all_labels = pictures(2 * task, 2 * task + 1)
        for not_aug, own in zip(images.split(8), all_labels.split(8), strict=True):
            inputs, labels = torch.stack([AUGMENT(x) for x in not_aug]), own
            if not buffer.is_empty():
                more, their = buffer.get_data(8, transform=AUGMENT, device="cpu")
                inputs, labels = torch.cat([inputs, more]), torch.cat([labels, their])
                assert len(inputs) == len(own) + 8
            optimizer.zero_grad()
            loss(net(inputs), labels).backward()
            optimizer.step()
            buffer.add_data(examples=not_aug, labels=labels[: len(own)])
        buffer.condense()
    assert Counter(buffer.labels.tolist()) == {0: 2, 1: 2, 2: 2, 3: 2}


def add(**changes):
    x, y = pictures(0, 1)
    return lambda buffer: buffer.add_data(**{"examples": x, "labels": y} | changes)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (add(logits=torch.zeros(24, 2)), "logits given: .* images and labels alone; use .* such as er"),
        (add(true_labels=torch.zeros(24)), "true_labels given"),
        (add(labels=None), "labels None: give a tensor, a whole number for every image"),
        (
            add(examples=torch.randn(24, 3, 8, 8)),
            r"examples from .*: give mammoth's not_aug_inputs",
        ),
        (add(labels=torch.arange(23)), r"labels of torch.int64 \(23,\) for 24 images: give a whole number"),
        (
            lambda _: add(task_labels=torch.arange(24))(ours(6)),
            "label 0 comes with task labels 0 and 2: leave task_labels out",
        ),
        (lambda buffer: buffer.get_data(2, mask_task_out=1), "mask_task_out without task labels: give cpt"),
        (lambda buffer: buffer.get_data(-1), "size -1: give a whole number from 0"),
        (lambda _: MammothBuffer(200), r"memory 200: give a ClassMemory, such as ClassMemory\(200\)"),
    ],
)
def test_what_it_cannot_do_is_refused_with_the_remedy(call, words):
    buffer = ours(6)
    fill(buffer, 0, 1)
    with pytest.raises(ValueError, match=words) as error:
        call(buffer)
    message(error)
