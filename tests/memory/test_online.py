"""A memory that is shown mini-batches: within its budget after each, and usable."""

from dataclasses import replace

import pytest
import torch
from memories import message, random_images

from cl_condense.data.imageset import ImageSet
from cl_condense.data.parts import part_of
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.memory.online import OnlineMemory
from cl_condense.memory.replay import ReplayMemory
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet

QUICK = replace(build("dm"), iterations=1, real_per_class=4)
NETWORK = MakeConvNet((1, 8, 8), width=2, depth=1)
CLASSES = 5
LABEL, IMAGE = 16, 64 + 4
"""Bytes of a class's labels, and of an image of 8 x 8 in uint8."""


def refused(make):
    with pytest.raises(ValueError, match=":") as error:
        make()
    return message(error)


def online(budget=None, method=QUICK, staging=0.25, enough=30, **more):
    if method == "herding":
        method = build("herding", iterations=1)
    memory = ClassMemory(budget, method=method, network=NETWORK, device="cpu", **more)
    return OnlineMemory(memory, staging=staging, enough=enough)


def blurred(images=240, batch=10, seed=0):
    """Mini-batches of five classes, of which each fades into the next; images have their class in a corner."""
    draw = torch.Generator().manual_seed(seed)
    at = torch.arange(images) / images * CLASSES + torch.randn(images, generator=draw) * 0.7
    labels = at.long().clamp(0, CLASSES - 1)
    x = torch.randn(images, 1, 8, 8, generator=draw)
    x[:, 0, 0, 0] = labels + 10.0
    return list(zip(x.split(batch), labels.split(batch), strict=True))


@pytest.mark.parametrize(
    "method", [QUICK, "random", "reservoir", "herding"], ids=["dm", "random", "reservoir", "herding"]
)
@pytest.mark.parametrize("budget", [{"budget": 12}, {"max_bytes": 2400}, {"max_bytes": 1000, "staging": 0.4}])
@pytest.mark.parametrize("boundaries", [True, False])
def test_the_budget_holds_after_every_mini_batch_and_there_is_something_to_train_on(method, budget, boundaries):
    memory, replay, shown = online(method=method, **budget), None, set()
    for number, (x, labels) in enumerate(blurred()):
        memory.observe(x, labels)
        if boundaries and number % 6 == 5:
            memory.condense()
        if "max_bytes" in budget:
            assert memory.nbytes <= budget["max_bytes"]
        else:
            assert len(memory.condensed) <= budget["budget"]
            assert memory.nbytes <= budget["budget"] * IMAGE + CLASSES * LABEL
        replay = replay or ReplayMemory(memory)
        images, own = replay.sample(1000)
        assert len(images) == len(memory.condensed)
        shown |= set(labels.tolist())
        assert set(own.tolist()) <= shown
        if method != "reservoir":
            assert set(own.tolist()) == shown
    assert sum(memory.seen.values()) == 240
    if method in ("random", "reservoir"):
        assert memory.nbytes > 0.7 * budget.get("max_bytes", budget.get("budget", 0) * IMAGE)


