"""The papers' networks by name, for condensing and for cross-examining what was condensed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from cl_condense.common.plain import Json
from cl_condense.common.suggest import choice
from cl_condense.networks.classic import MLP, VGG11, AlexNet, LeNet
from cl_condense.networks.contract import MakeNetwork, check_sizes
from cl_condense.networks.convnet import ConvNet, MakeConvNet
from cl_condense.networks.densenet import DenseNet
from cl_condense.networks.resnet import MakeResNet, ResNet
from cl_condense.networks.torchvision_nets import PREFIX, torchvision_network


class Architecture(NamedTuple):
    """A network class, called with (shape, classes, **options), and the options that make it a paper's.

    Attributes:
        network: the class.
        options: of its constructor.
        about: one line for people.
    """

    network: Callable[..., nn.Module]
    options: Json
    about: str


_TEN: Json = {"blocks": (1, 1, 1, 1)}

ARCHITECTURES: dict[str, Architecture] = {
    "convnet": Architecture(
        ConvNet, {}, "the papers' own: width, depth, norm, activation and pooling are options"
    ),
    "convnet_bn": Architecture(ConvNet, {"norm": "batch"}, "with batch norm, as DataDAM's code condenses"),
    "convnet_swish_bn": Architecture(
        ConvNet, {"norm": "batch", "activation": "swish"}, "and with swish for ReLU"
    ),
    "mlp": Architecture(MLP, {}, "two hidden layers of 128"),
    "lenet": Architecture(LeNet, {}, "two convolutions and two hidden layers"),
    "alexnet": Architecture(AlexNet, {}, "five convolutions, no norm"),
    "alexnet_bn": Architecture(AlexNet, {"norm": "batch"}, "with batch norm"),
    "vgg11": Architecture(VGG11, {}, "eight convolutions, instance norm"),
    "vgg11_bn": Architecture(VGG11, {"norm": "batch"}, "with batch norm"),
    "resnet18": Architecture(ResNet, {}, "instance norm"),
    "resnet18_bn": Architecture(ResNet, {"norm": "batch"}, "with batch norm"),
    "resnet18_ap": Architecture(ResNet, {"halving": "pool", "head": "flat"}, "average pooling for strides"),
    "resnet10": Architecture(
        ResNet, {"width": 32, "norm": "batch", **_TEN}, "IDC's and M3D's for CIFAR, batch norm"
    ),
    "resnet_ap10": Architecture(
        ResNet, {"halving": "pool", "stem": "auto", **_TEN}, "IDC's and M3D's for ImageNet"
    ),
    "densenet121": Architecture(DenseNet, {}, "IDC's and M3D's for CIFAR: growth 12 for the paper's 32"),
}


@dataclass(frozen=True)
class MakeArchitecture:
    """A network of any class for images of one shape, as a ``MakeNetwork`` that can be pickled."""

    network: Callable[..., nn.Module]
    shape: tuple[int, int, int]
    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self, classes: int) -> nn.Module:
        return self.network(self.shape, classes, **dict(self.options))


def architecture(name: str, shape: tuple[int, int, int], **options: Any) -> MakeNetwork:
    """The maker of a network by its name, for example ``architecture("convnet", (3, 64, 64), depth=4)``.

    Args:
        name: a key of ``ARCHITECTURES``, or ``torchvision:`` and a classifier of its, without options.
        shape: (channels, height, width) of the images.
        options: of the network's constructor; they override the architecture's own.

    Raises:
        ValueError: for a name or an option that is not known (with the nearest one), a value that the network
            refuses, and images that are too small for it.
    """
    if str(name).startswith(PREFIX):
        check_sizes(shape)
        if options:
            raise ValueError(f"{name} has no option {next(iter(options))!r}, nor any other")
        return torchvision_network(name, shape)
    network, own, _ = ARCHITECTURES[choice("network", name, ARCHITECTURES)]
    check_sizes(shape)
    known = [p for p in inspect.signature(network).parameters if p not in ("shape", "classes")]
    for option in options:
        if not known:
            raise ValueError(f"{name} has no option {option!r}, nor any other")
        choice(f"option of {name}", option, known)
    merged = {**own, **options}
    make: MakeNetwork
    if network is ConvNet:
        make = MakeConvNet(shape, **merged)
    elif network is ResNet:
        make = MakeResNet(shape, **merged)
    else:
        make = MakeArchitecture(network, shape, tuple(merged.items()))
    with torch.device("meta"):  # raises for what does not fit, without drawing weights
        make(1)
    return make
