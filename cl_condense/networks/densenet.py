"""The DenseNet on which IDC and M3D evaluate condensed CIFAR."""

from __future__ import annotations

import torch.nn.functional as F
import torchvision.models
from torch import Tensor, nn

from cl_condense.networks.contract import Features, Tap, check_taps

_REPLACED = ("norm0", "relu0", "pool0")


class DenseNet(nn.Module):
    """``densenet_cifar`` of IDC's code (arXiv:2205.14959), the "DenseNet-121" of M3D's Table 4.

    DenseNet-121's blocks of 6, 12, 24 and 16 layers (Huang et al., CVPR 2017) that add 12 channels each instead
    of 32, with batch norm: torchvision's layers behind a 3x3 convolution of twice the growth. A layer's new
    channels are behind the old ones, and before them in IDC's code: the same network with its channels in
    another order. That code takes colour alone and pools by 4 at the end: at 32 pixels the global average that
    is taken here. Weights have torch's distributions, as there, and not torchvision's.

    Args:
        shape: (channels, height, width) of the images, of at least 8 pixels.
        classes: number of outputs.
        growth: channels that a layer adds; 12 in IDC's evaluation.

    Raises:
        ValueError: where the images are too small or nothing grows.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, *, growth: int = 12) -> None:
        super().__init__()
        if growth < 1:
            raise ValueError(
                f"a DenseNet cannot grow by {growth} channels: give at least 1, for example growth=12"
            )
        if min(shape[1:]) < 8:
            raise ValueError(
                f"a DenseNet does not fit images of {shape[1]}x{shape[2]}: it halves them 3 times and so takes "
                "8x8 or more; enlarge them or take ConvNet"
            )
        whole = torchvision.models.DenseNet(growth, (6, 12, 24, 16), 2 * growth, num_classes=classes)
        self.layers: nn.Sequential = whole.features
        self.layers.conv0 = nn.Conv2d(shape[0], 2 * growth, 3, padding=1, bias=False)
        for name in _REPLACED:
            delattr(self.layers, name)
        self.classifier: nn.Linear = whole.classifier
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()

    def features(self, x: Tensor, taps: frozenset[Tap] = frozenset()) -> Features:
        """Features of images ``[n, c, h, w]``; the embedding is ``[n, 32 * growth]``.

        Raises:
            ValueError: for any tap.
        """
        check_taps("a DenseNet", taps)
        embedding = F.relu(self.layers(x), inplace=True).mean((2, 3))
        return Features(embedding, self.classifier(embedding))

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[n, classes]``."""
        return self.features(x).logits
