"""Pools: networks that are trained on the real classes before condensation begins; IID's and DANCE's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import ClassVar, Literal

from cl_condense.common.numbers import check_whole, finite
from cl_condense.common.numbers import seed as checked_seed
from cl_condense.common.suggest import choice
from cl_condense.condensation.paper_settings import Tuned, settled
from cl_condense.condensation.sources.contract import RunningSource, SourceContext
from cl_condense.condensation.sources.pooled import Pooled
from cl_condense.networks.contract import MakeNetwork
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.resnet import MakeResNet
from cl_condense.training.augment import DSA
from cl_condense.training.protocol import Training


@dataclass(frozen=True)
class TrainedPool:
    """Networks that were trained on the real classes; each iteration looks through one of them (IID).

    ResNet-18; for images below 16 pixels, which it shrinks to nothing, the ConvNet that condenses. The authors'
    script trains 1,000 of them for 40 epochs (the paper: 30) and says that fewer will do.

    Attributes:
        size: networks.
        epochs: that each trains.
        seed: of their weights and training: condensations with other seeds share the pool.
        architecture: ``resnet18``, or ``own``: what condensation is asked to look through.
        width: filters of a ResNet-18's first stage, as a share of those of the ConvNet that condenses; the
            authors have 64 for 128.
        steps: iterations that look through the same network.

    Raises:
        ValueError: for a number out of its range, and another kind.
    """

    size: int | Tuned = 10
    epochs: int | Tuned = 40
    seed: int = 0
    architecture: Literal["resnet18", "own"] = "resnet18"
    width: float = 0.5
    steps: int = 1

    every_epoch: ClassVar[bool] = False

    def __post_init__(self) -> None:
        choice("architecture of a pool", self.architecture, ("resnet18", "own"))
        check_whole(self, "size", "epochs", "steps")
        object.__setattr__(self, "width", finite("width of a pool", self.width, above=0, at_most=4))
        object.__setattr__(self, "seed", checked_seed(self.seed))

    def pool(self) -> TrainedPool:
        return self

    def training(self) -> Training:
        return Training(settled(self.epochs), augment=None, decay=1.0)

    def network(self, context: SourceContext) -> MakeNetwork:
        if self.architecture == "own" or min(context.real.shape[1:]) < 16:
            return context.network
        filters = context.network.width if isinstance(context.network, MakeConvNet) else 128
        return MakeResNet(context.real.shape, max(1, int(self.width * filters)))

    def lasting(self, steps: int) -> TrainedPool:
        return replace(self, steps=steps)

    def start(self, context: SourceContext) -> RunningSource:
        return Pooled(self, context, blended=False, steps=self.steps)


@dataclass(frozen=True)
class BlendedPool:
    """Networks on the way of a training, between its two ends (DANCE, arXiv:2406.01063).

    Networks are trained on the real classes, and both their initial and their trained weights are kept. Each
    iteration draws one of them and looks through (1 - b) trained + b initial, parameter by parameter, with b
    uniform from 0 to 1; ``View.of_trained`` is what its trained end sees.

    They train with SGD at rate 0.01, falling to a fifth after two thirds and five sixths of the epochs, with
    augmentation of every image and CutMix in a share of the mini-batches.

    Attributes:
        size: networks.
        epochs, batch: that each trains, and images of its mini-batches.
        cutmix: probability of a mini-batch to be mixed.
        seed: of their weights and training: condensations with other seeds share the pool.
        steps: iterations that look through the same network; DANCE has 1.
    """

    size: int | Tuned = 20
    epochs: int | Tuned = 60
    batch: int | Tuned = 64
    cutmix: float = 0.5
    augment: DSA = field(default_factory=lambda: DSA("color_crop", every=True))
    seed: int = 0
    steps: int = 1

    every_epoch: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_whole(self, "size", "epochs", "batch", "steps")
        object.__setattr__(self, "cutmix", finite("cutmix", self.cutmix, at_least=0, at_most=1))
        object.__setattr__(self, "seed", checked_seed(self.seed))

    def pool(self) -> BlendedPool:
        return self

    def training(self) -> Training:
        return Training(
            settled(self.epochs),
            batch_size=settled(self.batch),
            augment=self.augment,
            cutmix=self.cutmix,
            decay=0.2,
            milestones=(Fraction(2, 3), Fraction(5, 6)),
        )

    def network(self, context: SourceContext) -> MakeNetwork:
        return context.network

    def lasting(self, steps: int) -> BlendedPool:
        return replace(self, steps=steps)

    def start(self, context: SourceContext) -> RunningSource:
        return Pooled(self, context, blended=True, steps=self.steps)
