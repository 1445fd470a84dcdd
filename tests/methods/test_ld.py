"""Learned labels: their loop, written out, what stays as it is, and where they make no sense."""

import copy
import re

import pytest
import torch
import torch.nn.functional as F

from cl_condense import ClassMemory
from cl_condense.common.rng import Purpose, fold
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.labels import LearnedLabels
from cl_condense.condensation.objectives import kernel_regression
from cl_condense.condensation.soundness import check_finite
from cl_condense.condensation.view import View
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.init import Initialiser

SHAPE, SEED = (1, 8, 8), 5
MAKE = MakeConvNet(SHAPE, width=8)
LEARNING = ["ld", "frepo+labels", "dd+labels", "mtt+labels@size=1,epochs=5,starts=1,unroll=2"]


def problem(classes=(0, 1, 2)):
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor(classes).repeat(12)
    return ImageSet.of(torch.randn(len(labels), *SHAPE, generator=generator), labels)


def new(number):
    net = MAKE(3)
    Initialiser(net)(Purpose.QUEUE, SEED, number)
    return [0, net, torch.optim.SGD(net.parameters(), 0.01, 0.9)]


def plain(real, rates, iterations, size=2, updates=3):
    """Images, and probabilities, by ridge regression under networks that train on both."""
    pixels = real.take(real.draw(2, Purpose.START, SEED, distinct=True)).requires_grad_()
    start = torch.full((3, 2, 3), 0.05)
    start[torch.arange(3), :, torch.arange(3)] = 0.9
    numbers = start.log().requires_grad_()
    images, labels = torch.optim.SGD([pixels], rates[0], 0.9), torch.optim.SGD([numbers], rates[1], 0.9)
    pool, drawn = [[i * (updates // size), *new(i)[1:]] for i in range(size)], size
    for iteration in range(iterations):
        place = fold(Purpose.QUEUE, SEED, iteration) % size
        age, net, optimizer = pool[place]
        index = real.draw(6, Purpose.REAL_BATCH, SEED, iteration)
        x, s = (net.features(each.flatten(0, 1)).embedding.double() for each in (real.take(index), pixels))
        y = numbers.softmax(2).flatten(0, 1).double()
        kernel = s @ s.T
        solved = torch.linalg.solve(kernel + 1e-6 * kernel.trace() / 6 * torch.eye(6), y - 1 / 3)
        wanted = torch.eye(3).repeat_interleave(6, 0) - 1 / 3
        loss = (x.detach() @ s.T @ solved - wanted).square().sum(1).mean() * 3 / 2
        for each in (images, labels):
            each.zero_grad()
        loss.backward()
        labels.step()
        if rates[0]:
            images.step()
        if age >= updates:
            pool[place], drawn = new(drawn), drawn + 1
        else:
            optimizer.zero_grad()
            log_p = net(pixels.detach().flatten(0, 1)).log_softmax(1)
            (-(numbers.detach().softmax(2).flatten(0, 1) * log_p).sum(1).mean()).backward()
            optimizer.step()
            pool[place][0] += 1
    return pixels.detach().flatten(0, 1), numbers.detach().softmax(2).flatten(0, 1)


@pytest.mark.parametrize(("name", "rate"), [("ld", 0), ("frepo+labels", 0.3)])
def test_images_and_labels_are_those_of_the_plain_loop(name, rate):
    real = problem()
    expression = f"{name}@source.size=2,updates=3,labels.lr=20" + (f",lr={rate}" if rate else "")
    recipe = build(expression, iterations=14, real_per_class=6)
    want, wanted_labels = plain(real, (rate, 20.0), 14)
    made = condense(real, recipe, ipc=2, network=MAKE, seed=SEED)
    torch.testing.assert_close(made.pixels, want, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(made.soft_labels(), wanted_labels, rtol=1e-3, atol=1e-5)
    begun = 0.05 + 0.85 * F.one_hot(made.labels, 3)
    assert float((made.soft_labels() - begun).abs().max()) > 0.02, "labels moved"
    start = real.take(real.draw(2, Purpose.START, SEED, distinct=True)).flatten(0, 1)
    assert made.pixels.equal(start) is not bool(rate)


@pytest.mark.parametrize("name", LEARNING)
def test_labels_are_probabilities_that_a_set_keeps(name, tmp_path):
    real = problem()
    made = condense(real, name, ipc=2, network=MAKE, iterations=6, real_per_class=6).coded("uint8")
    soft = made.soft_labels()
    assert soft.shape == (6, 3)
    torch.testing.assert_close(soft.sum(1), torch.ones(6))
    begun = 0.05 + 0.85 * F.one_hot(made.labels, 3)
    assert (soft - begun).abs().max() > 1e-6, "labels moved"
    made.save(tmp_path / "set.safetensors")
    assert CondensedSet.load(tmp_path / "set.safetensors").soft_labels().equal(soft)
    assert made.nbytes == 6 * (64 + 2 * 2 + 3 * 4) + 3 * 16
    assert made.recipe["labels"]["kind"] == "LearnedLabels"


def test_smaller_images_of_one_share_its_label():
    made = condense(problem(), "frepo+partition+labels", ipc=2, network=MAKE, iterations=4, real_per_class=6)
    assert made.decode()[0].shape[0] == len(made.soft_labels()) == 24
    assert made.soft_labels()[:8].equal(made.stored["soft"][:2].repeat(4, 1))


def test_interrupted_labels_go_on_bit_equal():
    real, states = problem(), []

    def job():
        recipe = build("frepo+labels@multisize=0.5", iterations=9, real_per_class=6)
        return Condensation(real, recipe, ipc=2, network=MAKE, seed=SEED)

    one = job()
    for _ in range(9):
        states.append(copy.deepcopy(one.state()))
        one.step()
    for at in (0, 1, 5):
        other = job()
        other.restore(states[at])
        made = other.run()
        assert made.pixels.equal(one.result().pixels)
        assert made.soft_labels().equal(one.result().soft_labels())
    hard = Condensation(real, build("frepo", iterations=9, real_per_class=6), ipc=2, network=MAKE, seed=SEED)
    with pytest.raises(ValueError, match="does not fit"):
        hard.restore(states[5])
    with pytest.raises(ValueError, match="does not fit"):
        job().restore(hard.state())


def test_regression_on_learned_labels_is_better_under_networks_never_seen(digits_pair):
    real = digits_pair[0]
    made = condense(real, "ld", ipc=2, iterations=100, real_per_class=32, network=MAKE)
    images = real.take(real.draw(100, Purpose.REAL_BATCH, 9, distinct=True))
    begun = LearnedLabels().start(10, 2, torch.device("cpu")).softmax(-1)
    errors = []
    for soft in (made.soft_labels().unflatten(0, (10, 2)), begun):
        errors.append([])
        for number in range(20):
            net = MAKE(10).requires_grad_(False)
            Initialiser(net)(Purpose.QUEUE, 1234, number)
            syn = View(net, made.pixels.unflatten(0, (10, 2)), soft=soft)
            errors[-1].append(float(kernel_regression(View(net, images), syn)))
    better = sum(one < other for one, other in zip(*errors, strict=True))
    assert better >= 18
    assert sum(errors[0]) < 0.97 * sum(errors[1])


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("dm+labels", "does not read labels"),
        ("random+labels", "selects real images"),
        ("ld+labels", "learned already"),
        ("ld@labels.lr=0", "labels.lr 0: give a finite number above 0"),
        ("frepo+labels@certainty=1", "certainty 1: give .* below 1"),
        ("frepo+labels+sm", "does not read labels"),
    ],
)
def test_labels_that_make_no_sense_are_refused_in_one_line(expression, words):
    with pytest.raises(ValueError, match=words) as error:
        condense(problem(), expression, ipc=1, network=MAKE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["ld", "frepo+labels"])
def test_a_seed_gives_the_same_labels_whatever_the_global_generators(name):
    real, options = problem(), {"ipc": 2, "network": MAKE, "iterations": 3, "real_per_class": 6}
    first = condense(real, name, seed=1, **options).soft_labels()
    torch.manual_seed(torch.initial_seed() + 1)
    again, other = (condense(real, name, seed=seed, **options).soft_labels() for seed in (1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_labels_of_other_classes_than_0_1_and_so_on_are_refused():
    for classes, absent in (((0, 2, 3), 1), ((1, 2, 3), 0), ((0, 1, 7), 2)):
        with pytest.raises(ValueError, match=f"no class {absent}:"):
            condense(problem(classes), "ld", ipc=1, network=MAKE, iterations=2)


def test_a_memory_takes_hard_labels_alone():
    with pytest.raises(ValueError, match=r"learns labels over all classes.*such as frepo"):
        ClassMemory(10, method="frepo+labels")


def test_labels_that_diverge_are_named():
    with pytest.raises(ValueError, match=r"labels are NaN.*labels.lr"):
        check_finite(torch.zeros(2), build("ld"), 3, torch.tensor([0.5, float("nan")]))


def test_a_condensed_set_gets_labels():
    """Its images stay under ``ld``, and are where those of ``frepo+labels`` begin."""
    real = problem()
    start = condense(real, "dm", ipc=2, network=MAKE, iterations=3, real_per_class=6)
    for name, stay in (("ld", True), ("frepo+labels", False)):
        made = condense(real, name, ipc=2, network=MAKE, iterations=4, real_per_class=6, start=start)
        assert made.soft_labels().shape == (6, 3)
        assert made.pixels.equal(start.pixels) is stay
        with pytest.raises(ValueError, match=f"{re.escape(name)} learns the labels of all: leave only_new out"):
            condense(real, name, ipc=3, network=MAKE, iterations=4, start=start, only_new=True)
    with pytest.raises(ValueError, match="soft labels, which condensing would lose"):
        condense(real, "dm", ipc=2, network=MAKE, iterations=4, start=made)


def test_first_labels_are_as_certain_as_asked():
    for classes in (1, 2, 10):
        start = LearnedLabels(certainty=0.6).start(classes, 2, torch.device("cpu")).softmax(-1)
        assert start.shape == (classes, 2, classes)
        own = start[torch.arange(classes), :, torch.arange(classes)]
        torch.testing.assert_close(own, torch.full_like(own, 0.6 if classes > 1 else 1.0))
