from itertools import pairwise

import pytest
import torch
from noise import images
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from cl_condense.networks.classic import MLP, VGG11, AlexNet, LeNet
from cl_condense.networks.init import Initialiser

MAPS = frozenset({"maps"})
COLOUR, GREY = (3, 32, 32), (1, 28, 28)


def scatter(net):
    """Norms that differ, too."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.GroupNorm | nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(std=0.3, generator=generator)
    return net


def size(net):
    return sum(p.numel() for p in net.parameters())


def linear(inputs, outputs):
    return inputs * outputs + outputs


def conv(inputs, outputs, side, norm=False):
    return inputs * outputs * side * side + outputs + 2 * outputs * norm


def alexnet(channels, norm):
    convs = conv(channels, 128, 5, norm) + conv(128, 192, 5, norm) + conv(192, 256, 3, norm)
    return convs + conv(256, 192, 3, norm) + conv(192, 192, 3, norm) + linear(192 * 4 * 4, 10)


def vgg(channels):
    widths = (channels, 64, 128, 256, 256, 512, 512, 512, 512)
    return sum(conv(a, b, 3, True) for a, b in pairwise(widths)) + linear(512, 10)


@pytest.mark.parametrize(
    ("make", "shape", "counted", "authors", "embedding"),
    [
        (MLP, COLOUR, linear(3072, 128) + linear(128, 128) + linear(128, 10), 411_146, 128),
        (MLP, GREY, linear(784, 128) + linear(128, 128) + linear(128, 10), 118_282, 128),
        (LeNet, COLOUR, conv(3, 6, 5) + conv(6, 16, 5) + linear(400, 120) + linear(120, 84) + 850, 62_006, 84),
        (LeNet, GREY, conv(1, 6, 5) + conv(6, 16, 5) + linear(400, 120) + linear(120, 84) + 850, 61_706, 84),
        (AlexNet, COLOUR, alexnet(3, False), 1_872_202, 3072),
        (AlexNet, GREY, alexnet(1, False), 1_865_802, 3072),
        (lambda *args: AlexNet(*args, norm="batch"), COLOUR, alexnet(3, True), 1_874_122, 3072),
        (VGG11, COLOUR, vgg(3), 9_231_114, 512),
        (VGG11, GREY, vgg(1), 9_229_962, 512),
        (lambda *args: VGG11(*args, norm="batch"), COLOUR, vgg(3), 9_231_114, 512),
    ],
)
def test_number_of_parameters_is_the_sum_over_the_layers(make, shape, counted, authors, embedding):
    with torch.device("meta"):
        net = make(shape, 10)
        f = net.features(torch.empty(2, *shape))
    assert size(net) == counted == authors
    assert (f.embedding.shape, f.logits.shape, f.maps, f.convs) == ((2, embedding), (2, 10), (), ())


def published_lenet(grey):
    convs = [nn.Conv2d(1 if grey else 3, 6, 5, padding=2 if grey else 0), nn.ReLU(), nn.MaxPool2d(2)]
    convs += [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU()]
    return nn.Sequential(*convs, nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def published_mlp(grey):
    first = nn.Linear(784 if grey else 3072, 128)
    layers = nn.Flatten(), first, nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    return nn.Sequential(*layers)


def published_alexnet(grey, norm=False):
    layers, inputs = [], 1 if grey else 3
    for filters, side, pool in ((128, 5, 1), (192, 5, 1), (256, 3, 0), (192, 3, 0), (192, 3, 1)):
        padding = 4 if grey and not layers else side // 2
        layers += [
            nn.Conv2d(inputs, filters, side, padding=padding),
            *[nn.BatchNorm2d(filters)] * norm,
            nn.ReLU(),
        ]
        layers += [nn.MaxPool2d(2, 2)] * pool
        inputs = filters
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(3072, 10))


def in_order(net):
    """Parameters layer by layer, where a norm comes after its convolution."""
    if not hasattr(net, "norms"):
        return list(net.parameters())
    layers = [layer for pair in zip(net.convs, net.norms, strict=True) for layer in pair]
    return [p for layer in (*layers, net.classifier) for p in layer.parameters()]


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(
    ("make", "published"),
    [
        (MLP, published_mlp),
        (LeNet, published_lenet),
        (AlexNet, published_alexnet),
        (lambda *args: AlexNet(*args, norm="batch"), lambda grey: published_alexnet(grey, True)),
    ],
    ids=["mlp", "lenet", "alexnet", "alexnet_bn"],
)
def test_outputs_equal_the_published_list_of_layers(make, published, grey):
    shape = GREY if grey else COLOUR
    net, want = scatter(make(shape, 10)).double(), published(grey).double()
    with torch.no_grad():
        for p, q in zip(in_order(net), want.parameters(), strict=True):
            q.copy_(p)
    x = images(3, *shape).double()
    for mode in (True, False):
        f = net.train(mode).features(x)
        torch.testing.assert_close(f.logits, want.train(mode)(x), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(f.logits, net.classifier(f.embedding))


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_vgg_equals_torchvisions_layers(norm):
    net, layers = scatter(VGG11(COLOUR, 10, norm=norm)), []
    for layer in make_layers(cfgs["A"], batch_norm=norm == "batch"):
        layers.append(layer)
        if norm == "instance" and isinstance(layer, nn.Conv2d):
            layers.append(nn.GroupNorm(layer.out_channels, layer.out_channels))
    want = nn.Sequential(*layers)
    assert size(want) + linear(512, 10) == size(net)
    with torch.no_grad():
        for p, q in zip(in_order(net), want.parameters(), strict=False):
            q.copy_(p)
    x, seen = images(2, *COLOUR), []
    for layer in want:
        if isinstance(layer, nn.ReLU):
            layer.register_forward_hook(lambda module, args, out: seen.append(out.clone()))
    for mode in (True, False):
        seen.clear()
        f, embedding = net.train(mode).features(x, MAPS), want.train(mode)(x).flatten(1)
        torch.testing.assert_close(f.embedding, embedding, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(list(f.maps), seen, rtol=1e-4, atol=1e-5)
    assert [m.shape[1:] for m in f.maps[:3]] == [(64, 32, 32), (128, 16, 16), (256, 8, 8)]


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_alexnets_maps_are_the_first_two_after_pooling(norm):
    net, x = AlexNet((3, 16, 16), 5, norm=norm), images(2, 3, 16, 16)
    f = net.features(x, MAPS)
    assert [m.shape for m in f.maps] == [(2, 128, 8, 8), (2, 192, 4, 4)]
    first = nn.functional.max_pool2d(net.norms[0](net.convs[0](x)).relu(), 2)
    torch.testing.assert_close(f.maps[0], first)
    torch.testing.assert_close(f.maps[1], nn.functional.max_pool2d(net.norms[1](net.convs[1](first)).relu(), 2))
    assert torch.equal(f.pooled.flatten(1), f.embedding)
    assert torch.equal(net.features(x).logits, f.logits)


@pytest.mark.parametrize("make", [MLP, LeNet, AlexNet, VGG11])
def test_taps_that_a_network_lacks_are_refused_in_one_line(make):
    net = make(COLOUR, 5)
    for tap in ("maps", "convs"):
        if tap == "maps" and make in (AlexNet, VGG11):
            continue
        with pytest.raises(ValueError, match=f'has no tap "{tap}".*ConvNet') as error:
            net.features(images(1, *COLOUR), frozenset({tap}))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: LeNet((3, 15, 15), 5), "LeNet.*15x15.*16x16 or more"),
        (lambda: LeNet((1, 32, 8), 5), "LeNet.*32x8"),
        (lambda: AlexNet((3, 7, 7), 5), "AlexNet.*7x7.*halves them 3 times.*8x8 or more"),
        (lambda: VGG11((3, 28, 28), 5), "VGG-11.*28x28.*halves them 5 times.*32x32 or more"),
        (lambda: VGG11((3, 31, 64), 5), "VGG-11.*31x64"),
        (lambda: MLP((3, 8, 8), 5, width=0), "MLP.*width 0"),
        (lambda: AlexNet(COLOUR, 5, norm="instance"), "norm of an AlexNet 'instance': known are none, batch"),
        (lambda: VGG11(COLOUR, 5, norm="bach"), "'bach': did you mean 'batch'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(make, named):
    with pytest.raises(ValueError, match=named) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "shape"), [(LeNet, (3, 16, 16)), (AlexNet, (3, 8, 8)), (VGG11, (3, 32, 40)), (MLP, (2, 3, 4))]
)
def test_the_smallest_images_and_oblong_ones_fit(make, shape):
    assert make(shape, 5)(images(2, *shape)).shape == (2, 5)


@pytest.mark.parametrize("make", [MLP, LeNet, AlexNet])
def test_weights_depend_on_the_keys_alone(make):
    nets = [make((3, 16, 16), 5) for _ in range(3)]
    for net, keys in zip(nets, ((3, 4), (3, 4), (4, 3)), strict=True):
        Initialiser(net)(*keys)
    first, again, other = (net.state_dict() for net in nets)
    assert all(torch.equal(v, again[name]) for name, v in first.items())
    assert not any(torch.equal(v, other[name]) for name, v in first.items())
