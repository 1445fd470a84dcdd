"""Dataset condensation as memory for continual learning.

>>> from cl_condense import MakeConvNet, build, load
>>> train, test = load("digits")
>>> condensed = build("ddm", iterations=100)(train, ipc=2, make_net=MakeConvNet(train.shape, width=32))
>>> condensed.save("digits.safetensors")
"""

from typing import TYPE_CHECKING, Any

from cl_condense.augment import DSA
from cl_condense.condense import Method, Progress, Recipe, Term, condense
from cl_condense.condensed import CondensedSet
from cl_condense.datasets import load
from cl_condense.evaluate import Training, predict, train
from cl_condense.imageset import ImageSet
from cl_condense.methods import build
from cl_condense.networks import ConvNet, MakeConvNet
from cl_condense.synthetic import Partition, Pixels

if TYPE_CHECKING:
    from cl_condense.strategies import CondensedBuffer, CondensedGDumb

__all__ = [
    "DSA",
    "CondensedBuffer",
    "CondensedGDumb",
    "CondensedSet",
    "ConvNet",
    "ImageSet",
    "MakeConvNet",
    "Method",
    "Partition",
    "Pixels",
    "Progress",
    "Recipe",
    "Term",
    "Training",
    "build",
    "condense",
    "load",
    "predict",
    "train",
]


def __getattr__(name: str) -> Any:
    # On first use, because importing Avalanche takes seconds.
    if name in ("CondensedBuffer", "CondensedGDumb"):
        from cl_condense import strategies  # noqa: PLC0415

        return getattr(strategies, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
