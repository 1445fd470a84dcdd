"""Draws from sets of any classes, counts and weights."""

from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from cl_condense.data.imageset import ImageSet

SEEDS = st.integers(0, 2**32 - 1)
WEIGHTS = st.sampled_from([0.0, 1.0, 1.0, 1.5, 7.0, 300.0])


@st.composite
def sets(draw, weighted=None):
    """Sets of one pixel an image, which is the image's number."""
    ids = draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=5, unique=True))
    counts = draw(st.lists(st.integers(1, 12), min_size=len(ids), max_size=len(ids)))
    labels = torch.tensor(ids).repeat_interleave(torch.tensor(counts))
    weights = None
    if draw(st.booleans()) if weighted is None else weighted:
        # In every class an image that counts.
        own = [[1.0, *draw(st.lists(WEIGHTS, min_size=n - 1, max_size=n - 1))] for n in counts]
        weights = torch.tensor([weight for row in own for weight in row])
    pixels = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    return ImageSet.of(pixels, labels, weights=weights, normalisation=([0.5], [0.5]))


def parts(real, index):
    """How often each image of each class was drawn, with the class's images."""
    starts = [sum(real.counts[:i]) for i in range(len(real.counts))]
    for row, start, n in zip(index.tolist(), starts, real.counts, strict=True):
        drawn = Counter(row)
        assert set(drawn) <= set(range(start, start + n)), "of its own class"
        yield [drawn[i] for i in range(start, start + n)], start


@given(sets(weighted=False), st.integers(1, 30), SEEDS)
def test_without_weights_every_image_of_a_class_comes_as_often_as_any_other_or_once_more(real, m, seed):
    for times, _ in parts(real, real.draw(m, 1, seed)):
        assert sum(times) == m
        assert set(times) <= {m // len(times), -(-m // len(times))}


@given(sets(weighted=True), st.integers(1, 30), SEEDS)
def test_with_weights_every_image_comes_as_often_as_its_share_but_for_rounding(real, m, seed):
    for times, start in parts(real, real.draw(m, 1, seed)):
        own = real.weights[start : start + len(times)].double()
        shares = m * own / own.sum()
        assert sum(times) == m
        assert bool(((torch.tensor(times) - shares).abs() < 1 + 1e-6).all())
        for weight in own.unique():
            alike = own == weight
            together = int(torch.tensor(times)[alike].sum())
            assert abs(together - float(shares[alike].sum())) < 1 + 1e-6, "images of one weight together"


@given(sets(), st.data(), SEEDS)
def test_distinct_images_are_distinct_and_count_something(real, data, seed):
    held = torch.ones(len(real)) if real.weights is None else real.weights
    most = min(int((part > 0).sum()) for part in held.split(real.counts))
    m = data.draw(st.integers(1, most))
    for times, start in parts(real, real.draw(m, 1, seed, distinct=True)):
        assert max(times) == 1
        assert all(held[start + i] > 0 for i, n in enumerate(times) if n)


@given(sets(), st.integers(1, 20), SEEDS, st.booleans())
def test_the_draw_of_a_class_does_not_depend_on_the_other_classes(real, m, seed, distinct):
    together = real.images[real.draw(m, 3, seed, distinct=distinct)]
    for i, c in enumerate(real.class_ids):
        alone = real.only([c])
        assert torch.equal(together[i], alone.images[alone.draw(m, 3, seed, distinct=distinct)[0]])


@given(sets(), st.integers(1, 40), SEEDS)
def test_a_sample_has_of_every_class_its_share_to_less_than_two(real, m, seed):
    index, targets = real.sample(m, 2, seed)
    assert torch.equal(targets, real.targets[index])
    held = torch.ones(len(real)) if real.weights is None else real.weights
    for i, own in enumerate(held.double().split(real.counts)):
        assert abs(int((targets == i).sum()) - m * float(own.sum() / held.double().sum())) < 2
    assert bool((held[index] > 0).all())


@given(sets(), st.integers(1, 15))
def test_a_filled_set_goes_through_its_classes_again(real, m):
    filled = real.filled(m)
    assert filled.counts == tuple(max(n, m) for n in real.counts)
    for c in real.class_ids:
        own, more = (each.only([c]).images for each in (real, filled))
        assert torch.equal(more, own[torch.arange(len(more)) % len(own)])


@given(sets(), st.integers(1, 30), SEEDS, st.booleans())
def test_draws_of_several_batches_at_once_are_those_of_each_alone(real, m, seed, backwards):
    rows = torch.arange(len(real.counts))
    rows = rows.flip(0) if backwards else rows
    numbers = torch.tensor([seed, 3, 0])
    together = real.draw(m, 1, numbers.repeat_interleave(len(rows)), rows=rows.repeat(3))
    alone = [real.draw(m, 1, int(number), rows=rows) for number in numbers]
    assert torch.equal(together, torch.cat(alone))
    assert torch.equal(alone[0], real.draw(m, 1, seed)[rows])
