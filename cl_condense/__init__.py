"""Dataset condensation as memory for continual learning.

>>> from cl_condense import MakeConvNet, build, load
>>> train, test = load("digits")
>>> condensed = build("ddm", iterations=100)(train, ipc=2, make_net=MakeConvNet(train.shape, width=32))
>>> condensed.save("digits.safetensors")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cl_condense.augment import DSA
    from cl_condense.condensed import CondensedSet
    from cl_condense.datasets import load
    from cl_condense.engine import condense
    from cl_condense.evaluate import predict
    from cl_condense.imageset import ImageSet
    from cl_condense.methods import build
    from cl_condense.networks import ConvNet, MakeConvNet
    from cl_condense.progress import ProgressBar
    from cl_condense.protocols import Training
    from cl_condense.recipes import Method, Progress, Recipe, Term
    from cl_condense.strategies import CondensedBuffer, CondensedGDumb
    from cl_condense.synthetic import Partition, Pixels
    from cl_condense.training import train

# Loaded on first use: torch takes a second, Avalanche several, and neither is needed for --help.
_HOME = {
    "DSA": "augment",
    "CondensedBuffer": "strategies",
    "CondensedGDumb": "strategies",
    "CondensedSet": "condensed",
    "ConvNet": "networks",
    "ImageSet": "imageset",
    "MakeConvNet": "networks",
    "Method": "engine",
    "Partition": "synthetic",
    "Pixels": "synthetic",
    "Progress": "engine",
    "ProgressBar": "progress",
    "Recipe": "engine",
    "Term": "engine",
    "condense": "engine",
    "Training": "protocols",
    "build": "methods",
    "load": "datasets",
    "predict": "evaluate",
    "train": "training",
}

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
    "ProgressBar",
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
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"cl_condense.{_HOME[name]}"), name)
