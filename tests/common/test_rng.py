import itertools
import random

import numpy as np
import pytest
import torch

from cl_condense.common.rng import (
    Purpose,
    bits,
    centred,
    fold,
    isolated,
    normal,
    normals,
    permutation,
    uniform,
    unit,
)

N = 100_000
MANY = torch.arange(N)
STREAMS = {
    "last key": lambda: (uniform(7, 1, MANY), uniform(7, 2, MANY)),
    "first key": lambda: (uniform(0, 1, MANY), uniform(1, 1, MANY)),
    "order of keys": lambda: (uniform(MANY, 1), uniform(1, MANY)),
    "far counters": lambda: (uniform(7, MANY), uniform(7, MANY + (1 << 32))),
    "signs": lambda: (uniform(7, MANY + 1), uniform(7, -MANY - 1)),
    "a key more": lambda: (uniform(7, MANY), uniform(7, MANY, 0)),
    "purposes": lambda: (uniform(Purpose.START, 0, MANY), uniform(Purpose.AUGMENT, 0, MANY)),
}


def test_the_generator_is_splitmix64():
    # First outputs for the seed 1234567, as other implementations give them.
    known = (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431)
    step = 0x9E3779B97F4A7C15
    assert [int(bits(1234567 + i * step)) % (1 << 64) for i in range(4)] == list(known)


def test_numbers_are_those_of_the_records_that_were_published():
    # A change here changes every result: raise the version and say so in CHANGELOG.md.
    table = [-4841935175369521001, -4853751240852647795, -1419658703116693069, 969401169202165225]
    assert bits(3, torch.tensor([0, 1, -1, 2**40])).tolist() == table
    assert [fold(0), fold(1, 2, 3), fold(-1)] == [
        8147104208329303767,
        3851293329796251419,
        8245168133484221968,
    ]
    first = [0.4218853712081909, 0.4780232310295105, 0.7361686825752258, 0.9824050664901733]
    assert uniform(Purpose.REAL_BATCH, 7, torch.arange(4)).tolist() == first
    assert normal(5, torch.arange(3)).tolist() == pytest.approx([1.0223239, 1.2558463, 0.8549923], rel=1e-5)
    assert permutation(8, Purpose.SHUFFLE, 0).tolist() == [2, 0, 7, 6, 1, 5, 3, 4]
    names = ["REAL_BATCH", "START", "AUGMENT", "NETWORK", "SHUFFLE", "SELECT", "RECONDENSE"]
    assert [Purpose[name].value for name in names] == list(range(1, 8))


@pytest.mark.parametrize("rest", [(MANY,), (MANY, 1), (5, MANY), (5,)], ids=str)
@pytest.mark.parametrize("first", [(7,), (7, torch.arange(3)[:, None]), (torch.tensor(-4), 2)], ids=str)
def test_bits_go_on_from_those_of_the_first_keys(first, rest):
    whole, start = (*first, *rest), bits(*first)
    assert torch.equal(bits(*rest, start=start), bits(*whole))
    assert torch.equal(unit(bits(*whole)), uniform(*whole))
    for found in (centred(*whole), centred(*rest, start=start)):
        assert torch.equal(found.double(), 2.0**24 * uniform(*whole).double() - 2**23)


def test_uniform_fills_the_unit_interval_evenly():
    u = uniform(11, MANY).double()
    assert uniform(11, MANY).dtype == torch.float32
    assert 0 <= float(u.min()) < 1e-4
    assert 1 - 1e-4 < float(u.max()) < 1
    for power in (1, 2, 3, 4):
        assert float((u**power).mean()) == pytest.approx(1 / (power + 1), abs=5 / N**0.5)
    cells = torch.histc(u, 100, 0, 1)
    assert float(((cells - N / 100) ** 2 / (N / 100)).sum()) < 99 + 5 * (2 * 99) ** 0.5
    assert bool((u * 2**24 == (u * 2**24).round()).all())


@pytest.mark.parametrize("drawn", [lambda: normal(12, MANY), lambda: normals(N, 12)], ids=["one", "many"])
def test_normal_has_the_moments_of_a_standard_normal(drawn):
    z = drawn().double()
    assert len(z) == N
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert float((z**power).mean()) == pytest.approx(moment, abs=10 * power / N**0.5)
    assert float((z.abs() < 1).double().mean()) == pytest.approx(0.6827, abs=5 / N**0.5)
    assert abs(float(torch.corrcoef(torch.stack([z[1:], z[:-1]]))[0, 1])) < 5 / N**0.5


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_many_normal_numbers_depend_on_keys_and_number_alone_and_come_in_independent_pairs(n):
    z = normals(n, 3, 4)
    assert torch.equal(z, normals(n, 3, 4))
    assert (z.shape, z.dtype) == ((n,), torch.float32)
    assert not torch.equal(z, normals(n, 3, 5))
    a, b = normals(2 * N, 3, 4).double().split(N)
    for x, y in ((a, b), (a.square(), b.square()), (a.abs(), b)):
        assert abs(float(torch.corrcoef(torch.stack([x, y]))[0, 1])) < 5 / N**0.5


