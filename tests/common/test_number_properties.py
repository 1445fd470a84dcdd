"""The rule for numbers, whatever is given."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from cl_condense.common.numbers import SEED_MAX, finite, seed, whole

INT32 = st.integers(-(2**31), 2**31 - 1)
KINDS = st.sampled_from([int, np.int32, np.int64, torch.tensor, lambda value: torch.tensor([value])])
TEXTS = st.text(max_size=80) | st.binary(max_size=80)
NO_NUMBER = st.none() | st.booleans() | TEXTS | st.lists(st.integers(), max_size=3) | st.complex_numbers()


def refused(take, *words):
    with pytest.raises(ValueError, match="number") as error:
        take()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200
    assert all(word in str(error.value) for word in words)


@given(INT32, INT32, st.none() | INT32, KINDS)
def test_a_whole_number_is_taken_exactly_where_it_lies_in_the_range(value, low, high, kind):
    if low <= value and (high is None or value <= high):
        found = whole("n", kind(value), low, high)
        assert (type(found), found) == (int, value)
    else:
        refused(lambda: whole("n", kind(value), low, high), "n ", str(value), f"from {low}", str(high or ""))


@given(st.floats() | NO_NUMBER)
@example(2.0)
@example("3")
def test_what_is_no_whole_number_is_refused(value):
    refused(lambda: whole("images", value, -(10**9)), "images")


@given(st.floats(), st.floats(allow_nan=False), st.floats(allow_nan=False), st.booleans())
@example(0.0, 0.0, 0.0, True)
def test_a_number_is_taken_exactly_where_it_is_finite_and_lies_within_the_bounds(value, low, high, open_):
    bounds = {"above": low, "below": high} if open_ else {"at_least": low, "at_most": high}
    inside = low < value < high if open_ else low <= value <= high
    if inside and np.isfinite(value):
        assert finite("rate", np.float64(value), **bounds) == value
    else:
        refused(lambda: finite("rate", value, **bounds), "rate")


@given(NO_NUMBER)
def test_what_is_no_number_is_refused(value):
    refused(lambda: finite("rate", value), "rate")


@given(st.integers())
@example(SEED_MAX)
@example(SEED_MAX + 1)
@example(-1)
def test_a_seed_is_what_numpy_takes(value):
    if 0 <= value <= SEED_MAX:
        np.random.RandomState(seed(value))
    else:
        refused(lambda: seed(value), "seed")