def test_what_waits_is_real_and_what_has_shown_enough_is_condensed():
    memory = online(20, enough=8, staging=0.3)
    first, second = (torch.full((n, 1, 8, 8), value) for n, value in ((7, 1.0), (1, 2.0)))
    memory.observe(first, torch.zeros(7, dtype=torch.int64))
    assert memory.memory.condensed is None
    assert memory.condensed.counts == (7,)
    assert memory.decode()[0].unique().tolist() == [1.0]
    memory.observe(second, torch.zeros(1, dtype=torch.int64))
    assert memory.memory.condensed.counts == memory.condensed.counts == (8,)
    assert memory.seen == memory.memory.seen == {0: 8}
    memory.observe(first.repeat(5, 1, 1, 1)[:30], torch.arange(30) // 6)
    assert memory.memory.condensed.counts == (8,), "six of each class are not enough"
    assert len(memory.condensed) == 20, "and the others wait where there is room"
    memory.condense()
    assert sum(memory.memory.condensed.counts) == 13, "of 14, which are 20 without 0.3: one class had 2 for 3"


def test_waiting_images_are_a_fair_sample_of_those_shown():
    """A reservoir: of 40 images shown 5 at a time each is among the 8 that wait as often."""
    found = torch.zeros(40)
    for seed in range(60):
        memory = online(8, enough=1000, seed=seed)
        for part in torch.arange(40.0).split(5):
            memory.observe(
                part.view(-1, 1, 1, 1).expand(-1, 1, 8, 8).clone(), torch.zeros(5, dtype=torch.int64)
            )
        found[memory.decode()[0][:, 0, 0, 0].round().long()] += 1
    assert found.sum() == 60 * 8
    assert found.min() >= 2, "12 in the mean, 3 its deviation"
    assert found.max() <= 25


@pytest.mark.parametrize("cut", [2, 9, 17])
@pytest.mark.parametrize(
    "method", [QUICK, "random", "reservoir", "herding"], ids=lambda m: getattr(m, "name", m)
)
def test_saved_in_the_midst_of_a_stream_it_goes_on_as_it_would_have(tmp_path, method, cut):
    whole, halves = online(20, method=method), online(20, method=method)
    for number, (x, labels) in enumerate(blurred()):
        labels = (3 * labels + 4) % CLASSES  # noqa: PLW2901 - classes that do not come in order of their numbers
        whole.observe(x, labels)
        halves.observe(x, labels)
        if number == cut:
            halves.save(tmp_path / "memory.safetensors", note="kept")
            halves = online(20, method=method)
            assert halves.load(tmp_path / "memory.safetensors") == {"note": "kept"}
    assert whole.condensed.counts == halves.condensed.counts
    assert whole.condensed.pixels.equal(halves.condensed.pixels)
    assert whole.seen == halves.seen


def test_what_waits_is_for_an_online_memory(tmp_path):
    memory = online(20)
    memory.observe(*blurred()[0])
    memory.save(tmp_path / "memory.safetensors")
    assert "images that wait to be condensed: load it into an OnlineMemory" in refused(
        lambda: ClassMemory(20).load(tmp_path / "memory.safetensors")
    )


@pytest.mark.parametrize(
    "method", [QUICK, "random", "reservoir", "herding"], ids=lambda m: getattr(m, "name", m)
)
@pytest.mark.parametrize("batches", [2, 12, 24])
def test_a_smaller_memory_keeps_its_budget(tmp_path, method, batches):
    memory = online(40, method=method)
    for x, labels in blurred()[:batches]:
        memory.observe(x, labels)
    memory.save(tmp_path / "memory.safetensors")
    loaded = online(10, method=method)
    loaded.load(tmp_path / "memory.safetensors")
    memory.resize(10)
    for each in (memory, loaded):
        assert len(each.condensed) <= 10
        assert len(each.decode()[0]) == len(each.condensed)
        each.observe(*blurred()[0])
        assert len(each.condensed) <= 10


def test_a_memory_that_is_resized_before_the_first_images_keeps_its_budget():
    memory = online(40)
    memory.resize(10)
    for x, labels in blurred()[:8]:
        memory.observe(x, labels)
        assert len(memory.condensed) <= 10


def test_a_whole_memory_fits_beside_a_share_for_what_waits(tmp_path):
    memory = ClassMemory(20, method=QUICK, network=NETWORK, device="cpu")
    memory.update(ImageSet.of(*random_images(0, 1, n=20)))
    memory.save(tmp_path / "memory.safetensors")
    shared = online(20)
    shared.load(tmp_path / "memory.safetensors")
    shared.observe(*random_images(0, 1, n=20))
    assert len(shared.condensed) <= 20


def test_a_size_without_an_image_of_every_class_is_refused_and_changes_nothing():
    memory = online(40)
    memory.observe(torch.zeros(10, 1, 8, 8), torch.arange(10))
    assert "cannot hold 10 classes" in refused(lambda: memory.resize(5))
    assert memory.budget.max_size == 40
    assert len(memory.condensed) == 10


@pytest.mark.parametrize("method", [QUICK, "herding"], ids=lambda m: getattr(m, "name", m))
def test_classes_without_room_are_refused_before_any_image_is_taken(method):
    memory = online(4, method=method)
    memory.observe(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]))
    assert "a memory of 3 images cannot hold 4 classes" in refused(
        lambda: memory.observe(torch.zeros(4, 1, 8, 8), torch.arange(4))
    )
    assert memory.seen == {0: 1, 1: 1}


