"""Weights of a trained network in a file, under the names that its own library has for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from cl_condense.common import tensor_file
from cl_condense.common.files import writable
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.imageset import ImageSet
from cl_condense.networks.torchvision_nets import TorchvisionNet
from cl_condense.runs.config import TrainConfig

_FORM = "cl-condense weights 1"


def check_weights(path: Path, sets: int) -> None:
    """Raises ValueError for a path that takes no weights, and for those of several sets."""
    if sets != 1:
        raise ValueError(
            f"--weights {path}: it holds the network of one set, and {sets} are given: name one set"
        )
    if path.suffix != ".safetensors":
        raise ValueError(f"--weights {path}: name a .safetensors file")
    writable(path, "--weights", ours=_ours)


def check_whitened(path: Path, space: str) -> None:
    """Raises ValueError for the network of a whitened set, whose file would lack what whitens its images."""
    if space == "whitened":
        raise ValueError(
            f"--weights {path}: the network takes whitened images, and the file has no whitening: leave it out"
        )


def write_weights(
    path: Path, made: CondensedSet, test: ImageSet, config: TrainConfig, nets: Sequence[nn.Module]
) -> None:
    """Writes those of the first network, with what a classifier is used with: classes, size, normalisation.

    The classes are those of its outputs, all of the test images', though a set may lack some.
    """
    net = nets[0].net if isinstance(nets[0], TorchvisionNet) else nets[0]
    names = [*test.names] or [str(label) for label in test.class_ids]
    about = {"network": config.network, "classes": names, "shape": [*made.shape]}
    about |= {"mean": [*made.mean], "std": [*made.std]}
    tensor_file.write(path, _FORM, net.state_dict(), about=about)


def _ours(path: Path) -> bool:
    """Whether weights are there that may be replaced."""
    try:
        tensor_file.read(path, [_FORM], ["about"], "weights", "name another file")
    except ValueError:
        return False
    return True
