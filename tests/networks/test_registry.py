import pickle

import pytest
import torch
from noise import images
from torch import nn

from cl_condense.condensation.view import View
from cl_condense.networks.contract import make_feature_net
from cl_condense.networks.convnet import ConvNet, MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.networks.registry import ARCHITECTURES, MakeArchitecture, architecture
from cl_condense.networks.resnet import MakeResNet

GREY, COLOUR = (1, 28, 28), (3, 32, 32)
SHAPES = (GREY, COLOUR, (3, 64, 64), (3, 128, 128), (3, 224, 224))
# Of each network the embeddings at these sizes: 28 in grey, 32, 64, 128, 224 pixels.
EMBEDDINGS = {
    "convnet": (2048, 2048, 2048, 2048, 6272),
    "convnet_bn": (2048, 2048, 2048, 2048, 6272),
    "convnet_swish_bn": (2048, 2048, 2048, 2048, 6272),
    "mlp": (128,) * 5,
    "lenet": (84,) * 5,
    "alexnet": (3072, 3072, 12_288, 49_152, 150_528),
    "alexnet_bn": (3072, 3072, 12_288, 49_152, 150_528),
    "vgg11": (512, 512, 2048, 8192, 25_088),
    "vgg11_bn": (512, 512, 2048, 8192, 25_088),
    "resnet18": (512,) * 5,
    "resnet18_bn": (512,) * 5,
    "resnet18_ap": (4608, 8192, 32_768, 131_072, 401_408),
    "resnet10": (256,) * 5,
    "resnet_ap10": (512,) * 5,
    "densenet121": (384,) * 5,
}
# Counted in the authors' networks of ten classes: at 28 pixels in grey (where they take them), and at 32.
PARAMETERS = {
    "convnet": (317_706, 320_010),
    "convnet_bn": (317_706, 320_010),
    "convnet_swish_bn": (317_706, 320_010),
    "mlp": (118_282, 411_146),
    "lenet": (61_706, 62_006),
    "alexnet": (1_865_802, 1_872_202),
    "alexnet_bn": (1_867_722, 1_874_122),
    "vgg11": (9_229_962, 9_231_114),
    "vgg11_bn": (9_229_962, 9_231_114),
    "resnet18": (11_172_810, 11_173_962),
    "resnet18_bn": (11_172_810, 11_173_962),
    "resnet18_ap": (11_213_770, 11_250_762),
    "resnet10": (None, 1_228_970),
    "resnet_ap10": (None, 4_903_242),
    "densenet121": (None, 1_000_618),
}
BATCH_NORM = {
    "convnet_bn",
    "convnet_swish_bn",
    "alexnet_bn",
    "vgg11_bn",
    "resnet18_bn",
    "resnet10",
    "densenet121",
}


def size(net):
    return sum(p.numel() for p in net.parameters())


def test_every_architecture_is_tested():
    assert [*ARCHITECTURES] == [*EMBEDDINGS] == [*PARAMETERS]
    assert all(entry.about and "\n" not in entry.about for entry in ARCHITECTURES.values())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_shapes_at_every_size_and_the_authors_number_of_parameters(name):
    for shape, embedding in zip(SHAPES, EMBEDDINGS[name], strict=True):
        with torch.device("meta"):
            net = architecture(name, shape)(10)
            f = net.features(torch.empty(2, *shape))
        assert (f.embedding.shape, f.logits.shape) == ((2, embedding), (2, 10)), shape
        assert (f.maps, f.convs) == ((), ())
        if shape in (GREY, COLOUR):
            assert PARAMETERS[name][shape == COLOUR] in (None, size(net)), shape


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_gives_features_gradients_and_logits(name):
    net = make_feature_net(architecture(name, COLOUR), 5, torch.device("cpu"))
    x = images(2, *COLOUR).requires_grad_()
    f = net.features(x)
    assert torch.equal(f.logits, net.classifier(f.embedding))
    assert f.pooled is None or torch.equal(f.pooled.flatten(1), f.embedding)
    (grad,) = torch.autograd.grad(f.embedding.square().sum() + f.logits.sum(), x)
    assert bool(grad.isfinite().all())
    assert grad.abs().max() > 0
    with torch.no_grad():
        again, evaluated = net(x), net.eval()(x)
    torch.testing.assert_close(again, f.logits)
    assert torch.allclose(evaluated, f.logits, atol=1e-5) == (name not in BATCH_NORM)
    assert bool(list(net.buffers())) == (name in BATCH_NORM)


