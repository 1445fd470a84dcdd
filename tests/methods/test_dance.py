"""DANCE and NCFM as loops written from their papers: class after class, a step on either loss."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from cl_condense.common.rng import Purpose, fold, normals, uniform
from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.sources.pool import BlendedPool
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.training.protocol import mixed_training
from cl_condense.training.train import train

SEED, IPC, REAL = 5, 2, 6
POOL = BlendedPool(size=3, epochs=2, batch=16)


def problem(classes, low=60, high=200):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(low, high, (12 * classes, 2, 8, 8), generator=generator, dtype=torch.uint8)
    return ImageSet.of(pixels, torch.arange(classes).repeat_interleave(12) * 3 + 1)


def trained_ends(real, network, k):
    """The pool's networks after their training, by the protocol of DANCE's script."""
    nets = [network(k) for _ in range(POOL.size)]
    for number, net in enumerate(nets):
        Initialiser(net)(Purpose.POOL, 0, number)
    protocol = replace(mixed_training(2, "color_crop"), batch_size=16)
    train(
        nets,
        real.take(torch.arange(len(real))),
        real.targets,
        protocol,
        keys=(Purpose.TRAIN_NET, Purpose.POOL, 0),
    )
    return nets


def between(trained, network, k, number, share):
    start, net = network(k), network(k)
    Initialiser(start)(Purpose.POOL, 0, number)
    with torch.no_grad():
        for p, a, b in zip(net.parameters(), trained.parameters(), start.parameters(), strict=True):
            p.copy_((1 - share) * a + share * b)
    return net


def decoded(images):
    """Four images of each, quarter by quarter, enlarged."""
    quarters = [images[..., i : i + 4, j : j + 4] for j in (0, 4) for i in (0, 4)]
    return F.interpolate(torch.cat(quarters), size=(8, 8), mode="bilinear", align_corners=False)


def means(a, b, iteration):
    return (a.mean(0) - b.mean(0)).square().sum()


def waves(a, b, iteration):
    t = normals(a.shape[1] * 1024, Purpose.FREQUENCY, SEED, iteration).view(-1, 1024)
    r, s = (torch.exp(1j * (F.normalize(x, dim=1) @ t)).mean(0) for x in (a, b))
    amplitude = (r.abs() - s.abs()).square()
    phase = (2 * (r.abs() * s.abs() - r.real * s.real - r.imag * s.imag)).clamp_min(1e-12)
    return 300 * (0.5 * amplitude + 0.5 * phase).sqrt().mean()


def loop(real, network, recipe, distance, iterations):
    """What each class's own step of matching finds in every iteration, ``[iterations, k, ipc, c, h, w]``."""
    k, mean, std = len(real.class_ids), *(torch.tensor(x).view(-1, 1, 1) for x in (real.mean, real.std))
    ends = trained_ends(real, network, k)
    start = recipe.synthetic.start(real, IPC, SEED)
    pixels = (start * std + mean).requires_grad_()
    optimizer = torch.optim.SGD([pixels], lr=recipe.lr, momentum=recipe.momentum)
    found = torch.empty(iterations, *pixels.shape)
    for iteration in range(iterations):
        number = fold(Purpose.POOL, SEED, iteration) % POOL.size
        share = float(uniform(Purpose.POOL, SEED, iteration, 1))
        net = between(ends[number], network, k, number, share)
        index = real.draw(REAL, Purpose.REAL_BATCH, SEED, iteration)
        with torch.no_grad():
            pixels.clamp_(0, 1)
        for calibrating in (False, True):
            for c in range(k):
                if not calibrating:
                    found[iteration, c] = pixels[c].detach()
                warp = recipe.augment.draw([real.class_ids[c]], SEED, iteration)
                syn = recipe.augment(decoded((pixels[c] - mean) / std)[None], warp)[0]
                if calibrating:
                    loss = F.cross_entropy(ends[number](syn), torch.full((len(syn),), c))
                else:
                    x = recipe.augment(real.take(index[c])[None], warp)[0]
                    embeddings = (net.features(images).embedding for images in (x, syn))
                    loss = distance(*embeddings, iteration)
                optimizer.zero_grad(set_to_none=False)
                loss.backward()
                optimizer.step()
    return found


@pytest.mark.parametrize(
    ("name", "distance", "classes", "changes"),
    [
        ("dance", means, 3, {"lr": 0.01}),
        ("dance+cf", waves, 3, {"lr": 0.001}),
        ("dance", means, 2, {"lr": 0.3, "momentum": 0.0}),  # pixels reach black and white
    ],
)
def test_it_is_its_authors_loop_of_a_step_a_class_and_loss(name, distance, classes, changes):
    real = problem(classes)
    network, iterations = MakeConvNet(real.shape, width=8), 5
    recipe = build(name, source=POOL, iterations=iterations, real_per_class=REAL, **changes)
    job = Condensation(real, recipe, ipc=IPC, network=network, seed=SEED)
    want = loop(real, network, job.recipe, distance, iterations)
    mean, std = (torch.tensor(x).view(-1, 1, 1) for x in (real.mean, real.std))
    for iteration in range(iterations):
        got = job.state()["pixels"] * std + mean
        torch.testing.assert_close(got, want[iteration], rtol=0, atol=1e-5)
        job.step()
    assert float((want[-1] - want[0]).abs().amax((1, 2, 3, 4)).min()) > 1e-3, "it went somewhere"
    assert bool((want[-1] == 1).any()) == (changes["lr"] == 0.3)


@pytest.mark.parametrize("ipc", [1, 10])
def test_the_best_composition_is_what_the_search_found(ipc):
    named, found = (
        build(name, "cifar10").settled(ipc) for name in ("dance4x4", "dance@reuse=5,factor=4,lr=0.1")
    )
    assert replace(named, name="") == replace(found, name="", chosen=())


def test_the_best_composition_keeps_dances_rate_where_that_is_higher():
    assert [build("dance4x4", "cifar10").settled(ipc).lr for ipc in (1, 10, 20, 50)] == [0.1, 0.1, 0.2, 0.5]