@pytest.mark.parametrize("name", STREAMS)
def test_neighbouring_keys_give_independent_numbers(name):
    a, b = STREAMS[name]()
    for x, y in ((a, b), (a[1:], b[:-1]), (a[1:], a[:-1])):
        assert abs(float(torch.corrcoef(torch.stack([x, y]))[0, 1])) < 5 / N**0.5
    assert float((a == b).double().mean()) < 1e-3


@pytest.mark.parametrize("bit", [0, 1, 17, 40, 62])
def test_one_bit_of_a_key_changes_half_the_bits(bit):
    keys = torch.arange(2000)
    changed = bits(5, keys) ^ bits(5, keys ^ (1 << bit))
    share = torch.stack([(changed >> i) & 1 for i in range(64)]).double().mean(1)
    assert float((share - 0.5).abs().max()) < 5 * 0.5 / 2000**0.5


KEYS = [(3, 1, 4), (-1, 0, -(2**40)), (2**63 - 1, -(2**63), 9)]


@pytest.mark.parametrize("keys", KEYS)
def test_ints_and_tensors_give_the_same_bits_in_any_mixture(keys):
    expected = int(bits(*keys))
    forms = (int, torch.tensor, lambda key: torch.tensor([key]), lambda key: torch.tensor([[key]]))
    for mixture in itertools.product(forms, repeat=3):
        got = bits(*(form(key) for form, key in zip(mixture, keys, strict=True)))
        assert got.dtype == torch.int64
        assert got.flatten().tolist() == [expected]
    assert fold(*keys) == (expected % (1 << 64)) >> 1
    assert float(uniform(*keys)) == (expected % (1 << 64) >> 40) / 2**24


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("others", [int, torch.tensor, lambda key: torch.tensor([key, key])])
def test_tensors_of_shorter_integers_give_the_same_bits(dtype, place, others):
    keys = [others(key) for key in (3, 1, 4)]
    keys[place] = torch.tensor([(3, 1, 4)[place]] * 2, dtype=dtype)
    got = bits(*keys)
    assert got.dtype == torch.int64
    assert got.tolist() == [int(bits(3, 1, 4))] * 2


def test_keys_broadcast():
    rows, columns = torch.tensor([5, -2, 5])[:, None], torch.tensor([0, 9])
    got = bits(1, rows, 2, columns)
    assert got.tolist() == [[int(bits(1, r, 2, c)) for c in (0, 9)] for r in (5, -2, 5)]
    assert bits(1, columns, 2, rows).shape == (3, 2)
    assert not torch.equal(bits(1, columns, 2, rows), got)


def test_keys_beyond_64_bits_wrap_around():
    for key in (2**64 + 5, 5 - 2**64, 2**70 + 5):
        assert int(bits(1, key)) == int(bits(1, 5))
        assert bits(torch.tensor([1]), key).tolist() == [int(bits(1, 5))]
        assert fold(key) == fold(5)


def test_fold_is_never_negative_and_tells_keys_apart():
    seeds = {fold(a, b) for a in range(-50, 50) for b in range(-50, 50)}
    assert len(seeds) == 100 * 100
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert sum(seed > 2**62 for seed in seeds) == pytest.approx(5000, abs=250)


def test_permutations_are_permutations_and_differ_by_row_and_key():
    rows = permutation(50, 1, torch.arange(20)[:, None])
    assert rows.shape == (20, 50)
    assert bool((rows.sort(1).values == torch.arange(50)).all())
    assert len({tuple(row) for row in rows.tolist()}) == 20
    assert torch.equal(rows[3], permutation(50, 1, 3))
    assert not torch.equal(permutation(50, 2, 3), rows[3])
    assert permutation(1, 0).tolist() == [0]


def test_every_order_is_equally_likely():
    orders = permutation(3, 4, torch.arange(6000)[:, None]).tolist()
    for order in itertools.permutations(range(3)):
        assert orders.count(list(order)) == pytest.approx(1000, abs=5 * 30)


def test_global_generators_are_left_alone():
    def state():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()

    before = state()
    uniform(1, MANY[:9])
    normal(1, 2)
    permutation(9, 1)
    fold(3)
    assert state() == before


def test_isolated_seeds_the_generators_inside_and_leaves_those_of_gpus_alone(monkeypatch):
    def seeded(seed):
        raise AssertionError("a GPU that nobody asked for is seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded)
    before, drawn = torch.get_rng_state(), []
    for keys in ((1, 2), (1, 2), (1, 3)):
        with isolated(*keys, device=torch.device("cpu")):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.rand(4, generator=torch.Generator().manual_seed(fold(1, 2))), drawn[0])
    assert torch.equal(torch.get_rng_state(), before)
