"""benchmarks/growth.py: what ranks take follows from measured pieces, and the page says what is assumed."""

from pathlib import Path

import pytest

from cl_condense.condensation.sources.pool import BlendedPool

HOME = Path(__file__).parents[2]


@pytest.fixture
def growth(load):
    return load("growth")


def pieces(growth, of_a_class=1.0, of_none=0.0):
    rows = []
    for name in growth.METHODS:
        own = {"new": of_a_class, "kept": of_a_class / 4, "bytes": 2**20}
        rest = {"new": of_none, "kept": of_none, "bytes": 0}
        rows.append({"method": name, "of_a_class": own, "of_none": rest})
    rows[-1]["training_an_image"] = 1e-3
    return {"settings": {"weights": 1000}, "rows": rows}


@pytest.mark.parametrize("name", ["dm", "ddm"])
def test_classes_are_shared_out_and_what_is_of_none_is_not(growth, name):
    record = pieces(growth)
    alone, ten, more = (growth.of_ranks(record, name, n) for n in (1, 10, 1000))
    recipe = growth.recipe_of(name)
    new = 0.25 + (0.75 / recipe.reuse) * (0.84 + 0.16 * 256 / 64)  # with kept images, and a share of new ones
    assert alone["hours"] == pytest.approx(1000 * recipe.iterations * new / 3600)
    sent = 4 * 1000 * 50 * 3 * 64 * 64
    assert ten["hours"] * 3600 == pytest.approx(alone["hours"] * 360 + 0.9 * sent / 1e9)
    assert (alone["gb"], ten["gb"]) == (0, pytest.approx(0.9 * sent / 1e9))
    assert (alone["gib"], more["gib"]) == (pytest.approx(1000 / 1024), pytest.approx(1 / 1024))
    fixed = pieces(growth, of_a_class=0.0, of_none=1.0)
    assert growth.of_ranks(fixed, name, 10)["hours"] >= growth.of_ranks(fixed, name, 1)["hours"]


def test_a_pool_is_trained_in_shares_and_a_queue_two_at_a_time(growth):
    record = pieces(growth, of_a_class=0.0)
    pool = growth.recipe_of("dance").source
    assert isinstance(pool, BlendedPool)
    epochs = pool.epochs * growth.IMAGES * 1e-3 / 3600
    found = {n: growth.of_ranks(record, "dance", n)["hours"] for n in (1, 2, 64)}
    assert found[1] == pytest.approx(pool.size * epochs)
    assert found[2] == pytest.approx(-(-pool.size // 2) * epochs, rel=1e-2)
    assert found[64] == pytest.approx(epochs, rel=1e-2)
    queue = {n: growth.of_ranks(record, "idm", n) for n in (1, 2, 64)}
    assert queue[2]["hours"] < 0.6 * queue[1]["hours"]
    weights = {n: queue[n]["gb"] - growth.of_ranks(record, "dm", n)["gb"] for n in (2, 64)}
    assert weights[64] == pytest.approx(63 * weights[2])  # to every other rank, in every iteration


def test_the_page_says_what_is_assumed(growth):
    assert growth.ASSUMED in (HOME / "docs" / "reproducibility.md").read_text()
    assert growth.ASSUMED.count("\n- ") + 1 == len(growth.ASSUMED.splitlines())
