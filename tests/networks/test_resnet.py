import pickle

import pytest
import torch
import torch.nn.functional as F
from noise import images
from torch import nn
from torchvision.models import resnet18
from torchvision.models.resnet import BasicBlock as TheirBlock
from torchvision.models.resnet import ResNet as TheirResNet

from cl_condense.networks.contract import make_feature_net
from cl_condense.networks.init import Initialiser
from cl_condense.networks.resnet import MakeResNet, ResNet

MAPS = frozenset({"maps"})


def small(size=16, classes=5, keys=(0,), **options):
    """A narrow network whose norms, too, have weights that differ."""
    net = ResNet((3, size, size), classes, width=8, **options)
    Initialiser(net)(*keys)
    scatter(net)
    return net


def scatter(net):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.GroupNorm | nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(std=0.3, generator=generator)


def torchvisions():
    """torchvision's ResNet-18 with the stem and the norm of the condensation papers."""
    net = resnet18(num_classes=10, norm_layer=lambda channels: nn.GroupNorm(channels, channels))
    net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    net.maxpool = nn.Identity()
    scatter(net)
    return net


def size(net):
    return sum(p.numel() for p in net.parameters())


def conv(inputs, outputs, side):
    return inputs * outputs * side * side + 2 * outputs  # without bias, and the norm's scale and shift


def test_number_of_parameters_is_the_sum_over_the_layers():
    total = conv(3, 64, 3)
    total += conv(64, 64, 3) + conv(64, 64, 3)
    total += conv(64, 64, 3) + conv(64, 64, 3)
    total += conv(64, 128, 3) + conv(128, 128, 3) + conv(64, 128, 1)
    total += conv(128, 128, 3) + conv(128, 128, 3)
    total += conv(128, 256, 3) + conv(256, 256, 3) + conv(128, 256, 1)
    total += conv(256, 256, 3) + conv(256, 256, 3)
    total += conv(256, 512, 3) + conv(512, 512, 3) + conv(256, 512, 1)
    total += conv(512, 512, 3) + conv(512, 512, 3)
    total += 512 * 10 + 10
    assert total == 11_173_962
    assert size(MakeResNet((3, 32, 32))(10)) == total == size(torchvisions())


def test_number_of_parameters_follows_width_blocks_channels_and_classes():
    total = conv(1, 8, 3)
    total += 3 * (conv(8, 8, 3) + conv(8, 8, 3))
    total += conv(8, 16, 3) + conv(16, 16, 3) + conv(8, 16, 1)
    total += conv(16, 32, 3) + conv(32, 32, 3) + conv(16, 32, 1) + conv(32, 32, 3) + conv(32, 32, 3)
    total += conv(32, 64, 3) + conv(64, 64, 3) + conv(32, 64, 1)
    total += 64 * 7 + 7
    assert size(MakeResNet((1, 28, 28), width=8, blocks=(3, 1, 2, 1))(7)) == total


def test_outputs_taps_and_gradient_equal_torchvisions():
    want_net, net = torchvisions().double(), ResNet((3, 32, 32), 10).double()
    pairs = list(zip(net.parameters(), want_net.parameters(), strict=True))
    with torch.no_grad():
        for p, want in pairs:
            assert p.shape == want.shape
            p.copy_(want)
    seen = []
    for module in (want_net.layer1[0], want_net.layer2[0], want_net.layer3[0]):  # what goes into each stage
        module.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    want_net.layer4.register_forward_hook(lambda module, args, out: seen.append(out))
    x = images(2, 3, 32, 32).double().requires_grad_()
    got, want = net.features(x, MAPS), want_net(x)
    near = {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(got.logits, want, **near)
    torch.testing.assert_close(list(got.maps), seen[:3], **near)
    torch.testing.assert_close(got.embedding, F.avg_pool2d(seen[3], 4).flatten(1), **near)  # as published
    grads = (torch.autograd.grad(logits.sin().sum(), x) for logits in (got.logits, want))
    torch.testing.assert_close(*grads, **near)


def test_the_embedding_is_as_wide_at_64_pixels_where_pooling_by_4_gives_four_times_as_many():
    net, last = small(64), []
    net.stages[-1].register_forward_hook(lambda module, args, out: last.append(out))
    f = net.features(images(2, 3, 64, 64))
    assert f.embedding.shape == (2, 64)
    pooled = F.avg_pool2d(last[0], 4)
    assert pooled.flatten(1).shape == (2, 4 * 64)
    torch.testing.assert_close(f.embedding, pooled.mean((2, 3)))


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((3, 16, 16), [(16, 16), (16, 16), (8, 8), (4, 4), (2, 2)]),
        ((1, 28, 28), [(28, 28), (28, 28), (14, 14), (7, 7), (4, 4)]),
        ((3, 32, 32), [(32, 32), (32, 32), (16, 16), (8, 8), (4, 4)]),
        ((3, 16, 33), [(16, 33), (16, 33), (8, 17), (4, 9), (2, 5)]),
        ((3, 64, 64), [(64, 64), (64, 64), (32, 32), (16, 16), (8, 8)]),
    ],
)
def test_stages_halve_the_maps_and_double_the_channels(shape, sides):
    net, seen = ResNet(shape, 5, width=16), []
    for module in (net.stem, *net.stages):
        module.register_forward_hook(lambda module, args, out: seen.append(out.shape))
    f = net.features(images(2, *shape))
    assert seen == [(2, c, *side) for c, side in zip((16, 16, 32, 64, 128), sides, strict=True)]
    assert (f.embedding.shape, f.logits.shape) == ((2, 128), (2, 5))
    assert f.embedding.std() > 0.01


