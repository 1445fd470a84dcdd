"""Our objectives, augmentation and training against numbers that the authors' own code gave (parity/).

Weights, images and the directions that gradients are projected on are made from integers here, and were made so
for the numbers: tests/condensation/parity/README.md says how.
"""

import json
import math
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cl_condense.condensation.objectives import (
    class_centralisation,
    contrastive_gradient_matching,
    conv_gram_matrices,
    covariance_matching,
    discrimination,
    gradient_matching,
    gram_matrices,
    intra_class_diversity,
    mean_gram_matrices,
    mean_map_moments,
    mean_matching,
    principal_spread,
    relative_moments,
    two_neighbour_diversity,
)
from cl_condense.condensation.storage import decode
from cl_condense.condensation.view import View, statistics_of
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import ConvNet
from cl_condense.networks.registry import architecture
from cl_condense.training.augment import DSA, Warp
from cl_condense.training.protocol import Training
from cl_condense.training.train import train

FOLDER = Path(__file__).parent / "parity"
EXACT = 1e-9  # relative, of float64 sums in another order
SIDE, WIDTH, IPC = 32, 8, 10
ACCURACY = 0.375  # of the network, for IDM


class Ours(NamedTuple):
    """What a number of the authors is in this package.

    Attributes:
        method: its recipe has the weights, for CIFAR-10 at IPC images per class.
        objectives: of the recipe; none named: all.
        scale: what an objective is multiplied by to be theirs.
        joint: the number is of all classes together; else it is one a class.
        norm: of the network.
        tolerance: relative.
    """

    method: str
    objectives: tuple = ()
    scale: dict = {}  # noqa: RUF012 - never changed
    joint: bool = False
    norm: str = "instance"
    tolerance: float = EXACT


# A class alone in their loop counts once; the recipe has the mean over ten classes of what their loop does.
ALONE = 1 / 1.425
FIRST = " of the first code"  # two of its numbers are those of the paper's form too, but for a factor
# CAFE's code sums the cross-entropy over real images, of which it has 256 a class.
SUMMED = {discrimination: 6 / 256}

# (file, number in it)
OURS = {
    ("dm", "dm"): Ours("dm"),
    ("dc", "dc"): Ours("dc"),
    ("dcc", "dcc"): Ours("dcc", (contrastive_gradient_matching,), joint=True),
    ("dcc", "warming up"): Ours("dcc", (gradient_matching,)),
    ("cafe", "cafe"): Ours("cafe", scale=SUMMED, joint=True),
    ("idc", "idc"): Ours("idc"),
    ("idm", "idm"): Ours("idm"),
    ("idm", "mean gap"): Ours("idm", (mean_matching,)),
    ("iid", "mean"): Ours("iid", (mean_matching,)),
    ("iid", "covariance"): Ours("iid", (covariance_matching,)),
    ("iid", "centralisation"): Ours("iid", (class_centralisation,)),
    ("datadam", "exponent 1"): Ours("dm+sam1"),
    ("datadam", "exponent 1 batch norm"): Ours("dm+sam1", joint=True, norm="batch"),
    ("datadam", "exponent 4"): Ours("datadam"),
    ("datadam", "exponent 4 batch norm"): Ours("datadam", joint=True, norm="batch"),
    ("ddm", "dm"): Ours("ddm", (mean_matching,)),
    ("ddm", "gram"): Ours("ddm", (gram_matrices,), {gram_matrices: 4 / 3}),  # of three layers
    ("ddm", "icd"): Ours("ddm", (intra_class_diversity,)),
    ("ddm", "moments"): Ours("first_ddm", (mean_map_moments,), {mean_map_moments: ALONE}),
    ("ddm", f"gram{FIRST}"): Ours("first_ddm", (mean_gram_matrices,), {mean_gram_matrices: ALONE}),
    ("ddm", f"icd{FIRST}"): Ours("first_ddm", (two_neighbour_diversity,)),
    ("later_ddm", "moments"): Ours("later_ddm", (relative_moments,)),
    ("later_ddm", "gram"): Ours("later_ddm", (conv_gram_matrices,)),
    ("later_ddm", "spread"): Ours("later_ddm", (principal_spread,)),
    ("m3d", "gaussian"): Ours("m3d"),
    ("m3d", "linear"): Ours("m3d_linear"),
}
# Layers, and the stream of the first one's weight.
KINDS = (
    ("convolution", nn.Conv2d, 100),
    ("norm", (nn.GroupNorm, nn.BatchNorm2d), 102),
    ("linear", nn.Linear, 400),
)
FACTORS = {"idc": 2, "idm": 2}  # of the files whose synthetic images are decoded


