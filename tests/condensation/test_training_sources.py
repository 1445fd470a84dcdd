"""Networks that train while they are looked through: DC's, CAFE's and IDC's."""

import copy
import random
from collections import deque

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference import mixed_with
from sources import Exact, never, weights

from cl_condense.common.rng import Purpose, permutation
from cl_condense.condensation.paper_settings import tuned
from cl_condense.condensation.sources import training
from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.condensation.sources.training import DynamicLoop, InnerLoop, RealTraining
from cl_condense.data.imageset import ImageSet
from cl_condense.networks.init import Initialiser
from cl_condense.training.augment import DSA

SHAPE, CLASSES, SEED = (1, 8, 8), (2, 3, 11), 5
PLAIN, AUGMENTED = DSA("none"), DSA()
TUNED = tuned({("cifar10", 1): (2,)})[0]


def problem(counts=(6, 9, 7)):
    """A picture of each class, with some noise."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(len(counts), *SHAPE, generator=generator)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    images = pictures[labels] + 0.5 * torch.randn(len(labels), *SHAPE, generator=generator)
    return ImageSet.of(images, torch.tensor(CLASSES)[labels])


def context(real=None, seed=SEED, augment=PLAIN):
    return SourceContext(real or problem(), Exact, augment, seed)


def pictures(number, m=2):
    """Synthetic images ``[k, m, c, h, w]``."""
    return torch.randn(3, m, *SHAPE, generator=torch.Generator().manual_seed(100 + number))


def drawn(number, seed=SEED):
    net = Exact(3)
    Initialiser(net)(seed, number)
    return weights(net)


def generators():
    return [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]


def sgd(net, x, y, *keys, epochs=1, batch=256, momentum=0.0, augment=PLAIN, mixed=0.0, optimizer=None):
    """Torch's SGD at 0.01, or a given optimiser, on images ``[n, c, h, w]``, as the papers' loops go."""
    net.requires_grad_(True)
    optimizer = optimizer or torch.optim.SGD(net.parameters(), 0.01, momentum)
    for epoch in range(epochs):
        order = permutation(len(x), Purpose.SHUFFLE, Purpose.TRAIN_NET, *keys, epoch, 0)
        for number, part in enumerate(order.split(batch)):
            now = (Purpose.TRAIN_NET, *keys, epoch, number)
            seen, labels = augment(x[part][None], augment.draw([0], *now, images=len(part))), y[part]
            seen, partner, share = mixed_with(seen, mixed, *now)
            logits = net(seen[0])
            own, other = (F.cross_entropy(logits, target) for target in (labels, labels[partner[0]]))
            optimizer.zero_grad()
            (share * own + (1 - share) * other).backward()
            optimizer.step()


class Images:
    """The synthetic images of the moment, and how often they were asked for."""

    def __init__(self, *shown):
        self.shown, self.calls = shown or (pictures(0),), 0

    def __call__(self):
        self.calls += 1
        return self.shown[min(self.calls, len(self.shown)) - 1]


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)


ALL = [
    pytest.param(InnerLoop(3, 2), id="InnerLoop"),
    pytest.param(DynamicLoop(window=2, epochs=3, real_per_class=5), id="DynamicLoop"),
    pytest.param(RealTraining(3, 20), id="RealTraining"),
]


def history(nets, where, iterations=5):
    """Weights at every iteration, as a condensation goes."""
    source, found = nets.start(where), []
    for iteration in range(iterations):
        found.append(weights(source.at(iteration).net))
        source.advance(iteration, lambda i=iteration: pictures(i))
    return torch.stack(found)


@pytest.mark.parametrize("nets", ALL)
def test_networks_take_no_gradients_and_stay_in_training_mode_when_handed_out(nets):
    source = nets.start(context())
    first = source.at(0).net
    for iteration in range(5):
        look = source.at(iteration)
        assert look.net is first
        assert not any(p.requires_grad for p in look.net.parameters())
        assert look.net.training
        assert look.net.classifier.out_features == 3
        source.advance(iteration, Images())


@pytest.mark.parametrize("nets", ALL)
def test_the_seed_alone_decides_the_weights(nets):
    torch.manual_seed(1)
    first = history(nets, context(augment=AUGMENTED))
    torch.manual_seed(2)
    assert torch.equal(first, history(nets, context(augment=AUGMENTED)))
    other = history(nets, context(augment=AUGMENTED, seed=SEED + 1))
    assert not (first == other).all(1).any()


@pytest.mark.parametrize("nets", ALL)
def test_the_global_generators_are_left_alone(nets):
    before = generators()
    history(nets, context(augment=AUGMENTED))
    assert generators() == before


@pytest.mark.parametrize("nets", ALL)
def test_the_synthetic_images_get_no_gradients(nets):
    leaf = pictures(0).requires_grad_()
    source = nets.start(context())
    source.at(0)
    source.advance(0, lambda: leaf * 1)
    assert leaf.grad is None


# InnerLoop ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outer", [1, 3, 4])
def test_a_network_of_the_inner_loop_serves_the_outer_iterations(outer):
    (source, other), images, ages = (InnerLoop(outer, 2).start(context()) for _ in range(2)), Images(), []
    for iteration in range(9):
        look = source.at(iteration)
        ages.append(look.age)
        assert look.accuracy is None
        same = weights(other.at(iteration).net)
        if iteration % outer == 0:  # whatever the last network was trained on
            assert torch.equal(weights(look.net), same)
            assert torch.equal(weights(look.net), drawn(iteration // outer))
        else:
            assert not torch.equal(weights(look.net), same)
        source.advance(iteration, images)
        other.advance(iteration, lambda: pictures(1))
    assert ages == [iteration % outer for iteration in range(9)]


@pytest.mark.parametrize("outer", [1, 3])
def test_a_network_trains_after_every_step_but_its_last_on_the_images_of_the_moment(outer):
    where = context(augment=AUGMENTED)
    images, source = Images(*(pictures(i) for i in range(9))), InnerLoop(outer, 1).start(where)
    y, trainings = torch.tensor([0, 0, 1, 1, 2, 2]), 0
    for iteration in range(8):
        net = source.at(iteration).net
        before, alike = weights(net), copy.deepcopy(net)
        assert images.calls == trainings, "images are decoded only to train on them"
        source.advance(iteration, images)
        last = iteration % outer == outer - 1
        assert torch.equal(weights(net), before) == last
        if not last:
            sgd(alike, pictures(trainings).flatten(0, 1), y, SEED, iteration, augment=AUGMENTED)
            close(weights(net), weights(alike))
            trainings += 1
    assert images.calls == trainings == 8 - (8 // outer)


@pytest.mark.parametrize("augment", [PLAIN, AUGMENTED], ids=["plain", "augmented"])
@pytest.mark.parametrize(("inner", "m"), [(1, 1), (4, 2), (3, 90)])
def test_inner_training_is_plain_sgd_augmented_where_the_method_augments(inner, m, augment):
    source = InnerLoop(9, inner).start(context(augment=augment))
    net = source.at(0).net
    want, other, before = copy.deepcopy(net), copy.deepcopy(net), weights(net)
    x, y = pictures(7, m).flatten(0, 1), torch.arange(3).repeat_interleave(m)
    source.advance(0, lambda: pictures(7, m))
    sgd(want, x, y, SEED, 0, epochs=inner, augment=augment)
    close(weights(net), weights(want))
    sgd(other, x, y, SEED, 0, epochs=inner, augment=PLAIN if augment is AUGMENTED else AUGMENTED)
    assert float((weights(net) - weights(other)).abs().max()) > 1e-5
    assert float((weights(net) - before).abs().max()) > 1e-3


def test_numbers_of_the_inner_loop_that_are_not_settled_are_an_error():
    for nets in (InnerLoop(TUNED, 1), InnerLoop(1, TUNED)):
        with pytest.raises(ValueError, match="settle it"):
            nets.start(context())


# DynamicLoop ----------------------------------------------------------------------------------------------


def course(monkeypatch, nets, accuracies):
    """(age of the network, epochs of training after it) of every iteration, with accuracies from a script."""
    script = deque(accuracies)
    monkeypatch.setattr(training._Dynamic, "_real_accuracy", lambda self, *keys: script.popleft())
    source, images, found = nets.start(context()), Images(), []
    while script:
        look, calls = source.at(len(found)), images.calls
        before = weights(look.net)
        source.advance(len(found), images)
        found.append((look.age, images.calls - calls))
        assert torch.equal(weights(look.net), before) == (images.calls == calls)
    return found


FLAT = [0.5] * 4  # of four epochs, the most there are


def test_a_network_that_has_settled_is_replaced_and_the_next_one_judged_afresh(monkeypatch):
    script = [0.5, *FLAT, 0.5, *FLAT, 0.5] * 2 + [0.5, *FLAT]
    nets = DynamicLoop(settled=0.04, moved=0.03, window=3, epochs=4)
    assert course(monkeypatch, nets, script) == [(0, 4), (1, 4), (2, 0), (0, 4), (1, 4), (2, 0), (0, 4)]


def test_only_the_last_accuracies_tell_whether_a_network_has_settled(monkeypatch):
    script = [0.0, *FLAT, 0.5, *FLAT, 0.53, *FLAT, 0.5, 0.5, *FLAT]
    nets = DynamicLoop(settled=0.04, moved=0.03, window=3, epochs=4)
    assert course(monkeypatch, nets, script) == [(0, 4), (1, 4), (2, 4), (3, 0), (0, 4)]


def test_inner_training_ends_when_the_last_accuracies_span_more_or_at_its_limit(monkeypatch):
    moves, later, never_moves = [0.1, 0.2, 0.3], [0.5, 0.5, 0.5, 0.5, 0.54], [0.5, 0.52, 0.5] * 3
    script = [0.5, *moves, 0.9, *later, 0.1, *never_moves, 0.9, *moves]
    nets = DynamicLoop(settled=0.04, moved=0.03, window=3, epochs=9)
    assert course(monkeypatch, nets, script) == [(0, 3), (1, 5), (2, 9), (3, 3)]


def test_a_span_of_just_the_limit_neither_settles_nor_moves(monkeypatch):
    limit = [0.5, 0.75, 0.5, 0.75]
    nets = DynamicLoop(settled=0.25, moved=0.25, window=2, epochs=4)
    script = [0.5, *limit, 0.75, *limit, 0.625, 0.0, 0.0, 0.5]
    assert course(monkeypatch, nets, script) == [(0, 4), (1, 4), (2, 0), (0, 2)]


def test_each_new_network_of_the_dynamic_loop_is_a_draw_of_its_own():
    always = DynamicLoop(settled=2.0, window=1, real_per_class=5)
    found = history(always, context(), 4)
    assert torch.equal(found, torch.stack([drawn(number) for number in range(4)]))


@pytest.mark.parametrize("augment", [PLAIN, AUGMENTED], ids=["plain", "augmented"])
def test_the_dynamic_loop_trains_epoch_by_epoch_on_the_images_of_the_moment(augment):
    images, source = Images(*map(pictures, range(3))), DynamicLoop(epochs=3).start(context(augment=augment))
    net = source.at(0).net
    want, y = copy.deepcopy(net), torch.tensor([0, 0, 1, 1, 2, 2])
    source.advance(0, images)
    for epoch in range(3):
        sgd(want, pictures(epoch).flatten(0, 1), y, SEED, 0, epoch + 1, augment=augment)
    close(weights(net), weights(want))
    assert images.calls == 3


def test_the_accuracy_of_the_dynamic_loop_is_the_share_of_real_images_of_all_classes_alike():
    real = problem((4, 8, 2))
    source = DynamicLoop(real_per_class=400).start(context(real))  # each image 100, 50 or 200 times
    net, x = source.at(0).net, real.take(torch.arange(len(real)))
    sgd(net, x[:12], real.targets[:12], epochs=30, momentum=0.9)
    guesses = net(x).argmax(1)
    right = [float((guesses[real.labels == c] == i).double().mean()) for i, c in enumerate(CLASSES)]
    assert right == [1.0, 1.0, 0.0], "it has not seen the third class"
    assert source._real_accuracy(0, 0) == pytest.approx(2 / 3)


def test_the_accuracy_of_the_dynamic_loop_is_taken_on_other_images_each_time(monkeypatch):
    real, seen = problem((60, 60, 60)), []
    take = ImageSet.take
    monkeypatch.setattr(ImageSet, "take", lambda self, index: seen.append(index) or take(self, index))
    source = DynamicLoop(settled=-1.0, epochs=2, real_per_class=10).start(context(real))
    for iteration in range(2):
        source.at(iteration)
        source.advance(iteration, Images())
    assert len({tuple(sorted(index.flatten().tolist())) for index in seen}) == len(seen) == 2 * (1 + 2)
    assert all(index.numel() == 30 for index in seen)


# RealTraining ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 3])
def test_a_network_trains_on_real_images_after_every_step_but_its_last(steps):
    source = RealTraining(steps, 20).start(context())
    ages = []
    for iteration in range(7):
        look = source.at(iteration)
        ages.append(look.age)
        before = weights(look.net)
        if look.age == 0:
            assert torch.equal(before, drawn(iteration // steps))
        source.advance(iteration, never)
        assert torch.equal(weights(look.net), before) == (iteration % steps == steps - 1)
    assert ages == [iteration % steps for iteration in range(7)]


@pytest.mark.parametrize(
    ("mixed", "augment"), [(0.0, PLAIN), (0.5, DSA("color_crop", every=True)), (1.0, AUGMENTED)]
)
@pytest.mark.parametrize("images", [20, 150])
def test_real_training_is_the_papers_loop_on_a_sample_of_the_real_images(images, mixed, augment):
    """Which goes on with its momentum, and starts at rest with every network."""
    real = problem((60, 90, 70))
    source = RealTraining(4, images, mixed, augment).start(context(real))
    for iteration in range(7):
        look = source.at(iteration)
        if look.age == 0:
            want = copy.deepcopy(look.net).requires_grad_(True)
            optimizer = torch.optim.SGD(want.parameters(), 0.01, 0.9, weight_decay=5e-4)
        before = weights(look.net)
        source.advance(iteration, never)
        if look.age == 3:
            continue
        index, y = real.sample(images, Purpose.TRAIN_NET, SEED, iteration)
        options = {"batch": 64, "optimizer": optimizer, "mixed": mixed, "augment": augment}
        sgd(want, real.take(index), y, SEED, iteration, **options)
        close(weights(look.net), weights(want))
        assert float((weights(look.net) - before).abs().max()) > 1e-4


def test_real_training_augments_and_mixes_unless_told_otherwise():
    nets = RealTraining()
    assert (nets.steps, nets.images, nets.cutmix) == (100, 2000, 0.5)
    assert nets.augment == DSA("color_crop", every=True)


def test_a_number_of_the_real_training_that_is_not_settled_is_an_error():
    source = RealTraining(3, TUNED).start(context())
    source.at(0)
    with pytest.raises(ValueError, match="settle it"):
        source.advance(0, never)


def test_networks_learn_the_real_images():
    real = problem((60, 90, 70))
    source = RealTraining(12, 640).start(context(real))
    x, losses = real.take(torch.arange(len(real))), []
    for iteration in range(24):
        with torch.no_grad():
            losses.append(float(F.cross_entropy(source.at(iteration).net(x), real.targets)))
        source.advance(iteration, never)
    for first in (0, 12):
        assert losses[first] > 1.0, "a new network knows nothing"
        assert losses[first + 11] < 0.5 * losses[first]
