import pytest
import torch
from torch import nn

from cl_condense.networks import Initialiser, MakeConvNet
from cl_condense.sources import RandomNets

MAKE = MakeConvNet((1, 8, 8), width=2)
CPU = torch.device("cpu")


def source(seed=0, **options):
    return RandomNets(MAKE, 3, seed=seed, device=CPU, **options)


def weights(net):
    return torch.cat([p.flatten() for p in net.parameters()])


@pytest.mark.parametrize("before", [[], [0], [5, 2, 3], [2, 2], [100]])
def test_an_iteration_has_the_same_network_whatever_was_asked_before(before):
    nets = source()
    for iteration in before:
        nets.at(iteration)
    torch.manual_seed(99)
    assert torch.equal(weights(nets.at(2)), weights(source().at(2)))
    assert torch.equal(weights(nets.at(2)), weights(nets.at(2)))


def test_weights_are_the_draw_of_seed_and_iteration():
    net = MAKE(3)
    Initialiser(net)(7, 4)
    assert torch.equal(weights(source(seed=7).at(4)), weights(net))
    assert not torch.equal(weights(source(seed=7).at(5)), weights(net))
    assert not torch.equal(weights(source(seed=8).at(4)), weights(net))


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_network_is_kept_for_the_given_number_of_steps(steps):
    nets = source(steps_per_net=steps)
    drawn = [tuple(weights(nets.at(iteration)).tolist()) for iteration in range(10)]
    for a in range(10):
        for b in range(10):
            assert (drawn[a] == drawn[b]) == (a // steps == b // steps)
    assert drawn[9] == tuple(weights(source().at(9 // steps)).tolist())


def test_networks_are_drawn_in_place_frozen_and_in_training_mode():
    nets = source()
    net = nets.at(0)
    assert nets.at(1) is net
    assert net.training
    assert not any(p.requires_grad for p in net.parameters())
    assert net.classifier.out_features == 3


def test_a_network_without_features_is_refused():
    with pytest.raises(ValueError, match="Linear has no features"):
        RandomNets(lambda classes: nn.Linear(2, classes), 3, seed=0, device=CPU)


def test_drawing_a_network_leaves_the_global_generator_alone():
    nets = source()
    before = torch.get_rng_state()
    nets.at(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_making_the_source_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    source()
    assert torch.equal(torch.get_rng_state(), before)