def test_taps_are_the_stem_and_two_stages_after_relu_and_stay_as_they_were():
    net, seen = small(), []
    for module in (net.stem, *net.stages[:2]):
        module.register_forward_hook(lambda module, args, out: seen.append(out.clone()))
    x = images(3, 3, 16, 16)
    f = net.features(x, MAPS)
    assert len(f.maps) == 3
    assert all(torch.equal(a, b) for a, b in zip(f.maps, seen, strict=True))
    assert all(m.min() == 0 < m.max() for m in f.maps)
    none = net.features(x)
    assert (none.maps, none.convs) == ((), ())
    assert torch.equal(none.logits, f.logits)
    assert torch.equal(net(x), f.logits)


def test_gradients_through_the_taps_equal_differences():
    net = small().double()
    x = images(1, 3, 16, 16).double().requires_grad_()
    towards = images(1, 3, 16, 16, seed=1).double()

    def value(x):
        f = net.features(x, MAPS)
        return f.logits.sin().sum() + sum(m.sin().mean() for m in f.maps)

    (grad,) = torch.autograd.grad(value(x), x)
    difference = (value(x + 1e-7 * towards) - value(x - 1e-7 * towards)) / 2e-7
    torch.testing.assert_close((grad * towards).sum(), difference.detach(), rtol=1e-5, atol=1e-7)


