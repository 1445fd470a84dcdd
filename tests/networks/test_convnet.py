import pickle

import pytest
import reference
import torch
import torch.nn.functional as F
from torch import nn

from cl_condense.condensation.view import View
from cl_condense.networks.contract import Features
from cl_condense.networks.convnet import ConvNet, MakeConvNet, halve
from cl_condense.networks.init import Initialiser
from cl_condense.networks.joined import forward_joined, joinable

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


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 20, 24), (2, 9, 8)])
def test_the_form_for_a_cpu_gives_the_same_features_and_gradients(shape):
    net = ConvNet(shape, 3, width=4, depth=2).double()
    Initialiser(net)(0)
    x = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    taps, found = frozenset(("maps", "convs")), []
    for features in (net.features, net._fused):
        seen = features(x, taps)
        outputs = [seen.embedding, seen.logits, seen.pooled, *seen.maps, *seen.convs]
        weights = [p for name, p in net.named_parameters() if not name.startswith("convs") or "weight" in name]
        found.append([*outputs, *torch.autograd.grad(sum(o.pow(3).sum() for o in outputs), [x, *weights])])
    for a, b in zip(*found, strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9)


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


@pytest.mark.parametrize(
    "make",
    [
        MakeConvNet((3, 16, 16), width=2, depth=1),
        MakeConvNet((3, 16, 16), width=4, norm="layer", activation="swish", pooling="none"),
    ],
)
def test_make_convnet_survives_pickling(make):
    again = pickle.loads(pickle.dumps(make))
    assert again == make
    assert hash(again) == hash(make)
    shapes = [[p.shape for p in m(7).parameters()] for m in (make, again)]
    assert shapes[0] == shapes[1]


def test_the_default_variant_has_the_state_that_saved_records_depend_on():
    net = ConvNet((3, 16, 16), 5, width=4)
    layers = ("convs.0", "convs.1", "norms.0", "norms.1", "classifier")
    assert list(net.state_dict()) == [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    assert net.variant == ("instance", "relu", "avg")
    assert MakeConvNet((3, 16, 16), 4)(5).variant == net.variant


NORMS = {
    "instance": lambda c, side: nn.GroupNorm(c, c),
    "batch": lambda c, side: nn.BatchNorm2d(c),
    "layer": lambda c, side: nn.LayerNorm([c, side, side]),
    "group": lambda c, side: nn.GroupNorm(4, c),
    "none": None,
}
ACTIVATIONS = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "leakyrelu": lambda: nn.LeakyReLU(0.01),
    "swish": nn.SiLU,
}
POOLINGS = {"avg": lambda: nn.AvgPool2d(2, 2), "max": lambda: nn.MaxPool2d(2, 2), "none": None}
VARIANTS = [
    *({"norm": norm} for norm in NORMS),
    *({"activation": activation} for activation in ACTIVATIONS if activation != "relu"),
    *({"pooling": pooling} for pooling in POOLINGS if pooling != "avg"),
    {"norm": "none", "pooling": "none"},
    {"norm": "batch", "activation": "swish", "pooling": "max"},
    {"norm": "none", "activation": "sigmoid"},
]