def test_a_share_in_which_no_image_waits_is_refused_at_the_first():
    said = refused(
        lambda: online(max_bytes=800, staging=0.05).observe(torch.zeros(1, 1, 8, 8), torch.tensor([0]))
    )
    assert f"a share of 0.05 of 800 bytes holds no image that waits: one takes {LABEL + IMAGE}" in said


def test_domains_have_shares_of_their_own():
    memory = online(20, method="random")
    for domain in (0, 1):
        memory.observe(random_images(0, 1, n=10)[0], torch.arange(20) // 10, domain=domain)
    assert dict(zip(memory.condensed.class_ids, memory.condensed.counts, strict=True)) == {
        part_of(y, d): 5 for y in (0, 1) for d in (0, 1)
    }
    assert memory.decode()[1].unique().tolist() == [0, 1]


def test_a_reservoir_is_as_likely_to_hold_any_image_whatever_its_class():
    held = torch.zeros(2)
    for seed in range(20):
        memory = online(10, method="reservoir", seed=seed)
        for part in torch.randn(40, 1, 8, 8).split(10):
            memory.observe(part, torch.tensor([0] * 8 + [1] * 2))
        held += torch.tensor([(memory.decode()[1] == y).sum() for y in (0, 1)])
    assert held.sum() == 200
    assert 136 <= held[0] <= 184, "160 in the mean; 6 its deviation"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: online(per_class=2),
            "per_class=2 with a share for images that wait: give max_size or max_bytes",
        ),
        (lambda: online(1), "max_size=1: give at least 2, one of them for images that wait"),
        (lambda: online(20, staging=1), "staging 1: give a finite number above 0 and below 1"),
        (lambda: online(20, enough=0), "enough 0: give a whole number from 1"),
        (
            lambda: online(20, "idm"),
            "idm stores several images in one, which waiting images are not: add +pixels",
        ),
        (lambda: OnlineMemory(20), "memory 20: give a ClassMemory, such as ClassMemory(200)"),
        (
            lambda: online(20).observe(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.tensor([0])),
            "images of type torch.uint8: give floats, normalised as the network takes them",
        ),
        (
            lambda: online(20).decode(),
            "the memory is empty: there is nothing to train on before the first images",
        ),
        (lambda: online(20).save("x"), "the memory is empty: nothing to save before the first images"),
    ],
)
def test_what_makes_no_sense_gets_a_line(make, said):
    assert said in refused(make)


def test_images_of_another_size_are_refused_and_change_nothing():
    memory = online(20)
    memory.observe(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]))
    before = memory.condensed.pixels
    said = refused(lambda: memory.observe(torch.zeros(1, 1, 16, 16), torch.tensor([0])))
    assert "images of shape (1, 16, 16) beside (1, 8, 8): bring all images of the stream to one size" in said
    assert memory.condensed.pixels.equal(before)


def test_more_classes_than_the_budget_holds_are_refused():
    memory = online(4, method="random")
    memory.observe(torch.zeros(4, 1, 8, 8), torch.arange(4))
    assert "a memory of 4 images cannot hold 5 classes" in refused(
        lambda: memory.observe(torch.zeros(1, 1, 8, 8), torch.tensor([4]))
    )
