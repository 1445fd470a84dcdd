"""IDM's queue that starts from trained networks: what is pushed, how each goes on, and interruptions."""

import copy

import pytest
import torch
import torch.nn.functional as F
from sources import Exact, never, weights

from cl_condense.common.rng import Purpose, fold, permutation, uniform
from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.condensation.sources.pool import TrainedPool
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.training.augment import DSA

SHAPE, CLASSES, SEED = (1, 8, 8), (2, 3, 5, 11), 5
QUEUE = ModelQueue(2, 3, size=4, batch=8, start_with=2, trained=1, pretrained=3, pretraining=2)


def context(network=Exact, **options):
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(48, *SHAPE, generator=generator), torch.tensor(CLASSES).repeat(12)
    return SourceContext(ImageSet.of(images, labels), network, DSA(), SEED, **options)


def go_on(net, velocity, real, number, iteration):
    """Three steps of SGD on eight images each of two classes, at the network's own rate."""
    net.requires_grad_(True)
    rate = 0.01 * (0.9 + 0.2 * float(uniform(Purpose.QUEUE, SEED, number, 1)))
    assert abs(rate - 0.01) <= 0.001
    rows = uniform(Purpose.QUEUE, SEED, number, 2, torch.arange(4)).argsort()[:2].sort().values
    both = real.draw(12, Purpose.TRAIN_NET, SEED, iteration, number, rows=rows)
    index, y = torch.stack([*both], 1).flatten(), rows.repeat(12)
    order = permutation(24, Purpose.SHUFFLE, Purpose.TRAIN_NET, SEED, iteration, number, 0, 0)
    for step in range(3):
        part = order[step * 8 : step * 8 + 8]
        loss = F.cross_entropy(net(real.take(index[part])), y[part])
        gradients = torch.autograd.grad(loss, [*net.parameters()])
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(net.parameters(), gradients, strict=True)):
                velocity[i] = 0.9 * velocity[i] + g + 5e-4 * p
                p.sub_(rate * velocity[i])
    return set(y.tolist())


def test_the_queue_is_a_plain_loop_that_pushes_trained_networks_and_trains_each_on_classes_of_its_own():
    where = context()
    pool = TrainedPool(3, 2, architecture="own").start(where)
    pool.prepare(lambda progress: None)
    source, queue, pushed, subsets = QUEUE.start(where), [], 0, {}

    def push():
        nonlocal pushed
        net = copy.deepcopy(pool.members[fold(Purpose.QUEUE, SEED, pushed, 0) % 3])
        queue[pushed % 4 : pushed % 4 + 1] = [(pushed, net, [0.0] * len([*net.parameters()]))]
        pushed += 1

    push(), push()
    for iteration in range(9):
        if iteration % 2 == 0:
            push()
        look = source.at(iteration)
        _, net, _ = queue[source.members.index(look.net)]
        torch.testing.assert_close(weights(look.net), weights(net), rtol=0, atol=1e-12)
        source.advance(iteration, never)
        number, net, velocity = queue[source._choice(iteration, 1)[0]]
        subsets[number] = go_on(net, velocity, where.real, number, iteration)
        for own, (_, net, _) in zip(source.members, queue, strict=True):
            torch.testing.assert_close(weights(own), weights(net), rtol=0, atol=1e-12)
    assert pushed == 7
    assert len({tuple(own) for own in subsets.values()}) > 1, "each has classes of its own"


@pytest.mark.parametrize(("at", "kept"), [(3, False), (9, False), (9, True)])
def test_an_interrupted_queue_goes_on_bit_equal(at, kept, tmp_path):
    """In the midst of training its pool, or of its work; with the pool in a file the state does without it."""

    def begun():
        return QUEUE.start(context(MakeConvNet(SHAPE, width=8, depth=1), pools=tmp_path if kept else None))

    def works(source, start=0):
        for iteration in range(start, 6):
            source.at(iteration)
            source.advance(iteration, never)
        return [weights(net).tolist() for net in source.members]

    want, source, told, states = works(begun()), begun(), [], []
    if at < 9:
        source.prepare(lambda progress: told.append(progress) or states.append(copy.deepcopy(source.state())))
        assert {progress.stage for progress in told} == {"training a pool of networks"}
        again, start = begun(), 0
        again.restore(states[0])
    else:
        for iteration in range(3):
            source.at(iteration)
            source.advance(iteration, never)
        state = copy.deepcopy(source.state())
        assert any(name.startswith("pool.") for name in state) is not kept
        again, start = begun(), 3
        again.restore(state)
    assert works(again, start) == want


def test_settings_of_the_queue_in_an_expression():
    assert build("idm@pretrained=10,subset=0.2").source.pool() == TrainedPool(10, 5, architecture="own")
    assert build("idm").source.pool() is None
    for wrong in ("pretrained=-1", "pretraining=0", "subset=0", "subset=1.5"):
        with pytest.raises(ValueError, match=rf"{wrong.split('=')[0]} .*: give") as error:
            build(f"idm@{wrong}")
        assert "\n" not in str(error.value)