def numbers(stream, *shape):
    """float64 in [-1, 1): of entry i the integer (7 + stream) i^2 + 48271 i + 104729 stream modulo 1000003."""
    i = torch.arange(math.prod(shape))
    integers = ((7 + stream) * i + 48271).mul_(i).add_(104729 * stream).remainder_(1000003)
    return (integers.double() / 500001.5 - 1).view(shape)


def images(classes, real, syn):
    """Real images ``[k, real, 3, 32, 32]``, which have a pattern for each class, and synthetic ones."""
    patterns = torch.stack([numbers(10 + c, 3, SIDE, SIDE) for c in range(classes)])
    return numbers(1, classes, real, 3, SIDE, SIDE) + patterns[:, None], numbers(2, classes, syn, 3, SIDE, SIDE)


def parts(net):
    """(name, parameter, stream, centre, reach) of every parameter: it is centre + reach * numbers(stream)."""
    for kind, types, first in KINDS:
        for k, layer in enumerate(module for module in net.modules() if isinstance(module, types)):
            centre, reach = (1, 0.5) if kind == "norm" else (0, 1 / math.sqrt(layer.weight[0].numel()))
            yield f"{kind} {k} weight", layer.weight, first + 10 * k, centre, reach
            if layer.bias is not None:
                yield f"{kind} {k} bias", layer.bias, first + 10 * k + 1, 0, reach


@torch.no_grad()
def with_weights(net):
    net = net.double()
    for _, parameter, stream, centre, reach in parts(net):
        parameter.copy_(centre + reach * numbers(stream, *parameter.shape))
    return net


def network(classes, norm="instance"):
    return with_weights(ConvNet((3, SIDE, SIDE), classes, width=WIDTH, norm=norm))


def norm_of(x):
    return x.detach().norm().item()


def projection(x, stream):
    return (x.detach() * numbers(stream, *x.shape)).sum().item()


def stored(file):
    return json.loads((FOLDER / f"{file}.json").read_text())


def close(value, tolerance=EXACT):
    return pytest.approx(value, rel=tolerance, abs=0)


def terms_of(ours):
    """(scale times weight, objective) of each of the recipe's terms."""
    terms = build(ours.method).settled(IPC).terms
    chosen = [t for t in terms if not ours.objectives or t.objective in ours.objectives]
    assert len(chosen) == len(ours.objectives or terms)
    return [(ours.scale.get(t.objective, 1) * t.weight, t.objective) for t in chosen]


def loss_of(ours, net, real, syn, targets):
    """Of the classes ``targets``, whose images these are."""
    terms = terms_of(ours)
    read = statistics_of(objective for _, objective in terms)
    views = [View(net, x, torch.tensor(targets), read, torch.tensor(ACCURACY)) for x in (real, syn)]
    return sum(weight * objective(*views) for weight, objective in terms)


@pytest.mark.parametrize(("file", "number"), OURS)
def test_losses_and_gradients_are_the_authors(file, number):
    found, ours = stored(file), OURS[file, number]
    theirs = found["numbers"][number.removesuffix(FIRST)]
    real, pixels = images(**found["images"])
    syn = decode(pixels.requires_grad_(), FACTORS.get(file, 1))
    net, every = network(len(real), ours.norm), list(range(len(real)))
    together = loss_of(ours, net, real, syn, every)
    with torch.no_grad():
        each = [together] if ours.joint else [loss_of(ours, net, real[[c]], syn[[c]], [c]) for c in every]
    assert [loss.item() for loss in each] == close(theirs["losses"], ours.tolerance)
    assert together.item() == close(sum(theirs["losses"]), ours.tolerance)
    (gradient,) = torch.autograd.grad(together, pixels)
    assert [norm_of(g) for g in gradient] == close(theirs["gradient_norms"], ours.tolerance)
    for g, expected in zip(gradient, theirs["gradient_projections"], strict=True):
        assert [projection(g, s) for s in (301, 302, 303)] == close(expected, ours.tolerance)


