"""What tests of sources share: an exact network, its weights, and images that nobody may look at."""

import torch

from cl_condense.networks.convnet import ConvNet

SHAPE = (1, 8, 8)


class Exact(ConvNet):
    """A small ConvNet in double precision, so that two ways to the same weights can be told from two others."""

    def __init__(self, classes):
        super().__init__(SHAPE, classes, width=8, depth=1)
        self.double()

    def features(self, x, taps=frozenset()):
        return super().features(x.double(), taps)


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def never():
    raise AssertionError("the synthetic images are not looked at")