def plain(shape, classes, width, depth, norm="instance", activation="relu", pooling="avg"):
    """The published ConvNet as one list of layers."""
    grey = shape == (1, 28, 28)
    layers, inputs, side = [], shape[0], 32 if grey else shape[1]
    for i in range(depth):
        layers.append(nn.Conv2d(inputs, width, 3, padding=3 if grey and i == 0 else 1))
        if NORMS[norm]:
            layers.append(NORMS[norm](width, side))
        layers.append(ACTIVATIONS[activation]())
        if POOLINGS[pooling]:
            layers.append(POOLINGS[pooling]())
            side //= 2
        inputs = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * side * side, classes)).double()


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 28, 28)])
@pytest.mark.parametrize("options", VARIANTS, ids=lambda options: "-".join(options.values()))
def test_variants_equal_a_list_of_torchs_layers(options, shape):
    net = double(ConvNet(shape, 5, width=8, depth=2, **options))
    want = plain(shape, 5, 8, 2, **options)
    own = [layer for pair in zip(net.convs, net.norms, strict=True) for layer in pair] + [net.classifier]
    pairs = zip((p for layer in own for p in layer.parameters()), want.parameters(), strict=True)
    with torch.no_grad():
        for p, q in pairs:
            q.copy_(p)
    convs, maps, pooled = [], [], []
    activation = type(ACTIVATIONS[options.get("activation", "relu")]())
    for layer in want:
        out = {nn.Conv2d: convs, activation: maps, nn.Flatten: pooled}.get(type(layer), [])
        layer.register_forward_hook(lambda module, args, y, out=out: out.append(y.clone()))
    x = images(3, *shape).requires_grad_()
    for mode in (True, False):  # in evaluation batch norm has the statistics of the step before
        for out in (convs, maps, pooled):
            out.clear()
        got, logits = net.train(mode).features(x, TAPS), want.train(mode)(x)
        found = (got.logits, got.embedding, got.pooled.flatten(1), *got.convs, *got.maps)
        near = {"rtol": 1e-11, "atol": 1e-12}
        torch.testing.assert_close(found, (logits, *pooled, *pooled, *convs, *maps), **near)
        grads = (torch.autograd.grad(y.sin().sum(), x) for y in (got.logits, logits))
        torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("options", "shape", "embedding", "parameters"),
    [
        ({"norm": "batch"}, (3, 32, 32), 2048, 320_010),  # counted in the authors' networks
        ({"norm": "group"}, (3, 32, 32), 2048, 320_010),
        ({"norm": "layer"}, (3, 32, 32), 2048, 663_306),
        ({"norm": "layer"}, (1, 28, 28), 2048, 661_002),
        ({"norm": "none"}, (3, 32, 32), 2048, 319_242),
        ({"norm": "none"}, (1, 28, 28), 2048, 316_938),
        ({"activation": "swish", "norm": "batch"}, (3, 32, 32), 2048, 320_010),
        ({"pooling": "max"}, (3, 32, 32), 2048, 320_010),
        ({"pooling": "none", "width": 32}, (3, 32, 32), 32_768, 347_274),
        ({"pooling": "none", "width": 32}, (1, 28, 28), 32_768, 346_698),
        ({"depth": 6}, (3, 224, 224), 1152, 9 * 128 * (3 + 5 * 128) + 6 * 3 * 128 + 11_530),
    ],
)
def test_embedding_and_number_of_parameters_of_the_variants(options, shape, embedding, parameters):
    with torch.device("meta"):
        net = MakeConvNet(shape, **options)(10)
        f = net.features(torch.empty(2, *shape))
    assert (f.embedding.shape, f.logits.shape) == ((2, embedding), (2, 10))
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            {"norm": "instancenorm"},
            "unknown norm 'instancenorm': did you mean 'instance'.*batch, layer, group, none",
        ),
        ({"activation": "gelu"}, "unknown activation 'gelu'.*relu, sigmoid, leakyrelu, swish"),
        ({"pooling": "mean"}, "unknown pooling 'mean': known are avg, max, none"),
        ({"norm": None}, "unknown norm None"),
        ({"norm": "group", "width": 6}, "4 groups.*width of 6"),
        ({"pooling": "none", "depth": 0}, "depth 0"),
    ],
)
def test_an_option_that_does_not_exist_is_refused_in_one_line(options, named):
    with pytest.raises(ValueError, match=named) as error:
        ConvNet((3, 8, 8), 10, **{"width": 8, **options})
    assert "\n" not in str(error.value)
    assert ConvNet((3, 8, 8), 10, width=8, depth=5, pooling="none").classifier.in_features == 8 * 8 * 8


@pytest.mark.parametrize("norm", NORMS)
def test_batch_norm_alone_tells_training_from_evaluation(norm):
    net, x = ConvNet((3, 8, 8), 5, width=4, norm=norm), images(4, 3, 8, 8).float()
    trained = net.train()(x)
    assert torch.allclose(trained, net.eval()(x)) == (norm != "batch")
    assert bool(list(net.buffers())) == (norm == "batch")
    assert torch.allclose(net.eval()(x[:1]), net(x)[:1], atol=1e-6)
    assert torch.allclose(net.train()(x[:1]), trained[:1], atol=1e-6) == (norm != "batch")


