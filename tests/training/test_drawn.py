"""What mini-batches draw is drawn ahead, and is what each would draw alone."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cl_condense.common.rng import Purpose, permutation
from cl_condense.training import drawn
from cl_condense.training.augment import DSA
from cl_condense.training.cutmix import cuts
from cl_condense.training.drawn import Draws, Owners
from cl_condense.training.protocol import Training, mixed_training

OWNERS = {
    "one job": Owners([0, 1, 2], [4, 9]),
    "some networks of a job": Owners([2, 5], [4, 9]),
    "two jobs": Owners([0, 1, 0], [4, [9, 9, 2**40]]),
}
LIKE = torch.zeros(3, 8, 6)
IMAGES, BATCH, EPOCHS = 11, 4, 5


class Operations(TorchDispatchMode):
    """How many there were."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


@pytest.fixture(params=[1, 200, 2**13])
def most(request, monkeypatch):
    monkeypatch.setitem(drawn._MOST, "cpu", request.param)


def alone(owners):
    """Keys and numbers as tensors, of which a mini-batch draws alone."""
    keys = [torch.tensor(k)[:, None] if isinstance(k, list) else k for k in owners.keys]
    return keys, torch.tensor(owners.numbers)[:, None]


@pytest.mark.parametrize("name", OWNERS)
@pytest.mark.parametrize("places", ["in order", "from the midst", "backwards"])
def test_each_mini_batch_draws_what_it_would_alone(name, places, most):
    owners, sizes = OWNERS[name], [4, 4, 3]
    training = Training(EPOCHS, batch_size=BATCH, augment=DSA(every=True), cutmix=0.5)
    draws, (keys, number) = Draws(training, owners, IMAGES, LIKE), alone(owners)
    every = [(epoch, batch) for epoch in range(EPOCHS) for batch in range(3)]
    for epoch, batch in {"in order": every, "from the midst": every[7:], "backwards": every[::-1]}[places]:
        at = epoch, batch
        want = training.augment.draw(owners.numbers, *owners.keys, *at, images=sizes[batch])
        warp, cut = draws.warp(*at), draws.cut(*at)
        assert warp.groups == want.groups
        assert torch.equal(warp.u, want.u)
        own = cuts(sizes[batch], LIKE, 0.5, *keys, *at, rows=number)
        assert all(torch.equal(a, b) for a, b in zip(cut, own, strict=True))
        order = permutation(IMAGES, Purpose.SHUFFLE, *keys, epoch, number)
        assert torch.equal(draws.order(epoch), order)
        assert torch.equal(draws.order_on(torch.device("cpu"), epoch), order)


def test_what_does_not_augment_or_mix_draws_nothing():
    draws = Draws(Training(EPOCHS, augment=None), OWNERS["one job"], IMAGES, LIKE)
    assert draws.warp(0, 0) is draws.cut(0, 0) is None


def test_many_mini_batches_take_hardly_more_operations_than_one():
    def operations(epochs):
        draws = Draws(mixed_training(epochs), OWNERS["one job"], IMAGES, LIKE)
        with Operations() as seen:
            for epoch in range(epochs):
                draws.order(epoch), draws.warp(epoch, 0), draws.cut(epoch, 0)
        return seen.count

    one, twenty = operations(1), operations(20)
    assert twenty < one + 20 * 8  # views of what is there
    assert 20 * one > 4 * twenty
