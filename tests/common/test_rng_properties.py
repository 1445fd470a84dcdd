"""Keyed random numbers, whatever the keys."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from cl_condense.common.rng import bits, fold, permutation, subseed, uniform

INT64 = st.integers(-(2**63), 2**63 - 1)
KEYS = st.lists(INT64, min_size=1, max_size=4)


@given(KEYS, st.data())
def test_each_number_of_a_tensor_is_that_of_its_own_keys(keys, data):
    at = data.draw(st.integers(0, len(keys) - 1))
    column = data.draw(st.lists(INT64, min_size=1, max_size=5))
    mixed = [*keys[:at], torch.tensor(column), *keys[at + 1 :]]
    assert bits(*mixed).tolist() == [int(bits(*keys[:at], key, *keys[at + 1 :])) for key in column]


@given(KEYS)
def test_seeds_and_numbers_are_in_their_ranges_and_of_the_same_bits(keys):
    folded, drawn = fold(*keys), float(uniform(*keys))
    assert 0 <= folded < 2**63
    assert folded == (int(bits(*keys)) % 2**64) >> 1
    assert 0 <= subseed(*keys) < 2**32
    assert 0 <= drawn < 1
    assert (drawn * 2**24).is_integer()


@given(KEYS, st.integers(0, 3), st.integers(-2, 2).filter(bool))
def test_keys_that_differ_by_whole_turns_are_the_same(keys, at, turns):
    at %= len(keys)
    turned = [*keys[:at], keys[at] + turns * 2**64, *keys[at + 1 :]]
    assert int(bits(*turned)) == int(bits(*keys))


@given(st.integers(1, 60), KEYS, st.lists(INT64, min_size=1, max_size=4, unique=True))
def test_a_row_of_permutations_is_one_and_does_not_depend_on_the_other_rows(n, keys, rows):
    every = permutation(n, *keys, torch.tensor(rows)[:, None])
    assert every.sort(1).values.tolist() == [list(range(n))] * len(rows)
    for row, key in zip(every, rows, strict=True):
        assert torch.equal(row, permutation(n, *keys, key))