def seen(net, x):
    """Of the networks' features for images ``[n, c, h, w]`` what is stored of them."""
    features = net.features(x)
    return {
        "embedding": {"norm": norm_of(features.embedding), "projection": projection(features.embedding, 311)},
        "logits": {"norm": norm_of(features.logits), "projection": projection(features.logits, 312)},
    }


@pytest.mark.parametrize("file", sorted({file for file, _ in OURS}))
def test_networks_are_the_authors(file):
    found = stored(file)
    _, syn = images(**found["images"])
    if "decoded" in found:
        syn = decode(syn, FACTORS[file])
        assert {"norm": norm_of(syn), "projection": projection(syn, 313)} == close(found["decoded"])
    for norm, theirs in (("instance", found), ("batch", found.get("batch_norm"))):
        if theirs:
            ours = seen(network(len(syn), norm), syn.flatten(0, 1))
            assert ours["embedding"] == close(theirs["embedding"])
            assert ours["logits"] == close(theirs["logits"])


NETWORKS = ["mlp", "lenet", "alexnet", "alexnet_bn", "resnet18"]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_other_architectures_are_the_authors(name):
    theirs = stored("networks")["numbers"][name]
    ours = seen(with_weights(architecture(name, (3, SIDE, SIDE))(3)), numbers(2, 2, 3, SIDE, SIDE))
    for what, values in theirs.items():  # not all of theirs have an embedding
        assert ours[what] == close(values)


# Of 256: what parameters are drawn from, a line for each row of images.
DRAWN = [[3, 5, 7], [250, 1, 130], [17, 200, 90], [128, 64, 255]]
ROWS = len(DRAWN)


def chains():
    """IDC's: the groups of each row, and the numbers of each; crop, scale, rotate and crop again."""
    flips, colour, one, cutout = DRAWN
    rows = [[*(flips[r % 3], 0, 0), *colour, *one, *cutout] for r in range(ROWS)]
    return tuple(f"flip_color_{op}_cutout" for op in ("crop", "scale", "rotate", "crop")), rows


@pytest.mark.parametrize("operation", ["color", "crop", "cutout", "flip", "scale", "rotate", "idc"])
def test_operations_of_augmentation_are_the_authors(operation):
    groups, drawn = chains() if operation == "idc" else ((operation,) * ROWS, DRAWN)
    augment = DSA(every=operation == "idc")
    x = numbers(2, ROWS, 5, 3, SIDE, SIDE).requires_grad_()
    y = augment(x, Warp(groups, torch.tensor(drawn)[:, None] / 256))
    (gradient,) = torch.autograd.grad(sum((row * numbers(302, *row.shape)).sum() for row in y), x)
    theirs = stored("augmentation")["numbers"][operation]
    assert [norm_of(row) for row in y] == close(theirs["norms"])
    assert [projection(row, 301) for row in y] == close(theirs["projections"])
    assert [projection(row, 303) for row in gradient] == close(theirs["gradient_projections"])


# Their evaluation runs one epoch more than its setting says, 4 for 3.
TRAINED = {
    "three epochs": Training(3, decay=1, augment=None),
    "evaluate_synset": Training(4, augment=None),
}


@pytest.mark.parametrize("number", TRAINED)
def test_training_is_the_authors(number):
    found = stored("training")
    theirs, net = found["numbers"][number], network(3)
    real, _ = images(**found["images"], syn=1)
    x, y = real.flatten(0, 1), torch.arange(3).repeat_interleave(2)
    losses = []

    @torch.no_grad()
    def note(*_):
        losses.append(F.cross_entropy(net(x), y).item())

    note()
    accuracy = train([net], x, y, TRAINED[number], keys=(0,), on_progress=note)
    assert losses[:-1] == close(theirs["losses"])  # an epoch's is that before its step
    assert accuracy.item() == pytest.approx(theirs["train_accuracy"])
    for name, parameter, *_ in parts(net):
        assert {"norm": norm_of(parameter), "projection": projection(parameter, 301)} == close(
            theirs["weights"][name]
        ), name
