"""The licences of the data sets, as their owners state them, with Hugging Face's names for them."""

from __future__ import annotations

_RESEARCH = "ImageNet's terms: research and education that are not commercial"
_MEDMNIST = (
    "pathmnist octmnist pneumoniamnist retinamnist breastmnist bloodmnist tissuemnist organamnist organcmnist "
    "organsmnist"
)

LICENCES: dict[str, tuple[str, str]] = {
    "digits": ("cc-by-4.0", "CC BY 4.0 (UCI: Optical Recognition of Handwritten Digits)"),
    "mnist": ("cc-by-sa-3.0", "CC BY-SA 3.0"),
    "fashion_mnist": ("mit", "MIT"),
    "svhn": ("other", "for use that is not commercial"),
    "cifar10": ("unknown", "none stated; cite Krizhevsky (2009)"),
    "cifar100": ("unknown", "none stated; cite Krizhevsky (2009)"),
    **dict.fromkeys(
        "tinyimagenet imagenette imagewoof imagenet10 imagenet100 imagenet1k".split(), ("other", _RESEARCH)
    ),
    **dict.fromkeys(_MEDMNIST.split(), ("cc-by-4.0", "CC BY 4.0")),
    "dermamnist": ("cc-by-nc-4.0", "CC BY-NC 4.0"),
}
"""By data set: the name and what to say; what a folder of one's own has its owner knows."""