@pytest.mark.parametrize("options", VARIANTS, ids=lambda options: "-".join(options.values()))
def test_weights_of_every_variant_are_drawn_from_the_keys(options):
    nets = [ConvNet((3, 8, 8), 5, width=4, **options) for _ in range(2)]
    nets[0](images(4, 3, 8, 8).float())  # moves running statistics
    for net in nets:
        Initialiser(net)(1, 2)
    first, again = (net.state_dict() for net in nets)
    assert all(torch.equal(v, again[name]) for name, v in first.items())
    plain_weights = drawn(1, 2, make=lambda: ConvNet((3, 8, 8), 5, width=4))
    assert torch.equal(first["convs.0.weight"], plain_weights["convs.0.weight"])


@pytest.mark.parametrize(
    "options", [{"norm": "none"}, {"norm": "layer", "pooling": "max"}, {"activation": "swish"}]
)
def test_gradients_of_weights_are_those_of_each_class_alone(options):
    net, x = ConvNet((3, 8, 8), 2, width=4, depth=1, **options).double(), images(2, 3, 3, 8, 8)
    got = View(net, x).weight_gradients
    for k in range(2):
        loss = F.cross_entropy(net(x[k]), torch.full((3,), k))
        weights = [p for p in net.parameters() if p.ndim > 1]
        for a, b in zip(got, torch.autograd.grad(loss, weights), strict=True):
            torch.testing.assert_close(a[k], b, rtol=1e-9, atol=1e-12)


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


def test_weights_drawn_ahead_are_those_of_each_call_alone(monkeypatch):
    monkeypatch.setattr("cl_condense.networks.init.how_many", lambda numbers, device: 3)
    net = mixed()
    initialise = Initialiser(net, ahead=True)
    for keys in ((3, 4), (3, 5), (3, 6), (3, 7), (2, 8), (3, 5)):
        initialise(*keys)
        assert all(torch.equal(v, net.state_dict()[name]) for name, v in drawn(*keys).items())


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
    "batch norm": ([MakeConvNet((3, 8, 8), width=2, norm="batch")] * 2, (3, 8, 8), False),
    "max pooling": ([MakeConvNet((3, 8, 8), width=2, pooling="max")] * 2, (3, 8, 8), False),
    "swish": ([MakeConvNet((3, 8, 8), width=2, activation="swish")] * 2, (3, 8, 8), False),
    "several variants": ([CONVNETS[0], MakeConvNet((3, 8, 8), width=2, norm="none")], (3, 8, 8), False),
    "32 pixels": ([MakeConvNet((1, 32, 32), width=2)] * 2, (1, 32, 32), False),
    "one network": (CONVNETS[:1], (3, 8, 8), False),
    "other networks": ([mlp] * 3, (3, 8, 8), False),
    "several kinds": ([CONVNETS[0], mlp], (3, 8, 8), False),
    "a subclass": ([lambda classes: Doubled((3, 8, 8), classes, width=2)] * 2, (3, 8, 8), False),
}


@pytest.mark.parametrize(("makes", "shape", "joined"), RUNS.values(), ids=RUNS.keys())
def test_networks_that_can_be_joined_give_what_each_gives_alone(makes, shape, joined):
    nets = [double(make(4), seed=i) for i, make in enumerate(makes)]
    x = images(len(nets), 5, *shape).requires_grad_()
    assert joinable(nets, x) == joined
    if not joined:
        return
    got = forward_joined(nets, x)
    want = torch.stack([net(part) for net, part in zip(nets, x, strict=True)])
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)
    leaves = [x, *(p for net in nets for p in net.parameters())]
    grads = (torch.autograd.grad(y.sin().sum(), leaves) for y in (got, want))
    torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("size", [(2, 2), (8, 8), (7, 9), (32, 5)])
def test_halving_is_average_pooling_forward_and_backward(size):
    x = torch.randn(3, 4, *size, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ours, torchs = halve(x), F.avg_pool2d(x, 2)
    torch.testing.assert_close(ours, torchs, rtol=1e-6, atol=1e-6)
    weights = torch.randn_like(torchs)
    gradients = [torch.autograd.grad(y, x, weights)[0] for y in (ours, torchs)]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-6)
