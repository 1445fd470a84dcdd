"""torchvision's classifiers by name."""

import pickle

import pytest
import torch
from torchvision.models import resnet18

from cl_condense.networks.init import Initialiser
from cl_condense.networks.registry import architecture
from cl_condense.networks.torchvision_nets import names


def test_it_is_torchvisions_own():
    torch.manual_seed(3)
    ours = architecture("torchvision:resnet18", (3, 32, 32))(5).eval()
    torch.manual_seed(3)
    theirs = resnet18(num_classes=5).eval()
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(ours(x), theirs(x))
    theirs.load_state_dict(ours.net.state_dict())  # under its own names


def test_weights_come_from_keys_alone_and_are_all_drawn():
    net = architecture("torchvision:mobilenet_v3_small", (3, 32, 32))(3)
    draw = Initialiser(net)
    draw(7)
    first = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.random.get_rng_state()
    for value in net.state_dict().values():
        value.fill_(9)
    draw(7)
    assert all(torch.equal(value, first[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
    draw(8)
    assert not torch.equal(net.state_dict()["net.classifier.3.weight"], first["net.classifier.3.weight"])


def test_grey_images_go_in_three_times_and_the_embedding_is_what_the_classifier_sees():
    net = architecture("torchvision:resnet18", (1, 32, 32))(4).eval()
    x = torch.rand(2, 1, 32, 32)
    found = net.features(x)
    assert torch.equal(found.logits, net(x.expand(-1, 3, -1, -1)))
    torch.testing.assert_close(net.net.fc(found.embedding), found.logits)
    assert found.embedding.shape == (2, 512)


def test_a_maker_can_be_pickled():
    make = pickle.loads(pickle.dumps(architecture("torchvision:resnet18", (3, 32, 32))))
    assert make(3)(torch.rand(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize("name", "alexnet googlenet regnet_y_400mf squeezenet1_0 vit_b_32".split())
def test_classifiers_of_all_kinds_are_made(name):
    """At 224 pixels, without memory for weights."""
    assert f"torchvision:{name}" in names()
    with torch.device("meta"):
        make = architecture(f"torchvision:{name}", (3, 224, 224))
        assert make(7).eval()(torch.empty(1, 3, 224, 224)).shape == (1, 7)
