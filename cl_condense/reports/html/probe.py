"""The network through which a report looks at images: one for each data set, trained briefly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.rng import Purpose
from cl_condense.data.imageset import ImageSet
from cl_condense.networks.contract import Features, Tap, features_of, make_feature_net
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.training.evaluate import predict
from cl_condense.training.protocol import Training
from cl_condense.training.train import train

WIDTH, EPOCHS, SEED = 32, 10, 0
_TRAINED_ON, _VALUES = 5_000, 1 << 26  # images, and numbers in them: a quarter of a GB
_SEEN = 50_000  # real images whose embeddings are kept
_PART = 256  # images of a forward pass


def unwatched(progress: Progress) -> None:
    """Watches nothing."""


@dataclass(frozen=True, eq=False)
class Probe:
    """A ConvNet of 32 filters, trained for ten epochs on at most 5000 real images; everything when first asked.

    The papers look through networks trained on real images: DDM through a CNN (fig. 1 and 4), IID through a
    ResNet-18 (fig. 1); IDM does not say through which (fig. 4). Ours is small so that a report takes a minute
    on a CPU, and the same for all sets of a data set, so that they compare. Its accuracy on the test images is
    part of what is shown.

    Attributes:
        real, test: images of the data set, on the device to compute on.
        depth: blocks of the ConvNet; None as ``ConvNet``.
        on_progress: told of what takes long.
    """

    real: ImageSet
    test: ImageSet
    depth: int | None = None
    on_progress: OnProgress = unwatched

    @cached_property
    def net(self) -> nn.Module:
        """The network, after its training."""
        real, classes = self.real, len(self.real.class_ids)
        net = make_feature_net(MakeConvNet(real.shape, WIDTH, self.depth), classes, real.device)
        Initialiser(net)(Purpose.NETWORK, SEED)
        index = real.draw(self._each, Purpose.TRAIN_NET, SEED).flatten()
        with torch.enable_grad():  # whoever asks first may look without
            train(
                [net],
                real.take(index),
                real.targets[index],
                Training(EPOCHS, batch_size=64, augment=None),
                keys=(Purpose.TRAIN_NET, SEED),
                on_progress=self.on_progress,
            )
        return net.eval().requires_grad_(False)

    @property
    def _each(self) -> int:
        """Real images of a class that the network is trained on; where there are fewer, all of them in turn."""
        many = min(_TRAINED_ON, _VALUES // math.prod(self.real.shape)) // len(self.real.class_ids)
        return max(1, min(max(self.real.counts), many))

    @property
    def words(self) -> str:
        """What the network is; sets that were seen through the same one compare."""
        images = sum(min(count, self._each) for count in self.real.counts)
        depth = f", {self.depth} blocks" if self.depth else ""
        return f"ConvNet of {WIDTH} filters{depth}, {EPOCHS} epochs on {images} real training images"

    @cached_property
    def accuracy(self) -> float:
        """Share of the test images that the network classifies rightly."""
        right = 0
        for part in torch.arange(len(self.test), device=self.test.device).split(_PART):
            logits = predict([self.net], self.test.take(part))[0]
            right += int((logits.argmax(1) == self.test.targets[part]).sum())
        return right / len(self.test)

    @cached_property
    def seen(self) -> tuple[Tensor, Tensor]:
        """Embeddings ``[n, d]`` of the real images and positions ``[n]`` of their classes.

        Of all training images where they are at most 50,000, else of equally many of each class.
        """
        real = self.real
        index = torch.arange(len(real), device=real.device)
        if len(real) > _SEEN:
            index = real.draw(max(1, _SEEN // len(real.class_ids)), Purpose.SELECT, SEED).unique()
        parts, found = index.split(_PART), []
        _ = self.net  # its training is told of before
        for i, part in enumerate(parts, 1):
            found.append(self.embedding(real.take(part)))
            self.on_progress(Progress("looking at images", i, len(parts)))
        return torch.cat(found), real.targets[index]

    def embedding(self, images: Tensor) -> Tensor:
        """Embeddings ``[n, d]`` of normalised images ``[n, c, h, w]``."""
        return torch.cat([self.features(part).embedding for part in images.split(_PART)])

    @torch.no_grad()
    def features(self, images: Tensor, taps: frozenset[Tap] = frozenset()) -> Features:
        """What the network makes of images ``[n, c, h, w]``, all in one pass."""
        found = features_of(self.net, images, taps)
        return found
