"""Which network looks at an iteration: the untrained ones, and what every source that trains one builds on."""

import pytest
import torch
from sources import weights
from torch import nn

from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.condensation.sources.untrained import RandomNets, Redrawn, fit
from cl_condense.data.imageset import ImageSet
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.training.augment import DSA
from cl_condense.training.protocol import Training

MAKE = MakeConvNet((1, 8, 8), width=2)
REAL = ImageSet.of(torch.zeros(6, 1, 8, 8), [1, 1, 4, 4, 7, 7])  # three classes


def context(seed=0, network=MAKE):
    return SourceContext(REAL, network, DSA(), seed)


def source(seed=0, **options):
    return RandomNets(**options).start(context(seed))


def at(nets, iteration):
    return weights(nets.at(iteration).net)


@pytest.mark.parametrize("before", [[], [0], [5, 2, 3], [2, 2], [100]])
def test_an_iteration_has_the_same_network_whatever_was_asked_before(before):
    nets = source()
    for iteration in before:
        nets.at(iteration)
    torch.manual_seed(99)
    assert torch.equal(at(nets, 2), at(source(), 2))
    assert torch.equal(at(nets, 2), at(nets, 2))


def test_weights_are_the_draw_of_seed_and_iteration():
    net = MAKE(3)
    Initialiser(net)(7, 4)
    assert torch.equal(at(source(seed=7), 4), weights(net))
    assert not torch.equal(at(source(seed=7), 5), weights(net))
    assert not torch.equal(at(source(seed=8), 4), weights(net))


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_network_is_kept_for_the_given_number_of_steps(steps):
    nets = source(steps=steps)
    looks = [(tuple(weights(look.net).tolist()), look.age) for look in map(nets.at, range(10))]
    for a in range(10):
        for b in range(10):
            assert (looks[a][0] == looks[b][0]) == (a // steps == b // steps)
    assert [age for _, age in looks] == [iteration % steps for iteration in range(10)]
    assert looks[9][0] == tuple(at(source(), 9 // steps).tolist())


def test_networks_are_drawn_in_place_frozen_and_in_training_mode():
    nets = source()
    look = nets.at(0)
    assert nets.at(1).net is look.net
    assert look.net.training
    assert not any(p.requires_grad for p in look.net.parameters())
    assert look.net.classifier.out_features == 3
    assert look.accuracy is None


def test_nothing_happens_to_untrained_networks_between_iterations():
    def images():
        raise AssertionError("they are not trained")

    nets = source(steps=2)
    before = at(nets, 0)
    nets.advance(0, images)
    assert torch.equal(at(nets, 1), before)


def test_a_network_without_features_is_refused():
    with pytest.raises(ValueError, match="Linear has no features"):
        RandomNets().start(context(network=lambda classes: nn.Linear(2, classes)))


def test_drawing_a_network_leaves_the_global_generator_alone():
    nets = source()
    before = torch.get_rng_state()
    nets.at(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_making_the_source_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    source()
    assert torch.equal(torch.get_rng_state(), before)


def test_kinds_of_networks_are_equal_where_their_settings_are():
    assert len({RandomNets(), RandomNets(1), RandomNets(5)}) == 2


@torch.no_grad()
def test_networks_are_fitted_even_where_gradients_are_off_and_frozen_afterwards():
    x, y = torch.linspace(-1, 1, 256).view(4, 1, 8, 8), torch.tensor([0, 1, 2, 2])
    nets = [MAKE(3).requires_grad_(False) for _ in range(2)]
    before = [weights(net) for net in nets]
    accuracy = fit(nets, x, y, Training(2, augment=None), 5)
    assert accuracy.shape == (2,)
    for net, old in zip(nets, before, strict=True):
        assert not torch.equal(weights(net), old)
        assert not any(p.requires_grad for p in net.parameters())


def test_the_synthetic_images_are_labelled_class_by_class_and_get_no_gradients(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "cl_condense.condensation.sources.untrained.fit",
        lambda nets, x, y, *rest, ranks: seen.append((nets, x, y, rest)),
    )
    images = torch.arange(6.0).view(3, 2, 1, 1, 1).expand(3, 2, 1, 8, 8).clone().requires_grad_()
    redrawn, training = Redrawn(context(seed=9)), Training(1)
    redrawn.fit(images, training, 3, 4)
    ((nets, x, y, rest),) = seen
    assert nets == [redrawn.net]
    assert rest == (training, 9, 3, 4)
    assert x[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert y.tolist() == [0, 0, 1, 1, 2, 2]
    assert not x.requires_grad
