import pickle

import pytest
import reference
import torch
from torch import nn

from cl_condense.features import Features
from cl_condense.networks import ConvNet, Initialiser, MakeConvNet, forward_all

TAPS = frozenset({"maps", "convs"})


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def double(net, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.double().parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) * 0.5)
    return net


@pytest.mark.parametrize(
    ("shape", "depth"),
    [((3, 8, 8), 3), ((1, 28, 28), None), ((3, 28, 28), 2), ((2, 9, 14), 2), ((3, 16, 16), 1)],
)
def test_convnet_equals_the_plain_forward_in_every_output_and_gradient(shape, depth):
    net = double(ConvNet(shape, 5, width=3, depth=depth))
    x = images(2, *shape).requires_grad_()
    got, want = net.features(x, TAPS), Features(*reference.convnet(net, x))
    for name in Features._fields:
        a, b = getattr(got, name), getattr(want, name)
        torch.testing.assert_close(list(a), list(b), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(net(x), want.logits, rtol=1e-9, atol=1e-11)
    leaves = [x, *net.parameters()]
    sums = [f.logits.square().sum() + sum(t.sin().sum() for t in (*f.maps, *f.convs)) for f in (got, want)]
    torch.testing.assert_close(*(torch.autograd.grad(s, leaves) for s in sums), rtol=1e-8, atol=1e-10)


def test_taps_give_maps_after_relu_and_untouched_outputs_of_the_convolutions():
    net = double(ConvNet((3, 16, 16), 5, width=4))
    seen = []
    for conv in net.convs:
        conv.register_forward_hook(lambda module, args, out: seen.append(out.clone()))
    f = net.features(images(3, 3, 16, 16), TAPS)
    assert [x.shape for x in f.maps] == [x.shape for x in f.convs] == [(3, 4, 16, 16), (3, 4, 8, 8)]
    assert all(x.min().item() == 0 for x in f.maps)
    assert all(torch.equal(a, b) for a, b in zip(f.convs, seen, strict=True))
    assert all(x.min().item() < 0 for x in f.convs)
    for taps in (frozenset(), frozenset({"maps"}), frozenset({"convs"})):
        some = net.features(images(3, 3, 16, 16), taps)
        assert (bool(some.maps), bool(some.convs)) == ("maps" in taps, "convs" in taps)
        assert torch.equal(some.logits, f.logits)


@pytest.mark.parametrize(
    ("shape", "classes", "depth", "embedding", "parameters"),
    [
        ((3, 32, 32), 10, 3, 2048, 320_010),
        ((1, 28, 28), 10, 3, 2048, 317_706),
        ((3, 64, 64), 200, 4, 2048, 857_160),
        ((3, 64, 64), 200, 3, 8192, 1_938_120),
        ((3, 128, 128), 10, 5, 2048, 615_690),
    ],
)
def test_embedding_and_number_of_parameters_are_those_of_the_papers(
    shape, classes, depth, embedding, parameters
):
    net = MakeConvNet(shape, depth=depth)(classes)
    f = net.features(torch.zeros(1, *shape))
    assert (f.embedding.shape, f.logits.shape) == ((1, embedding), (1, classes))
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize(
    ("shape", "depth"),
    [
        ((3, 2, 2), 1),
        ((3, 8, 8), 1),
        ((3, 16, 16), 2),
        ((1, 28, 28), 3),
        ((3, 28, 28), 2),
        ((3, 32, 32), 3),
        ((3, 16, 32), 2),
        ((3, 64, 64), 4),
        ((3, 128, 128), 5),
    ],
)
def test_depth_follows_from_the_size_of_the_images(shape, depth):
    assert len(ConvNet(shape, 2, width=1).convs) == depth


@pytest.mark.parametrize(
    ("shape", "options", "named"),
    [
        ((3, 8, 8), {"depth": 4}, "depth 4"),
        ((3, 64, 8), {"depth": 4}, "64x8"),
        ((3, 8, 8), {"depth": 0}, "depth 0"),
        ((3, 8, 8), {"width": 0}, "width 0"),
        ((3, 1, 1), {}, "1x1"),
    ],
)
def test_a_convnet_that_does_not_fit_is_refused_in_one_line(shape, options, named):
    with pytest.raises(ValueError, match=named) as error:
        ConvNet(shape, 10, **options)
    assert "\n" not in str(error.value)
    ConvNet((3, 8, 8), 10, width=1, depth=3)


def test_make_convnet_survives_pickling():
    make = MakeConvNet((3, 16, 16), width=2, depth=1)
    again = pickle.loads(pickle.dumps(make))
    assert again == make
    shapes = [[p.shape for p in m(7).parameters()] for m in (make, again)]
    assert shapes[0] == shapes[1]


LAYERS = [
    lambda: nn.Conv2d(16, 2000, 3),
    lambda: nn.Conv2d(6, 2000, 5, groups=2),
    lambda: nn.Conv1d(40, 2000, 2),
    lambda: nn.ConvTranspose2d(20, 2000, 2),
    lambda: nn.Linear(60, 2000),
]
FAN_IN = [16 * 9, 3 * 25, 40 * 2, 2000 * 4, 60]


@pytest.mark.parametrize(("make", "fan_in"), list(zip(LAYERS, FAN_IN, strict=True)))
def test_drawn_weights_follow_torchs_default_distribution(make, fan_in):
    torch.manual_seed(0)
    default, net = make().state_dict(), make()
    Initialiser(net)(1, 2)
    bound = fan_in**-0.5
    for name, p in net.state_dict().items():
        largest, std = float(p.abs().max()), float(p.std())
        assert largest <= bound
        assert largest == pytest.approx(float(default[name].abs().max()), rel=0.01)
        assert std == pytest.approx(float(default[name].std()), rel=0.05)
        assert std == pytest.approx(bound / 3**0.5, rel=0.05)
        assert abs(float(p.mean())) < 5 * std / p.numel() ** 0.5


def mixed():
    convs = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 3)
    dense = nn.Flatten(), nn.LayerNorm(32), nn.Linear(32, 4), nn.InstanceNorm1d(4)
    return nn.Sequential(*convs, *dense, nn.Embedding(5, 3), nn.PReLU())


