"""Quotas of any stream and budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cl_condense.condensation.codecs import CODECS, LABEL_BYTES, image_bytes
from cl_condense.memory.budgets import Budget

SHAPE = (3, 8, 8)
STREAMS = st.dictionaries(st.integers(0, 2**40), st.integers(1, 5000), min_size=1, max_size=30)
NAMES = st.sampled_from(sorted(CODECS))


@given(STREAMS, st.integers(1, 2000), NAMES)
def test_images_are_shared_evenly_and_a_class_keeps_at_most_what_it_has_shown(seen, size, name):
    if size < len(seen):
        with pytest.raises(ValueError, match=f"{size} images cannot hold {len(seen)} classes"):
            Budget(size).quotas(seen, name, SHAPE)
        return
    quotas = Budget(size).quotas(seen, name, SHAPE)
    assert list(quotas) == list(seen)
    assert sum(quotas.values()) <= size
    share = size // len(seen)
    assert all(min(n, share) <= quotas[c] <= min(n, share + 1) for c, n in seen.items())
    # What nobody lacked images for is used up.
    assert sum(quotas.values()) == size or any(quotas[c] == n for c, n in seen.items())


@given(STREAMS, st.integers(0, 3000), st.integers(1, 5000), NAMES)
def test_a_class_more_takes_from_the_others_and_gives_to_none(seen, spare, shown, name):
    budget, new = Budget(len(seen) + 1 + spare), max(seen) + 1
    before = budget.quotas(seen, name, SHAPE)
    after = budget.quotas({**seen, new: shown}, name, SHAPE)
    assert all(after[c] <= before[c] for c in seen)
    assert after[new] >= 1


@given(STREAMS, st.integers(0, 10**6), NAMES)
def test_bytes_are_never_exceeded(seen, spare, name):
    each = image_bytes(name, SHAPE)
    size = len(seen) * (each + LABEL_BYTES) + spare
    quotas = Budget(max_bytes=size).quotas(seen, name, SHAPE)
    assert min(quotas.values()) >= 1
    assert sum(quotas.values()) * each + len(seen) * LABEL_BYTES <= size


@given(STREAMS, st.integers(1, 6000), NAMES)
def test_images_of_each_class_do_not_depend_on_the_other_classes(seen, each, name):
    together = Budget(per_class=each).quotas(seen, name, SHAPE)
    for c, n in seen.items():
        assert Budget(per_class=each).quotas({c: n}, name, SHAPE) == {c: together[c]} == {c: min(each, n)}
