"""Quotas over random streams: shared evenly, never above what a class has shown or what the budget holds."""

import random

import pytest

from cl_condense.condensation.codecs import CODECS, LABEL_BYTES, image_bytes
from cl_condense.memory.budgets import Budget


def streams(number):
    """Classes in order of arrival with the images seen of each."""
    for seed in range(number):
        rng = random.Random(seed)
        ids = rng.sample(range(1000), rng.randint(1, 30))
        yield rng, {c: rng.choice([1, 2, 5, 40, 5000]) for c in ids}


def test_a_shared_budget_is_even_and_leaves_nothing_that_a_class_could_take():
    for rng, seen in streams(200):
        size = rng.randint(len(seen), 40 * len(seen))
        quotas = Budget(size).quotas(seen, "uint8", (1, 8, 8))
        assert list(quotas) == list(seen)
        assert sum(quotas.values()) <= size
        share, rest = divmod(size, len(seen))
        for place, (c, n) in enumerate(seen.items()):
            assert 1 <= quotas[c] <= n
            assert quotas[c] == min(n, share + (place < rest)), "the first of the stream get what is left over"


@pytest.mark.parametrize("codec", CODECS)
def test_a_budget_in_bytes_holds_images_and_labels(codec):
    for rng, seen in streams(60):
        shape = rng.choice([(1, 8, 8), (3, 32, 32), (3, 64, 48)])
        each = image_bytes(codec, shape)
        size = len(seen) * (each + LABEL_BYTES) + rng.randint(0, 30 * each)
        quotas = Budget(max_bytes=size).quotas(dict.fromkeys(seen, 10**6), codec, shape)
        used = sum(quotas.values()) * each + len(seen) * LABEL_BYTES
        assert size - each < used <= size
        assert max(quotas.values()) - min(quotas.values()) <= 1


@pytest.mark.parametrize("codec", CODECS)
def test_a_byte_less_than_an_image_for_every_class_is_too_few(codec):
    least = 7 * (image_bytes(codec, (3, 8, 8)) + LABEL_BYTES)
    seen = dict.fromkeys(range(7), 100)
    assert set(Budget(max_bytes=least).quotas(seen, codec, (3, 8, 8)).values()) == {1}
    with pytest.raises(
        ValueError, match=rf"{least - 1} bytes \(6 images\) cannot hold 7 classes: raise max_bytes"
    ):
        Budget(max_bytes=least - 1).quotas(seen, codec, (3, 8, 8))


@pytest.mark.parametrize("kind", ["max_size", "max_bytes"])
def test_a_budget_for_a_stream_s_classes_gives_each_its_part_from_the_start(kind):
    each = image_bytes("uint8", (1, 8, 8)) if kind == "max_bytes" else 1
    labels = LABEL_BYTES if kind == "max_bytes" else 0
    budget = Budget(**{kind: 10 * (7 * each + labels) + 9 * each}, total_num_classes=10)
    for number in (1, 3, 10):
        assert set(budget.quotas(dict.fromkeys(range(number), 50), "uint8", (1, 8, 8)).values()) == {7}
    assert budget.quotas({4: 2}, "uint8", (1, 8, 8)) == {4: 2}
    with pytest.raises(
        ValueError, match="shows 11 classes, the memory is shared by total_num_classes=10: give"
    ):
        budget.quotas(dict.fromkeys(range(11), 50), "uint8", (1, 8, 8))


def test_too_little_for_the_whole_stream_is_said_at_its_first_class():
    with pytest.raises(ValueError, match="9 images cannot hold 10 classes: raise max_size"):
        Budget(9, total_num_classes=10).quotas({0: 5}, "uint8", (1, 8, 8))


def test_another_size_keeps_the_number_of_classes():
    assert Budget(20, total_num_classes=10).resized(30) == Budget(30, total_num_classes=10)


def test_a_budget_for_each_class_ignores_the_others():
    for rng, seen in streams(60):
        each = rng.randint(1, 60)
        assert Budget(per_class=each).quotas(seen, "uint8", (1, 8, 8)) == {
            c: min(each, n) for c, n in seen.items()
        }


def test_no_classes_have_no_quotas():
    assert Budget(3).quotas({}, "uint8", (1, 8, 8)) == {}


@pytest.mark.parametrize("classes", [0, -1, 1.5, True, "10", 10**7])
def test_the_classes_of_a_stream_are_a_number(classes):
    with pytest.raises(ValueError, match=r"total_num_classes .*: give a whole number from 1 to 1000000"):
        Budget(20, total_num_classes=classes)


def test_a_budget_for_each_class_shares_nothing():
    with pytest.raises(ValueError, match="total_num_classes=10 beside per_class=2"):
        Budget(per_class=2, total_num_classes=10)


@pytest.mark.parametrize("given", [{}, {"max_size": 3, "max_bytes": 3}, {"max_bytes": 3, "per_class": 3}])
def test_one_budget_is_given(given):
    with pytest.raises(ValueError, match="give one budget"):
        Budget(**given)
