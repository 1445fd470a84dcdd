"""A memory in a loop of plain PyTorch: what is sampled, and what a DataLoader gives."""

from collections import Counter

import pytest
import torch
from memories import class_memory, message, noise
from torch.utils.data import DataLoader

from cl_condense.memory.replay import ReplayMemory


def replay(*classes, **options):
    memory = class_memory(6)
    if classes:
        memory.update(noise(*classes))
    return ReplayMemory(memory, **options)


def test_it_gives_the_images_of_the_memory_as_it_is_at_any_time():
    view = replay(4, 9)
    for _ in range(2):
        images, labels = view.memory.condensed.decode()
        assert len(view) == 6
        assert torch.equal(torch.stack([view[i][0] for i in range(6)]), images)
        assert [view[i][1] for i in range(6)] == labels.tolist()
        batches = list(DataLoader(view, batch_size=4))
        assert torch.equal(torch.cat([x for x, _ in batches]), images)
        assert torch.equal(torch.cat([y for _, y in batches]), labels)
        view.memory.update(noise(2))


def test_a_sample_has_different_images_with_their_labels_and_each_comes_as_often():
    view = replay(4, 9)
    images, labels = view.memory.condensed.decode()
    drawn = Counter()
    for _ in range(300):
        x, y = view.sample(2)
        places = [(images == one).flatten(1).all(1).nonzero().item() for one in x]
        assert len(set(places)) == 2
        assert labels[places].tolist() == y.tolist()
        drawn.update(places)
    assert set(drawn) == set(range(6))
    assert max(drawn.values()) - min(drawn.values()) < 60
    assert len(view.sample(50)[0]) == 6, "all of them where there are fewer"


def test_one_seed_gives_the_same_samples_and_leaves_the_global_generator():
    before = torch.get_rng_state()
    views = [replay(4, 9, seed=seed) for seed in (1, 1, 2)]
    drawn = [torch.stack([view.sample(3)[0] for _ in range(4)]) for view in views]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_augmentation_is_of_each_image():
    plain, view = replay(4), replay(4, transform=lambda image: image + image.mean())
    assert torch.equal(view[2][0], plain[2][0] + plain[2][0].mean())
    x, y = plain.sample(6)
    assert torch.allclose(view.sample(6)[0], x + x.mean((1, 2, 3), keepdim=True))
    assert y.tolist() == [4] * 6


def test_augmentation_in_place_leaves_the_memory():
    plain, view = replay(4), replay(4, transform=lambda image: image.zero_())
    for _ in range(2):
        assert not view[1][0].any()
        assert not view.sample(6)[0].any()
    view.transform = None
    view[1][0].zero_()
    assert all(torch.equal(view[i][0], plain[i][0]) for i in range(6))


def test_an_empty_memory_is_there_and_says_when_to_begin():
    view = replay()
    assert view
    assert len(view) == 0
    for ask in (lambda: view.sample(2), lambda: view[0]):
        with pytest.raises(ValueError, match=r"begin to replay when len\(memory\) is above 0") as error:
            ask()
        message(error)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((5,), "memory 5: give a ClassMemory"),
        ((class_memory(5), 5), "transform 5: give a function"),
        ((class_memory(5), None, -1), "seed -1"),
    ],
)
def test_what_is_no_memory_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        ReplayMemory(*given)
