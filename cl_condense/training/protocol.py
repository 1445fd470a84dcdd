"""How networks are trained on a small set: the papers' evaluation protocols, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import get_args

from cl_condense.common.kinds import check_flag, check_kind, check_parts
from cl_condense.common.numbers import finite, whole
from cl_condense.networks.contract import Precision
from cl_condense.training.augment import DSA

_WHOLE = ("epochs", "batch_size")
_FINITE: dict[str, dict[str, float]] = {
    "lr": {"at_least": 0},
    "momentum": {"at_least": 0, "below": 1},
    "weight_decay": {"at_least": 0},
    "cutmix": {"at_least": 0, "at_most": 1},
    "decay": {"above": 0, "at_most": 1},
    "temperature": {"above": 0},
}


@dataclass(frozen=True)
class Training:
    """The evaluation protocol of DC, DSA, DM and their successors (VICO-UoE/DatasetCondensation).

    SGD with momentum; the learning rate falls to a tenth after half of the epochs, where the momentum starts
    afresh; cross-entropy; augmentation with one operation a mini-batch and parameters of its own for every
    image. The published loop runs one epoch more than its setting says; this one runs what it says.

    Attributes:
        epochs: 1000 in the papers with augmentation, 300 without.
        augment: None trains without.
        cutmix: probability of a mini-batch to be mixed, after augmentation; IDC (arXiv:2205.14959) and M3D have
            .5 for images of 32 pixels.
        decay: what the learning rate is multiplied by after half of the epochs, above 0; 1 keeps the rate, and
            with it the momentum.
        milestones: shares of the epochs, 0 to 1, after which the rate is multiplied by ``decay`` instead, each
            time, and the momentum goes on: ``floor(share * epochs)`` epochs keep the rate before.
        temperature: of ``distillation``, where a job has teachers.
        precision: of convolutions; loss, gradients of weights and the step are float32 all the same.
        compiled: the papers' ConvNets go through torch.compile: minutes at first, less time an image after it.

    Raises:
        ValueError: for no epochs, empty batches, or a number out of its range.
    """

    epochs: int = 1000
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 256
    augment: DSA | None = field(default_factory=DSA)
    cutmix: float = 0.0
    decay: float = 0.1
    milestones: tuple[float | Fraction, ...] = ()
    temperature: float = 2.0
    precision: Precision = "float32"
    compiled: bool = False

    def __post_init__(self) -> None:
        checked: dict[str, float] = {name: whole(name, getattr(self, name)) for name in _WHOLE}
        checked |= {name: finite(name, getattr(self, name), **allowed) for name, allowed in _FINITE.items()}
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        check_kind("augment", self.augment, DSA | None, "a DSA, such as DSA('crop_flip'), or None")
        check_flag("compiled", self.compiled)
        check_parts("milestones", self.milestones, object, "shares of the epochs")
        for share in self.milestones:
            finite("milestones", share, at_least=0, at_most=1)
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision {self.precision!r}: use {' or '.join(get_args(Precision))}")


def mixed_training(epochs: int = 1000, strategy: str = DSA.strategy, cutmix: float = 0.5) -> Training:
    """The evaluation protocol of IDC and M3D (arXiv:2205.14959; train.py of snu-mllab's code).

    Batches of 64 images; every image through flip, colour and one of crop, scale and rotate; then CutMix, for
    half of the mini-batches; the rate falls to a fifth after two thirds and after five sixths of the epochs.
    Cutout is left out, as their code does beside CutMix. It is for images of 28 and 32 pixels: what they do for
    ImageNet (epochs by images per class, resized crops, colour jitter, lighting) is not here.

    Where their code differs: CIFAR-100 has crops and flips in the place of these operations and CIFAR-10's
    normalisation; SVHN at one image per class without partition is not mixed. Of M3D's code only descendants
    were to be had: that it evaluates in this way is from them and the paper's "following previous works", and
    whether it leaves cutout out is not known. Accuracy is that after the last epoch; IDC's code prints the best
    on the test images beside it.

    Args:
        epochs: 1000 in the papers; 1500 in DANCE's (arXiv:2406.01063), which is the same otherwise.
        strategy: words of DSA; SVHN and MNIST have no flip.
        cutmix: 0 for MNIST with several images in one.
    """
    words = [word for word in strategy.split("_") if word != "cutout"]
    augment = DSA("_".join(words) or "none", every=True)
    falls = (Fraction(2, 3), Fraction(5, 6))
    return Training(epochs, batch_size=64, augment=augment, cutmix=cutmix, decay=0.2, milestones=falls)


DC_AUGMENT = DSA("crop_scale_rotate", ratio_crop_pad=4 / 28, ratio_scale=1.2, ratio_rotate=45.0)
"""DC's own augmentation, which its code has for MNIST alone (utils.py of VICO-UoE's code).

A shift by up to 4 pixels, a zoom by up to a fifth on each axis or a turn by up to 45 degrees. There every image
draws which, here every mini-batch; there zooms are to .8 to 1.2 of the size, by nearest neighbour, and turns by
splines, here zooms are to 1 / 1.2 to 1.2 and both are bilinear.
"""

TRAININGS: dict[str, Callable[[int, str], Training]] = {
    "augmented": lambda epochs, strategy: Training(epochs, augment=DSA(strategy)),
    "plain": lambda epochs, strategy: Training(epochs, augment=None),
    "mixed": mixed_training,
    "dance": mixed_training,
    "dc_mnist": lambda epochs, strategy: Training(epochs, augment=DC_AUGMENT),
    "idc_mnist": lambda epochs, strategy: mixed_training(epochs, strategy, cutmix=0.0),
    "cafe": lambda epochs, strategy: Training(epochs, augment=None),
    "datadam": lambda epochs, strategy: Training(epochs, batch_size=64, augment=DSA(strategy)),
}
"""The ways to evaluate by name, from epochs and the words of the data set's augmentation."""
