"""What networks come to on the synthetic images: DD's and MTT's objectives and loops, and MTT's trainings."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from cl_condense.common.rng import Purpose, fold
from cl_condense.condensation import objectives
from cl_condense.condensation.sources import pooled
from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.condensation.sources.pool import TrainedPool
from cl_condense.condensation.sources.trajectories import Trajectories
from cl_condense.condensation.sources.unrolled import Unrolled
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.condensation.view import Unroll, View
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import ConvNet, MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.training.augment import DSA
from cl_condense.training.train import train

SHAPE, CLASSES, SEED = (1, 8, 8), (2, 3, 11), 5
MAKE = MakeConvNet(SHAPE, width=6, depth=2)
TRAININGS = Trajectories(2, 3, 2, 2, 16)
UNROLLED = ["unrolled_classification", "trajectory_matching"]


def problem():
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(36, *SHAPE, generator=generator), torch.tensor(CLASSES).repeat(12)
    return ImageSet.of(images, labels)


def context(**options):
    return SourceContext(problem(), MAKE, DSA(), SEED, **options)


def descended(net, pixels, labels, steps, rate, each):
    """The network after plain steps, written with its own layers; pixels ``[k, m, c, h, w]``."""
    weights = [p.detach().clone().requires_grad_() for p in net.parameters()]
    m = pixels.shape[1]
    for step in range(steps):
        slots = [(step * each + i) % m for i in range(each)] if each else range(m)
        x = torch.stack([own[i] for own in pixels for i in slots])
        y = torch.tensor([c for c in labels for _ in slots])
        slopes = torch.autograd.grad(F.cross_entropy(forward(weights, x), y), weights, create_graph=True)
        weights = [p - rate * g for p, g in zip(weights, slopes, strict=True)]
    return weights


def forward(weights, x):
    """A ConvNet of two blocks: each has the weight and bias of a convolution and of its norm."""
    *blocks, w, b = weights
    convs, norms = blocks[: len(blocks) // 2], blocks[len(blocks) // 2 :]
    for i in range(0, len(convs), 2):
        x = F.conv2d(x, convs[i], convs[i + 1], padding=1)
        mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
        x = (x - mean) / (var + 1e-5).sqrt() * norms[i].view(-1, 1, 1) + norms[i + 1].view(-1, 1, 1)
        x = F.avg_pool2d(x.relu(), 2)
    return x.flatten(1) @ w.T + b


def networks():
    """A network with random weights, and where its training led."""
    torch.manual_seed(1)
    net, end = (ConvNet(SHAPE, 4, width=3, depth=2).double() for _ in range(2))
    with torch.no_grad():
        for p, q in zip(end.parameters(), net.parameters(), strict=True):
            p.copy_(q + 0.05 * torch.randn_like(p))
    return net, end


@pytest.mark.parametrize("name", UNROLLED)
@pytest.mark.parametrize(("steps", "each"), [(1, 0), (3, 0), (4, 1), (2, 2), (2, 9)])
def test_value_and_gradient_are_those_of_plain_steps(name, steps, each):
    (net, end), targets = networks(), torch.tensor([2, 0, 3])
    torch.manual_seed(2)
    real, syn = torch.randn(3, 5, *SHAPE).double(), torch.randn(3, 3, *SHAPE).double().requires_grad_()
    views = (View(net, x, targets, trained=end, unroll=Unroll(steps, 0.3, each)) for x in (real, syn))
    got = getattr(objectives, name)(*views)
    weights = descended(net, syn, targets.tolist(), steps, 0.3, min(each, 3))
    if name == "trajectory_matching":
        gaps = [(a - b).square().sum() for a, b in zip(weights, end.parameters(), strict=True)]
        starts = [(a - b).square().sum() for a, b in zip(net.parameters(), end.parameters(), strict=True)]
        want = sum(gaps) / sum(starts)
    else:
        losses = [F.cross_entropy(forward(weights, x), c.expand(5)) for x, c in zip(real, targets, strict=True)]
        want = sum(losses)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=0)
    slopes = [torch.autograd.grad(value, syn, retain_graph=True)[0] for value in (got, want)]
    torch.testing.assert_close(*slopes, rtol=1e-7, atol=1e-12)
    assert float(slopes[0].abs().max()) > 1e-6
    assert all(p.grad is None for p in net.parameters())


def test_a_view_without_steps_or_end_says_what_gives_them():
    net, _ = networks()
    syn = View(net, torch.zeros(2, 1, *SHAPE).double(), unroll=Unroll(1, 0.1))
    bare = View(net, syn.images)
    for name, view, words in ((UNROLLED[0], bare, "an Unrolled"), (UNROLLED[1], syn, "a BlendedPool")):
        with pytest.raises(ValueError, match=words) as error:
            getattr(objectives, name)(view, view)
        assert "\n" not in str(error.value)


def test_dd_is_its_plain_loop():
    real = problem()
    recipe = build("dd", iterations=3, real_per_class=5, lr=0.5)
    recipe = replace(recipe, source=Unrolled(RandomNets(), unroll=3, rate=0.1, each=1))
    got = condense(real, recipe, ipc=2, network=MAKE, seed=SEED).pixels
    pixels = recipe.synthetic.start(real, 2, SEED).requires_grad_()
    start, sgd = pixels.detach().clone(), torch.optim.SGD([pixels], 0.5, 0.9)
    for iteration in range(3):
        net = MAKE(3)
        Initialiser(net)(SEED, iteration)
        weights = descended(net, pixels, range(3), 3, 0.1, 1)
        x = real.take(real.draw(5, Purpose.REAL_BATCH, SEED, iteration))
        sgd.zero_grad()
        sum(F.cross_entropy(forward(weights, own), torch.full((5,), c)) for c, own in enumerate(x)).backward()
        sgd.step()
    torch.testing.assert_close(got, pixels.detach().flatten(0, 1), rtol=1e-4, atol=1e-5)
    assert float((got - start.flatten(0, 1)).abs().max()) > 0.01


def test_mtt_is_its_plain_loop(tmp_path):
    """With trainings that are one after another, an epoch more each."""
    real = problem()
    recipe = build("mtt", iterations=5, lr=20.0, augment=DSA("none"))
    recipe = replace(recipe, source=Unrolled(TRAININGS, unroll=4, rate=0.05))
    got = condense(real, recipe, ipc=2, network=MAKE, seed=SEED).pixels
    experts = [[copy.deepcopy(net) for net in starts()]]
    for epochs in (1, 2, 3):
        nets = starts()
        training = replace(TRAININGS, epochs=epochs, starts=1, ahead=1).training()
        train(nets, real, real.targets, training, keys=(Purpose.TRAIN_NET, Purpose.POOL, 0))
        experts.append(nets)
    pixels = recipe.synthetic.start(real, 2, SEED).requires_grad_()
    sgd, seen = torch.optim.SGD([pixels], 20.0, 0.5), set()
    for iteration in range(5):
        which, begin = (fold(Purpose.POOL, SEED, iteration, i) % 2 for i in (0, 1))
        seen.add((which, begin))
        net, end = experts[begin][which], experts[begin + 2][which]
        gaps = zip(descended(net, pixels, range(3), 4, 0.05, 0), end.parameters(), strict=True)
        sgd.zero_grad()
        loss = sum((a - b.detach()).square().sum() for a, b in gaps)
        apart = zip(net.parameters(), end.parameters(), strict=True)
        (loss / sum((a - b).detach().square().sum() for a, b in apart)).backward()
        sgd.step()
    torch.testing.assert_close(got, pixels.detach().flatten(0, 1), rtol=1e-4, atol=1e-4)
    assert len(seen) > 1
    assert (
        float((got - real.take(real.draw(2, Purpose.START, SEED, distinct=True)).flatten(0, 1)).abs().max())
        > 0.05
    )


def starts():
    nets = [MAKE(3) for _ in range(2)]
    for number, net in enumerate(nets):
        Initialiser(net)(Purpose.POOL, 0, number)
    return nets


def members(source):
    source.prepare(lambda progress: None)
    return [[p.tolist() for p in net.parameters()] for net in source._pooled.members]


def test_trainings_are_kept_on_the_disk_epoch_by_epoch_and_apart_from_pools(tmp_path, monkeypatch):
    begun = []

    class Watched(pooled.Together):
        def __init__(self, jobs, training):
            begun.append(training)
            super().__init__(jobs, training)

    monkeypatch.setattr(pooled, "Together", Watched)
    first = members(TRAININGS.start(context(pools=tmp_path)))
    assert len(first) == 8
    assert len({str(own) for own in first}) == 8
    assert members(TRAININGS.start(context(pools=tmp_path))) == first
    assert members(replace(TRAININGS, starts=1, ahead=1).start(context(pools=tmp_path))) == first
    assert len(begun) == len([*tmp_path.iterdir()]) == 1
    pool = TrainedPool(2, 3, architecture="own")
    monkeypatch.setattr(TrainedPool, "training", lambda self: TRAININGS.training())
    pool.start(context(pools=tmp_path)).at(0)
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize("at", [0, 2, 3, 7])
def test_interrupted_trainings_go_on_bit_equal(at):
    """Before and after the end of an epoch, which has three mini-batches."""
    want, states = members(TRAININGS.start(context())), []
    source = TRAININGS.start(context())
    source.prepare(lambda progress: states.append(copy.deepcopy(source.state())))
    again = TRAININGS.start(context())
    again.restore(states[at])
    assert members(again) == want
    done = TRAININGS.start(context())
    done.restore(again.state())
    assert members(done) == want


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("mtt@epochs=5,starts=4,ahead=3", "starts 4 and ahead 3 in trainings of 5 epochs: give at least 6"),
        ("mtt@unroll=0", "unroll 0: give"),
        ("mtt@rate=0", "rate 0.*: give"),
        ("dd@each=-1", "each -1: give"),
        ("mtt@size=0", "size 0: give"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_in_one_line(expression, words):
    with pytest.raises(ValueError, match=words) as error:
        condense(problem(), expression, ipc=1, network=MAKE)
    assert "\n" not in str(error.value)


def test_settings_of_a_source_in_a_source_are_in_expressions():
    source = build("mtt@size=3,epochs=7,starts=5,unroll=6,rate=0.1,each=2").source
    assert source == Unrolled(Trajectories(3, 7, 5), 6, 0.1, 2)
    assert build("mtt@source.source.size=3").source.source.size == 3
    assert build("dd@steps=2").source.source == RandomNets(2)
