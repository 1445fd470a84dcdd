"""Which real images are kept: uniformly drawn ones, and those that iCaRL's herding follows the mean with."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from cl_condense.features import Features
from cl_condense.imageset import ImageSet
from cl_condense.methods import build
from cl_condense.networks import MakeConvNet

CLASSES = (2, 5, 6)


def numbered(counts=(12, 30, 21), weights=None):
    """Images of which each shows its own number, in float."""
    labels = torch.tensor(CLASSES[: len(counts)]).repeat_interleave(torch.tensor(counts))
    images = torch.arange(float(len(labels))).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    return ImageSet.of(images, labels, weights=weights)


def picks(result):
    """Numbers of the images of each class."""
    return [part[:, 0, 0, 0].long().tolist() for part in result.pixels.split(result.counts)]


def random(real, ipc, seed=0):
    return picks(build("random")(real, ipc=ipc, make_net=MakeConvNet(real.shape, width=4), seed=seed))


class Flat(nn.Module):
    """The image is its own embedding, so that training does not change what herding looks at."""

    def __init__(self, classes):
        super().__init__()
        self.classifier = nn.Linear(12, classes)

    def features(self, x, taps=frozenset()):
        return Features(x.flatten(1), self.classifier(x.flatten(1)))

    def forward(self, x):
        return self.features(x).logits


def embedded(counts=(12, 30, 21), weights=None, seed=0):
    labels = torch.tensor(CLASSES).repeat_interleave(torch.tensor(counts))
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((len(labels), 3, 2, 2), generator=generator).exp()
    return ImageSet.of(images, labels, weights=weights)


def herding(real, ipc, seed=0, iterations=2, make_net=Flat, on_step=None):
    method = replace(build("herding"), iterations=iterations)
    return method(real, ipc=ipc, make_net=make_net, seed=seed, on_step=on_step)


def plain_herding(x, weights, m):
    """Algorithm 4 of iCaRL: p_k = argmin_x |mu - (phi(x) + sum of the phi(p_j)) / k|, each image once."""
    rows = [[float(v) for v in row] for row in x.flatten(1).double()]
    whole = sum(weights)
    mu = [sum(w * row[d] for w, row in zip(weights, rows, strict=True)) / whole for d in range(len(rows[0]))]
    chosen = []
    for k in range(1, m + 1):
        best = None
        for i, row in enumerate(rows):
            if i in chosen:
                continue
            sums = [row[d] + sum(rows[j][d] for j in chosen) for d in range(len(mu))]
            apart = sum((mu[d] - sums[d] / k) ** 2 for d in range(len(mu)))
            if best is None or apart < best[0]:
                best = apart, i
        chosen.append(best[1])
    return x[chosen]


def test_random_draws_different_images_of_each_class():
    for own, start, n in zip(random(numbered(), 12), (0, 12, 42), (12, 30, 21), strict=True):
        assert len(set(own)) == 12
        assert set(own) <= set(range(start, start + n))


def test_random_is_one_draw_a_seed_and_another_for_another():
    real = numbered()
    assert random(real, 5, seed=3) == random(real, 5, seed=3)
    assert random(real, 5, seed=3) != random(real, 5, seed=4)
    assert random(real, 5, seed=3)[1] == random(real.only([5]), 5, seed=3)[0]


def test_classes_of_equal_size_get_different_draws():
    first, second, _ = random(numbered((20, 20, 20)), 8)
    assert [i - 20 for i in second] != first


def test_random_is_uniform_in_every_place():
    seeds, n = 600, 10
    counts = torch.zeros(3, n)
    for seed in range(seeds):
        for place, i in enumerate(random(numbered((n,)), 3, seed)[0]):
            counts[place, i] += 1
    chi = ((counts - seeds / n) ** 2 / (seeds / n)).sum(1)
    assert float(chi.max()) < 27.9  # 9 degrees of freedom, 1 in 1000
    assert float(chi.min()) > 0.9


@pytest.mark.parametrize("weighted", [1.0, 4.0, 250.0])
def test_a_weight_is_the_chance_to_be_drawn_first(weighted):
    n, seeds = 10, 800
    weights = torch.tensor([weighted, 1.0] * (n // 2))
    heavy = sum(random(numbered((n,), weights), 1, seed)[0][0] % 2 == 0 for seed in range(seeds)) / seeds
    want = weighted / (weighted + 1)
    assert abs(heavy - want) < 4 * (want * (1 - want) / seeds) ** 0.5 + 1e-9


@pytest.mark.parametrize(("heavy", "light", "ipc"), [(3, 9, 6), (19, 2, 20), (20, 3, 20), (4, 3, 7)])
@pytest.mark.parametrize("weight", [30.0, 1e4])
def test_weighted_images_are_drawn_once_each(heavy, light, ipc, weight):
    weights = torch.tensor([weight] * heavy + [1.0] * light)
    for seed in range(20):
        own = random(numbered((heavy + light,), weights), ipc, seed)[0]
        assert len(set(own)) == ipc
        assert weight < 1e4 or len(set(own) & set(range(heavy))) == min(heavy, ipc)


def test_weights_belong_to_their_images_where_labels_come_unsorted():
    labels = torch.tensor([5, 2] * 10)
    images = torch.arange(20.0).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    weights = torch.where(torch.arange(20) == 6, 1e9, 1.0)
    real = ImageSet.of(images, labels, weights=weights)
    assert all(random(real, 1, seed)[1] == [6] for seed in range(10))


# With weights the chance of an image depends on how many are drawn: a weighted random choice has no order.
@pytest.mark.parametrize(("method", "weighted"), [("random", False), ("herding", False), ("herding", True)])
def test_fewer_images_are_the_first_of_more(method, weighted):
    weights = torch.rand(63, generator=torch.Generator().manual_seed(1)) * 9 + 1 if weighted else None
    real = embedded(weights=weights)
    run = {
        "random": lambda ipc: build("random")(real, ipc=ipc, make_net=Flat),
        "herding": lambda n: herding(real, n),
    }
    whole = run[method](12)
    for ipc in (1, 2, 7):
        assert torch.equal(run[method](ipc).pixels, whole.first(dict.fromkeys(CLASSES, ipc)).pixels)


@pytest.mark.parametrize("weighted", [False, True])
def test_herding_is_the_algorithm_of_icarl(weighted):
    generator = torch.Generator().manual_seed(2)
    weights = torch.rand(63, generator=generator) * 20 + 0.1 if weighted else torch.ones(63)
    real = embedded(weights=weights if weighted else None)
    result, at = herding(real, 12), 0
    for c, n in zip(CLASSES, (12, 30, 21), strict=True):
        own = real.only([c])
        want = plain_herding(own.images, weights[at : at + n].tolist(), 12)
        assert torch.equal(result.only([c]).pixels, want)
        assert len(want.unique(dim=0)) == 12
        at += n


def test_herding_looks_through_a_network_that_has_learnt_the_classes():
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor(CLASSES).repeat_interleave(30)
    centres = torch.randn(3, 1, 8, 8, generator=generator).repeat_interleave(30, 0)
    real = ImageSet.of(centres + 0.5 * torch.randn(90, 1, 8, 8, generator=generator), labels)
    nets = []

    def make_net(classes):
        nets.append(MakeConvNet((1, 8, 8), width=8)(classes))
        return nets[-1]

    for iterations, learnt in ((1, False), (150, True)):
        herding(real, 2, iterations=iterations, make_net=make_net)
        right = nets[-1](real.images).argmax(1) == torch.arange(3).repeat_interleave(30)
        assert (float(right.double().mean()) > 0.95) == learnt


def test_herding_depends_on_the_seed_alone():
    generator = torch.Generator().manual_seed(0)
    real = ImageSet.of(torch.randn(90, 1, 8, 8, generator=generator), torch.arange(3).repeat(30))
    options = {"ipc": 5, "make_net": MakeConvNet((1, 8, 8), width=8), "iterations": 5}
    torch.manual_seed(1)
    first = herding(real, **options, seed=3).pixels
    torch.manual_seed(2)
    assert torch.equal(first, herding(real, **options, seed=3).pixels)
    assert not torch.equal(first, herding(real, **options, seed=4).pixels)


@pytest.mark.parametrize(("n", "iterations"), [(21, 5), (300, 6), (300, 5), (300, 1)])
def test_herding_reports_its_training_to_the_end(n, iterations):
    """Steps of 256 images: one an epoch with 21 images, two with 300."""
    seen = []
    real = ImageSet.of(torch.rand(n, 3, 2, 2), torch.arange(n) % 3)
    herding(real, 2, iterations=iterations, on_step=seen.append)
    done = [p.iteration for p in seen]
    assert done == sorted(set(done))
    assert done[0] >= 1
    assert done[-1] == iterations
    assert {p.iterations for p in seen} == {iterations}
    assert all(p.loss is None for p in seen)


def test_random_needs_no_network():
    def make_net(classes):
        raise AssertionError("a network was made")

    seen = []
    build("random")(numbered(), ipc=2, make_net=make_net, on_step=seen.append)
    assert seen == []
