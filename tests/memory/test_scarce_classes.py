"""Classes with few images, and classes that return: how many a memory holds of them, and which."""

import pytest
import torch
from memories import METHODS, class_memory, counts, mean_distance, noise

from cl_condense.data.imageset import ImageSet


@pytest.mark.parametrize("method", METHODS)
def test_a_class_never_gets_more_images_than_it_has_shown(method):
    memory = class_memory(per_class=8, method=method)
    memory.update(noise((0, 3), (1, 20), (2, 1)))
    assert counts(memory.condensed) == {0: 3, 1: 8, 2: 1}
    memory.update(noise((0, 2), (2, 30), seed=1))
    assert counts(memory.condensed) == {0: 5, 1: 8, 2: 8}


def test_a_class_that_returns_with_few_images_after_the_budget_rose():
    memory = class_memory(4)
    memory.update(noise(0, 1, n=50))
    memory.resize(20)
    memory.update(noise((0, 3), 2, seed=1))
    assert {c: counts(memory.condensed)[c] for c in (1, 2)} == {1: 2, 2: 6}
    assert 2 <= counts(memory.condensed)[0] <= 5


@pytest.mark.parametrize(("old", "new"), [(200, 200), (300, 100), (100, 300)])
def test_a_class_that_returns_is_drawn_from_all_that_it_has_shown(old, new):
    share, seeds = 0.0, 40
    for seed in range(seeds):
        memory = class_memory(per_class=20, seed=seed)
        for n, mark in ((old, 1.0), (new, 0.0)):
            images = torch.randn(n, 1, 8, 8)
            images[:, 0, 0, 0] = mark
            memory.update(ImageSet.of(images, [3] * n))
        share += float(memory.condensed.pixels[:, 0, 0, 0].mean()) / seeds
    # A share of 20 images has a standard deviation of 0.11, its mean here one of 0.02.
    assert share == pytest.approx(old / (old + new), abs=0.06)


def test_a_class_that_returns_is_condensed_as_the_union():
    generator = torch.Generator().manual_seed(0)
    pictures = 2 * torch.randn(2, 1, 8, 8, generator=generator)
    parts = [picture + torch.randn(80, 1, 8, 8, generator=generator) for picture in pictures]
    memory = class_memory(per_class=10, method="dm", iterations=60)
    for part in parts:
        memory.update(ImageSet.of(part, [3] * 80))
    apart = [mean_distance(memory.condensed.pixels, x) for x in (torch.cat(parts), *parts)]
    assert apart[0] < 0.3 * min(apart[1:])


def test_no_image_is_stored_twice_where_classes_return():
    memory = class_memory(per_class=20, method="dm")
    memory.update(noise(0, 1, n=100))
    memory.update(noise(0, 2, n=100, seed=1))
    assert [len(memory.condensed.only([c]).pixels.unique(dim=0)) for c in (0, 1, 2)] == [20, 20, 20]