def test_the_tap_it_lacks_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r'"convs".*ConvNet') as error:
        small().features(images(1, 3, 16, 16), frozenset({"maps", "convs"}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("shape", "options", "named"),
    [
        ((3, 8, 8), {}, "8x8.*16x16 or more"),
        ((3, 15, 15), {}, "15x15"),
        ((3, 8, 32), {}, "8x32"),
        ((3, 32, 8), {}, "32x8"),
        ((3, 16, 16), {"width": 0}, "width 0"),
        ((3, 16, 16), {"blocks": (2, 2, 2)}, r"\(2, 2, 2\).*four stages"),
        ((3, 16, 16), {"blocks": (2, 2, 0, 2)}, r"\(2, 2, 0, 2\)"),
        ((3, 16, 16), {"blocks": ()}, r"\(\)"),
        ((3, 7, 32), {"norm": "batch"}, "7x32.*batch norm.*8x8 or more"),
        ((3, 31, 31), {"stem": "mid"}, "31x31.*mid stem.*32x32 or more"),
        ((3, 63, 64), {"stem": "large"}, "63x64.*64x64 or more"),
        ((3, 31, 32), {"stem": "large", "norm": "batch"}, "31x32.*32x32 or more"),
        ((3, 16, 16), {"norm": "layer"}, "norm of a ResNet 'layer': known are instance, batch"),
        ((3, 16, 16), {"halving": "strides"}, "halving 'strides': did you mean 'stride'"),
        ((3, 16, 16), {"stem": "middle"}, "stem 'middle'.*small, mid, large, auto"),
        ((3, 16, 16), {"head": "avg"}, "head 'avg': known are mean, flat"),
    ],
)
def test_a_resnet_that_does_not_fit_is_refused_in_one_line(shape, options, named):
    with pytest.raises(ValueError, match=named) as error:
        MakeResNet(shape, **{"width": 8, **options})(10)
    assert "\n" not in str(error.value)


def test_make_resnet_survives_pickling():
    make = MakeResNet((3, 16, 16), width=2, blocks=(1, 1, 1, 1), halving="pool", head="flat")
    again = pickle.loads(pickle.dumps(make))
    assert again == make
    assert hash(again) == hash(make)
    shapes = [[p.shape for p in m(7).parameters()] for m in (make, again)]
    assert shapes[0] == shapes[1]


def test_training_and_evaluation_give_the_same():
    net, x = small(), images(4, 3, 16, 16)
    assert torch.equal(net.train()(x), net.eval()(x))
    assert not list(net.buffers())


def test_weights_depend_on_the_key_alone():
    nets = [make_feature_net(MakeResNet((3, 16, 16), width=8), 5, torch.device("cpu")) for _ in range(3)]
    with torch.no_grad():
        for p in nets[1].parameters():
            p.fill_(7)
    for net, keys in zip(nets, ((3, 4), (3, 4), (4, 3)), strict=True):
        Initialiser(net)(*keys)
    first, again, other = (dict(net.named_parameters()) for net in nets)
    assert all(torch.equal(p, again[name]) for name, p in first.items())
    assert not any(torch.equal(p, other[name]) for name, p in first.items() if p.ndim > 1)


def test_images_of_a_batch_do_not_influence_one_another():
    net = small().double()
    x = images(4, 3, 16, 16).double().requires_grad_()
    logits = net(x)
    alone = torch.cat([net(x[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(logits, alone, rtol=1e-10, atol=1e-12)
    (grad,) = torch.autograd.grad(logits[1].square().sum(), x)
    assert [bool(g.any()) for g in grad] == [False, True, False, False]


def test_the_default_has_the_state_that_saved_records_depend_on():
    norms = ("conv1.weight", "norm1.weight", "norm1.bias", "conv2.weight", "norm2.weight", "norm2.bias")
    names = ["stem.0.weight", "stem.1.weight", "stem.1.bias"]
    for i in range(4):
        names += [f"stages.{i}.0.{name}" for name in norms]
        if i:
            names += [f"stages.{i}.0.shortcut.{name}" for name in ("0.weight", "1.weight", "1.bias")]
    net = ResNet((3, 16, 16), 5, width=2, blocks=(1, 1, 1, 1))
    assert list(net.state_dict()) == [*names, "classifier.weight", "classifier.bias"]


@pytest.mark.parametrize("blocks", [(2, 2, 2, 2), (1, 1, 1, 1)])
def test_batch_norm_equals_torchvisions_in_training_and_evaluation(blocks):
    want = TheirResNet(TheirBlock, list(blocks), num_classes=10)
    want.conv1, want.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    net = ResNet((3, 32, 32), 10, blocks=blocks, norm="batch")
    scatter(want)
    assert size(net) == size(want)
    with torch.no_grad():
        for p, q in zip(net.parameters(), want.parameters(), strict=True):
            p.copy_(q)
    x = images(4, 3, 32, 32)
    torch.testing.assert_close(net.train()(x), want.train()(x), rtol=1e-4, atol=1e-4)
    buffers = zip(net.buffers(), want.buffers(), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in buffers)
    torch.testing.assert_close(net.eval()(x), want.eval()(x), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(net(x), net.train()(x), atol=1e-2)


def test_batch_norm_takes_images_of_8_pixels():
    assert ResNet((3, 8, 8), 5, width=2, norm="batch")(images(2, 3, 8, 8)).shape == (2, 5)
    assert ResNet((3, 8, 8), 5, width=2, norm="batch", halving="pool")(images(2, 3, 8, 8)).shape == (2, 5)


def pooled(net, x, pool):
    """The average-pooling form written out; its strides are those of torch's pooling."""

    def norm(module, x):
        return F.group_norm(x, module.num_groups, module.weight, module.bias)

    def conv(module, x):
        return F.conv2d(x, module.weight, padding=module.weight.shape[-1] // 2)

    x = F.relu(norm(net.stem[1], conv(net.stem[0], x)))
    maps, x = [x], F.avg_pool2d(x, pool)
    for i, stage in enumerate(net.stages):
        for j, block in enumerate(stage):
            halve = (lambda y: F.avg_pool2d(y, 2, 2)) if i and not j else (lambda y: y)
            y = norm(block.norm2, conv(block.conv2, halve(F.relu(norm(block.norm1, conv(block.conv1, x))))))
            if i and not j:
                x = norm(block.shortcut[-1], halve(conv(block.shortcut[0], x)))
            x = F.relu(y + x)
        maps.append(x)
    return maps[:3], x


@pytest.mark.parametrize(
    ("shape", "options", "pool", "side"),
    [
        ((3, 32, 32), {"head": "flat"}, 1, 4),
        ((1, 28, 28), {"head": "flat"}, 1, 3),
        ((3, 32, 32), {"blocks": (1, 1, 1, 1), "stem": "auto"}, 1, 4),
        ((3, 64, 64), {"blocks": (1, 1, 1, 1), "stem": "auto"}, 1, 8),
        ((3, 65, 65), {"blocks": (1, 1, 1, 1), "stem": "auto"}, 2, 4),
        ((3, 128, 128), {"blocks": (1, 1, 1, 1), "stem": "auto"}, 2, 8),
        ((3, 129, 129), {"blocks": (1, 1, 1, 1), "stem": "auto"}, 4, 4),
    ],
)
def test_the_average_pooling_form_equals_its_layers_written_out(shape, options, pool, side):
    net = ResNet(shape, 5, width=4, halving="pool", **options).double()
    scatter(net)
    x = images(2, *shape).double()
    f = net.features(x, MAPS)
    maps, last = pooled(net, x, pool)
    near = {"rtol": 1e-9, "atol": 1e-11}
    torch.testing.assert_close(list(f.maps), maps, **near)
    assert last.shape == (2, 32, side, side)
    flat = options.get("head") == "flat"
    torch.testing.assert_close(f.embedding, last.flatten(1) if flat else last.mean((2, 3)), **near)
    assert (f.pooled is not None) == flat
    assert torch.equal(f.logits, net.classifier(f.embedding))
    assert net.stem[0].kernel_size == ((7, 7) if pool == 4 else (3, 3))


def test_a_flat_head_behind_strides_sees_the_maps_that_are_rounded_up():
    net = ResNet((1, 28, 20), 5, width=2, head="flat")
    f = net.features(images(2, 1, 28, 20))
    assert (f.embedding.shape, f.pooled.shape) == ((2, 16 * 4 * 3), (2, 16, 4, 3))


TEN = {"blocks": (1, 1, 1, 1)}


@pytest.mark.parametrize(
    ("shape", "options", "stem", "head", "authors"),
    [
        ((3, 32, 32), {"halving": "pool", "head": "flat", "blocks": (2, 2, 2, 2)}, 3, 8192, 11_250_762),
        ((1, 28, 28), {"halving": "pool", "head": "flat", "blocks": (2, 2, 2, 2)}, 3, 4608, 11_213_770),
        ((3, 32, 32), {"width": 32, "norm": "batch", **TEN}, 3, 256, 1_228_970),
        ((3, 64, 64), {"halving": "pool", "stem": "auto", **TEN}, 3, 512, 4_903_242),
        ((3, 112, 112), {"halving": "pool", "stem": "auto", **TEN}, 3, 512, 4_903_242),
        ((3, 224, 224), {"halving": "pool", "stem": "auto", **TEN}, 7, 512, 4_910_922),
    ],
)
def test_number_of_parameters_is_that_of_the_authors_networks(shape, options, stem, head, authors):
    width, count = options.get("width", 64), options["blocks"][0]
    total, before = conv(shape[0], width, stem), width
    for after in (width, 2 * width, 4 * width, 8 * width):
        total += conv(before, after, 3) + (2 * count - 1) * conv(after, after, 3)
        total += conv(before, after, 1) if after != before else 0
        before = after
    with torch.device("meta"):
        net = MakeResNet(shape, **options)(10)
        assert net.features(torch.empty(2, *shape)).embedding.shape == (2, head)
    assert size(net) == total + head * 10 + 10 == authors