@pytest.mark.parametrize("name", ["lenet", "alexnet", "alexnet_bn"])
def test_grey_images_of_28_pixels_go_through(name):
    assert architecture(name, GREY)(5)(images(2, *GREY)).shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "options", "embedding", "parameters"),
    [("resnet_ap10", {}, 512, 4_910_922), ("convnet", {"depth": 6}, 1152, 754_570)],
)
def test_the_networks_of_224_pixels(name, options, embedding, parameters):
    net = architecture(name, (3, 224, 224), **options)(10)
    with torch.no_grad():
        f = net.features(images(1, 3, 224, 224))
    assert (f.embedding.shape, f.logits.shape) == ((1, embedding), (1, 10))
    assert size(net) == parameters
    assert f.embedding.std() > 0.001


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_are_drawn_from_keys(name):
    net = architecture(name, COLOUR)(5)
    known = nn.Conv2d | nn.Linear | nn.GroupNorm | nn.BatchNorm2d
    layers = [m for m in net.modules() if list(m.parameters(recurse=False))]
    assert all(isinstance(layer, known) for layer in layers)
    if size(net) > 2e6:  # seconds a draw
        return
    initialise = Initialiser(net)
    initialise(3, 4)
    first = {key: v.clone() for key, v in net.state_dict().items()}
    net(images(2, *COLOUR))
    initialise(4, 3)
    assert not any(torch.equal(p, first[key]) for key, p in net.named_parameters() if p.ndim > 1)
    initialise(3, 4)
    assert all(torch.equal(v, first[key]) for key, v in net.state_dict().items())


TAPPED = {"convnet": 3, "alexnet": 2, "vgg11": 8, "resnet18": 3, "resnet10": 3, "resnet_ap10": 3}


@pytest.mark.parametrize("name", ["convnet", "mlp", "lenet", "alexnet", "vgg11", "resnet10", "densenet121"])
def test_a_tap_is_given_or_refused_in_one_line(name):
    net = architecture(name, COLOUR)(5)
    for tap, count in (("maps", TAPPED.get(name)), ("convs", 3 if name == "convnet" else None)):
        if count:
            f = net.features(images(2, *COLOUR), frozenset({tap}))
            assert (len(getattr(f, tap)), len(f.maps + f.convs)) == (count, count)
            continue
        with pytest.raises(ValueError, match=f'no tap "{tap}".*ConvNet') as error:
            net.features(images(2, *COLOUR), frozenset({tap}))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_makers_survive_pickling(name):
    make = architecture(name, COLOUR)
    again = pickle.loads(pickle.dumps(make))
    assert again == make
    assert hash(again) == hash(make)
    assert again != architecture(name, (3, 64, 64))
    with torch.device("meta"):
        assert [p.shape for p in again(7).parameters()] == [p.shape for p in make(7).parameters()]


def test_convnets_and_resnets_have_the_makers_that_others_look_into():
    assert architecture("convnet", COLOUR, width=32, depth=2) == MakeConvNet(COLOUR, 32, 2)
    assert architecture("resnet18", COLOUR) == MakeResNet(COLOUR)
    assert architecture("vgg11", COLOUR) == MakeArchitecture(ARCHITECTURES["vgg11"].network, COLOUR)
    assert type(architecture("convnet_bn", COLOUR)(5)) is ConvNet


def test_options_override_the_architectures_own():
    net = architecture("convnet_swish_bn", COLOUR, norm="group", width=8)(5)
    assert net.variant == ("group", "swish", "avg")
    assert architecture("resnet10", COLOUR, width=4)(5).classifier.in_features == 32
    assert architecture("mlp", COLOUR, width=7)(5).classifier.in_features == 7


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("ConvNetBN", {}, "unknown network 'ConvNetBN': did you mean 'convnet_bn'.*known are convnet, "),
        ("resnet", {}, "did you mean 'resnet1"),
        ("transformer", {}, "unknown network 'transformer'"),
        ("convnet", {"with": 3}, "unknown option of convnet 'with': did you mean 'width'.*depth, norm"),
        ("lenet", {"width": 3}, "lenet has no option 'width', nor any other"),
        ("vgg11", {"norm": "group"}, "norm of a VGG-11 'group': known are instance, batch"),
        ("resnet18", {"stem": "big"}, "unknown stem 'big'"),
        ("vgg11", {"shape": (3, 8, 8)}, "VGG-11.*8x8"),
        ("densenet121", {"shape": (3, 4, 4)}, "DenseNet.*4x4"),
    ],
)
def test_what_does_not_exist_or_fit_is_refused_in_one_line_before_any_network_is_made(name, options, named):
    with pytest.raises(ValueError, match=named) as error:
        architecture(name, **{"shape": COLOUR, **options})
    assert "\n" not in str(error.value)


def test_naming_an_architecture_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    for name in ARCHITECTURES:
        architecture(name, COLOUR)
    assert torch.equal(torch.get_rng_state(), before)


def test_gradient_matching_takes_networks_without_batch_norm_and_refuses_the_others():
    x = images(2, 2, 3, 16, 16)
    for name in ("lenet", "mlp", "alexnet"):
        net = architecture(name, (3, 16, 16))(2)
        grads = View(net, x).weight_gradients
        assert [g.shape[1:] for g in grads] == [p.shape for p in net.parameters() if p.ndim > 1]
    with pytest.raises(ValueError, match=r"BatchNorm2d.*instance norm"):
        _ = View(architecture("alexnet_bn", (3, 16, 16))(2), x).weight_gradients
