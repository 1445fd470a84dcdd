"""Networks of every age: IDM's queue."""

import copy
import random
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sources import Exact, never, weights

from cl_condense.common.rng import Purpose, permutation
from cl_condense.condensation.paper_settings import tuned
from cl_condense.condensation.sources import standing
from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.data.imageset import ImageSet
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.training.augment import DSA

SHAPE, CLASSES, SEED = (1, 8, 8), (2, 3, 11), 5
NEVER = 1_000_000
MAKE = MakeConvNet(SHAPE, width=8, depth=1)


def problem(counts=(16, 29, 17), shape=SHAPE, noise=0.5):
    """A picture of each class, with some noise."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(len(counts), *shape, generator=generator)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    images = pictures[labels] + noise * torch.randn(len(labels), *shape, generator=generator)
    return ImageSet.of(images, torch.tensor(CLASSES)[labels])


def context(real=None, seed=SEED, network=MAKE):
    return SourceContext(real or problem(), network, DSA(), seed)


def changed(before, members):
    """Positions of the members whose weights are others than before, or that are new."""
    return [i for i, net in enumerate(members) if i >= len(before) or not torch.equal(before[i], weights(net))]


def snapshot(source):
    return [weights(net) for net in source.members]


def generators():
    return [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]


@pytest.mark.parametrize(("push_every", "size"), [(1, 5), (3, 4), (2, 100)])
def test_one_network_is_pushed_at_a_time_in_the_place_of_the_oldest(push_every, size):
    source = ModelQueue(push_every, train_steps=1, size=size, batch=4).start(context())
    assert len(source.members) == 3
    born = [0, 1, 2]  # when the member at each place was pushed
    fresh = {tuple(net.tolist()) for net in snapshot(source)}
    for iteration in range(16):
        before, accuracies = snapshot(source), source.accuracies.clone()
        source.at(iteration)
        pushed = changed(before, source.members)
        if iteration % push_every:
            assert pushed == []
        else:
            (place,) = pushed
            if len(before) == size:
                assert born[place] == min(born), "the oldest goes"
                born[place] = max(born) + 1
            else:
                assert place == len(before)
                born.append(max(born) + 1)
            new = tuple(weights(source.members[place]).tolist())
            assert new not in fresh, "its weights are a draw of their own"
            fresh.add(new)
            accuracies[place] = 0
        assert torch.equal(source.accuracies, accuracies)
        assert len(source.members) == len(born) <= size
        source.advance(iteration, never)
    assert max(born) == 3 + 15 // push_every
    assert len({id(net) for net in source.members}) == len(born)


def test_iterations_that_share_a_network_count_as_one():
    each, shared = (ModelQueue(2, 1, size=4, batch=8, meter=3, steps=n).start(context()) for n in (1, 3))
    for turn in range(9):
        want = each.at(turn)
        for age in range(3):
            before = snapshot(shared)
            look = shared.at(3 * turn + age)
            assert torch.equal(weights(look.net), weights(want.net))
            assert (look.age, float(look.accuracy)) == (age, float(want.accuracy))
            if age:
                assert changed(before, shared.members) == []
            before = snapshot(shared)
            shared.advance(3 * turn + age, never)
            assert bool(changed(before, shared.members)) == (age == 2)
        each.advance(turn, never)
        assert all(map(torch.equal, snapshot(each), snapshot(shared)))
    assert torch.equal(each.accuracies, shared.accuracies)


def test_a_queue_starts_with_as_many_as_are_asked_for_and_trains_no_more_than_it_has():
    source = ModelQueue(NEVER, 1, start_with=0, trained=3, batch=4).start(context())
    assert source.members == []
    source.at(0)
    assert len(source.members) == 1
    before = snapshot(source)
    source.advance(0, never)
    assert changed(before, source.members) == [0]


def test_networks_are_looked_at_without_gradients_with_their_accuracy_and_0_before_training():
    source = ModelQueue(2, train_steps=2, size=4, batch=31).start(context())
    known, looked = [0.0] * 4, []
    for iteration in range(40):
        before = snapshot(source)
        look = source.at(iteration)
        for place in changed(before, source.members):
            known[place] = 0.0
        place = source.members.index(look.net)
        assert float(look.accuracy) == known[place]
        assert look.accuracy.shape == ()
        looked.append(known[place])
        assert not any(p.requires_grad for net in source.members for p in net.parameters())
        assert look.net.training
        assert look.net.classifier.out_features == 3
        before = snapshot(source)
        source.advance(iteration, never)
        for place in changed(before, source.members):
            known[place] = float(source.accuracies[place])
    assert looked.count(0.0) > 3
    assert sum(accuracy > 0.5 for accuracy in looked) > 3


@pytest.mark.parametrize("trained", [1, 2, 4])
def test_an_iteration_trains_so_many_different_members(trained):
    source = ModelQueue(NEVER, 1, start_with=5, trained=trained, batch=4).start(context())
    times = Counter()
    for iteration in range(90):
        source.at(iteration)
        before = snapshot(source)
        source.advance(iteration, never)
        chosen = changed(before, source.members)
        assert len(chosen) == trained
        times.update(chosen)
    expected = 90 * trained / 6
    assert set(times) == set(range(6))
    assert all(abs(n - expected) < 4.5 * (expected * (1 - trained / 6)) ** 0.5 for n in times.values())


def visit(net, velocity, real, iteration, row, steps, batch):
    """So many steps of SGD on real images, with the momentum of earlier visits; the share that it got right."""
    net.requires_grad_(True)
    index, y = real.sample(steps * batch, Purpose.TRAIN_NET, SEED, iteration)
    x, right = real.take(index), 0
    order = permutation(len(x), Purpose.SHUFFLE, Purpose.TRAIN_NET, SEED, iteration, 0, row)
    for step in range(steps):
        part = order[step * batch : (step + 1) * batch]
        logits = net(x[part])
        right += int((logits.argmax(1) == y[part]).sum())
        gradients = torch.autograd.grad(F.cross_entropy(logits, y[part]), [*net.parameters()])
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(net.parameters(), gradients, strict=True)):
                velocity[i] = 0.9 * velocity[i] + g + 5e-4 * p
                p.sub_(0.01 * velocity[i])
    return weights(net), right / (steps * batch), velocity


@pytest.mark.parametrize(("steps", "batch"), [(1, 40), (7, 16)])
@pytest.mark.parametrize(("push_every", "size"), [(NEVER, 100), (3, 4)])
def test_visits_are_plain_training_on_real_images_that_goes_on_until_a_network_is_replaced(
    steps, batch, push_every, size
):
    real = problem()
    nets = ModelQueue(push_every, steps, size=size, trained=2, batch=batch)
    source, rows = nets.start(context(real, network=Exact)), []
    moving = {}
    for iteration in range(9):
        before = snapshot(source)
        source.at(iteration)
        for place in changed(before, source.members):
            moving.pop(place, None)
        before = snapshot(source)
        alike = copy.deepcopy(source.members)
        source.advance(iteration, never)
        found = changed(before, source.members)
        taken = []
        for place in found:
            ways = []
            for row in (0, 1):
                velocity = list(moving.get(place, [0.0] * len([*alike[place].parameters()])))
                ways.append(visit(copy.deepcopy(alike[place]), velocity, real, iteration, row, steps, batch))
            apart = [float((weights(source.members[place]) - want).abs().max()) for want, *_ in ways]
            row = min((0, 1), key=lambda i: apart[i])
            assert apart[row] < 1e-12
            moving[place] = ways[row][2]
            assert float(source.accuracies[place]) == pytest.approx(ways[row][1], abs=1e-7)
            assert float((weights(source.members[place]) - before[place]).abs().max()) > 1e-4
            taken.append(row)
        rows.append(sorted(taken))
    if steps > 1:  # else the one batch is all images, in whatever order
        assert rows == [[0, 1]] * 9, "each has an order of its own"


@pytest.mark.parametrize("meter", [1, 4, None])
def test_a_meter_has_the_mean_of_the_visits_since_it_was_emptied_or_without_one_the_last(meter, monkeypatch):
    found, fit = [], standing.fit
    monkeypatch.setattr(standing, "fit", lambda *a, **o: found.append(fit(*a, **o)) or found[-1])
    source = ModelQueue(3, 1, size=5, batch=10, meter=meter).start(context())
    known, looked = [[] for _ in range(5)], []
    for iteration in range(25):
        if meter and iteration % meter == 0:
            known = [[] for _ in range(5)]
        before = snapshot(source)
        look = source.at(iteration)
        for place in changed(before, source.members):
            known[place] = []
        own = known[source.members.index(look.net)]
        looked.append(len(own))
        assert float(look.accuracy) == pytest.approx(sum(own) / len(own) if own else 0.0)
        before = snapshot(source)
        source.advance(iteration, never)
        for place in changed(before, source.members):
            one, other = found[-1].tolist()
            each = one if source._choice(iteration, 1)[0] == place else other
            known[place] = [*known[place], each] if meter else [each]
    assert max(looked) == {1: 0, 4: 3, None: 1}[meter]
    assert 0 in looked


def test_the_network_that_is_looked_through_is_any_of_them_and_not_the_one_that_trains():
    source = ModelQueue(NEVER, 1, start_with=4, trained=2, batch=2).start(context())
    looked, also = Counter(), 0
    for iteration in range(250):
        place = source.members.index(source.at(iteration).net)
        before = snapshot(source)
        source.advance(iteration, never)
        looked[place] += 1
        also += place in changed(before, source.members)
    assert sum((looked[i] - 50) ** 2 / 50 for i in range(5)) < 18.5  # chi-square of 4, once in 1,000
    assert 60 < also < 140  # 100 by chance


def test_networks_of_every_age_are_looked_through():
    source = ModelQueue(2, train_steps=1, size=10, batch=2).start(context())
    ages, born = Counter(), [0] * 3
    for iteration in range(220):
        before = snapshot(source)
        look = source.at(iteration)
        for place in changed(before, source.members):
            born[place : place + 1] = [iteration]
        if iteration >= 20:
            ages[iteration - born[source.members.index(look.net)]] += 1
        source.advance(iteration, never)
    assert set(ages) == set(range(20))
    early = sum(n for age, n in ages.items() if age < 10)
    assert 72 < early < 128  # 100 by chance, 4 errors away


def run(where, iterations=8):
    source = ModelQueue(3, 2, size=4, batch=8).start(where)
    looks = []
    for iteration in range(iterations):
        look = source.at(iteration)
        looks.append((weights(look.net).tolist(), float(look.accuracy)))
        source.advance(iteration, never)
    return looks, source


def test_the_seed_alone_decides_what_the_queue_does():
    torch.manual_seed(1)
    first, _ = run(context())
    torch.manual_seed(2)
    assert run(context())[0] == first
    other, _ = run(context(seed=SEED + 1))
    assert not {tuple(w) for w, _ in first} & {tuple(w) for w, _ in other}

    def places(seed):
        source = ModelQueue(NEVER, 1).start(context(seed=seed))
        return [source.members.index(source.at(iteration).net) for iteration in range(20)]

    assert places(SEED) != places(SEED + 1)


def test_the_queue_leaves_the_global_generators_alone():
    before = generators()
    run(context())
    assert generators() == before


def test_numbers_of_the_queue_that_are_not_settled_are_an_error():
    (some,) = tuned({("cifar10", 1): (2,)})
    with pytest.raises(ValueError, match="settle it"):
        ModelQueue(some, 1).start(context()).at(0)
    source = ModelQueue(1, some).start(context())
    source.at(0)
    with pytest.raises(ValueError, match="settle it"):
        source.advance(0, never)