def drawn(*keys, seed=0, make=mixed):
    torch.manual_seed(seed)
    net = make()
    Initialiser(net)(*keys)
    return net.state_dict()


def test_weights_depend_on_the_keys_and_on_nothing_else():
    first = drawn(3, 4)
    assert all(torch.equal(v, first[name]) for name, v in drawn(3, 4, seed=99).items())
    torch.manual_seed(5)
    again = mixed()
    initialise = Initialiser(again)
    for keys in ((8, 8), (3, 4)):
        initialise(*keys)
    assert all(torch.equal(v, first[name]) for name, v in again.state_dict().items())
    for keys in ((4, 3), (3, 5), (3,), (3, 4, 0)):
        other = drawn(*keys)
        for name in ("0.weight", "0.bias", "2.weight", "7.weight", "9.weight"):
            assert not torch.isclose(other[name], first[name]).any()


def test_layers_of_one_shape_get_weights_of_their_own():
    weights = drawn(1)
    assert not torch.isclose(weights["2.weight"], weights["4.weight"]).any()
    assert (
        abs(float(torch.corrcoef(torch.stack([weights[f"{i}.weight"].flatten() for i in (2, 4)]))[0, 1])) < 0.2
    )


def test_norms_and_their_statistics_start_afresh():
    net = mixed()
    net[:8](torch.randn(4, 3, 8, 8))
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(7)
    assert int(net[1].num_batches_tracked) == 1
    Initialiser(net)(0)
    for norm in (net[1], net[3], net[6]):
        assert bool((norm.weight == 1).all())
        assert bool((norm.bias == 0).all())
    assert int(net[1].num_batches_tracked) == 0
    assert bool((net[1].running_mean == 0).all())
    assert bool((net[1].running_var == 1).all())
    assert not any(bool((p == 7).any()) for p in net.parameters())


def test_drawing_weights_leaves_the_global_generator_alone():
    net = mixed()
    before = torch.get_rng_state()
    Initialiser(net)(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_layer_without_reset_parameters_is_refused_by_name():
    bare = nn.Module()
    bare.scale = nn.Parameter(torch.ones(1))
    for net, named in (
        (nn.Sequential(nn.Linear(2, 2), nn.MultiheadAttention(4, 2)), r"1 \(MultiheadAttention\)"),
        (bare, r"the network \(Module\)"),
    ):
        with pytest.raises(ValueError, match=f"{named}.*reset_parameters"):
            Initialiser(net)


def mlp(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5), nn.ReLU(), nn.Linear(5, classes))


class Doubled(ConvNet):
    def forward(self, x):
        return 2 * super().forward(x)


CONVNETS = [MakeConvNet((3, 8, 8), width=2)] * 3
RUNS = {
    "8 pixels": (CONVNETS, (3, 8, 8), True),
    "16 pixels, wide images, two blocks": ([MakeConvNet((2, 8, 16), width=3, depth=2)] * 2, (2, 8, 16), True),
    "32 pixels": ([MakeConvNet((1, 32, 32), width=2)] * 2, (1, 32, 32), False),
    "one network": (CONVNETS[:1], (3, 8, 8), False),
    "other networks": ([mlp] * 3, (3, 8, 8), False),
    "several kinds": ([CONVNETS[0], mlp], (3, 8, 8), False),
    "a subclass": ([lambda classes: Doubled((3, 8, 8), classes, width=2)] * 2, (3, 8, 8), False),
}


@pytest.mark.parametrize(("makes", "shape", "joined"), RUNS.values(), ids=RUNS.keys())
def test_networks_side_by_side_give_what_each_gives_alone(makes, shape, joined):
    nets = [double(make(4), seed=i) for i, make in enumerate(makes)]
    x = images(len(nets), 5, *shape).requires_grad_()
    calls = []
    handles = [net.register_forward_hook(lambda *args: calls.append(1)) for net in nets]
    got = forward_all(nets, x)
    assert len(calls) == (0 if joined else len(nets))
    for handle in handles:
        handle.remove()
    want = torch.stack([net(part) for net, part in zip(nets, x, strict=True)])
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)
    leaves = [x, *(p for net in nets for p in net.parameters())]
    grads = (torch.autograd.grad(y.sin().sum(), leaves) for y in (got, want))
    torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-11)
