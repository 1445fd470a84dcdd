"""FRePo: its loop, image by image and network by network, and what its networks do."""

import copy
from collections import Counter
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from cl_condense.common.rng import Purpose, fold, permutation
from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.condensation.sources.recycled import RecycledNets
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.training.augment import DSA

SHAPE, CLASSES, SEED = (1, 8, 8), (2, 3, 11), 5
MAKE = MakeConvNet(SHAPE, width=8)


def problem():
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(36, *SHAPE, generator=generator), torch.tensor(CLASSES).repeat(12)
    return ImageSet.of(images, labels)


def new(number):
    net = MAKE(3)
    Initialiser(net)(Purpose.QUEUE, SEED, number)
    return [0, net, torch.optim.SGD(net.parameters(), 0.01, 0.9)]


def trained(net, optimizer, pixels, iteration, batch):
    """A step on some of the synthetic images."""
    keys = Purpose.TRAIN_NET, SEED, iteration
    x, y = pixels.detach().flatten(0, 1), torch.arange(3).repeat_interleave(pixels.shape[1])
    some = permutation(len(x), *keys)[:batch] if len(x) > batch else torch.arange(len(x))
    optimizer.zero_grad()
    F.cross_entropy(net(x[some]), y[some]).backward()
    optimizer.step()


def plain(real, size, updates, batch, iterations, lr):
    """FRePo as its algorithm says it, with the networks and the draws of ours."""
    pixels = real.take(real.draw(2, Purpose.START, SEED, distinct=True)).requires_grad_()
    sgd = torch.optim.SGD([pixels], lr, 0.9)
    pool = [[i * (updates // size), *new(i)[1:]] for i in range(size)]
    drawn, centred = size, torch.eye(3, dtype=torch.float64) - 1 / 3
    for iteration in range(iterations):
        place = fold(Purpose.QUEUE, SEED, iteration) % size
        age, net, optimizer = pool[place]
        index = real.draw(6, Purpose.REAL_BATCH, SEED, iteration)
        x, s = (net.features(images.flatten(0, 1)).embedding.double() for images in (real.take(index), pixels))
        kernel = s @ s.T
        solved = torch.linalg.solve(
            kernel + 1e-6 * kernel.trace() / 6 * torch.eye(6), centred.repeat_interleave(2, 0)
        )
        loss = (x.detach() @ s.T @ solved - centred.repeat_interleave(6, 0)).square().sum(1).mean() * 3 / 2
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        if age >= updates:
            pool[place], drawn = new(drawn), drawn + 1
        else:
            trained(net, optimizer, pixels, iteration, batch)
            pool[place][0] += 1
    return pixels.detach().flatten(0, 1), drawn


@pytest.mark.parametrize(("size", "updates", "batch"), [(2, 3, 500), (3, 2, 4)])
def test_frepo_is_its_plain_loop(size, updates, batch):
    real = problem()
    recipe = build("frepo", iterations=14, real_per_class=6, lr=0.3)
    recipe = replace(recipe, source=RecycledNets(size, updates, batch))
    want, drawn = plain(real, size, updates, batch, 14, 0.3)
    got = condense(real, recipe, ipc=2, network=MAKE, seed=SEED).pixels
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-4)
    start = real.take(real.draw(2, Purpose.START, SEED, distinct=True)).flatten(0, 1)
    assert float((got - start).abs().max()) > 0.05
    assert drawn > size, "networks are replaced"


def test_networks_begin_at_every_age_and_are_looked_through_evenly():
    source = RecycledNets(5, 100).start(SourceContext(problem(), MAKE, DSA(), SEED))
    assert source.ages == [0, 20, 40, 60, 80]
    times = Counter(source.members.index(source.at(iteration).net) for iteration in range(500))
    assert sum((times[i] - 100) ** 2 / 100 for i in range(5)) < 18.5  # chi-square of 4, once in 1,000
    weights = {tuple(net.classifier.weight.flatten().tolist()) for net in source.members}
    assert len(weights) == 5


def test_the_state_of_a_source_of_another_size_is_refused():
    context = SourceContext(problem(), MAKE, DSA(), SEED)
    state = copy.deepcopy(RecycledNets(3).start(context).state())
    with pytest.raises(ValueError, match="3 networks, not 2"):
        RecycledNets(2).start(context).restore(state)


def test_settings_of_frepo_in_an_expression():
    assert build("frepo@size=3,updates=20,batch=64").source == RecycledNets(3, 20, 64)
    for wrong in ("size=0", "updates=0", "batch=0.5"):
        with pytest.raises(ValueError, match=rf"{wrong.split('=')[0]} .*: give") as error:
            build(f"frepo@{wrong}")
        assert "\n" not in str(error.value)
