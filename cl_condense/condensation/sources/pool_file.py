"""Trained pools on the disk, by all that they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from cl_condense.common import tensor_file
from cl_condense.common.checkpoint import State, under
from cl_condense.common.files import sweep, unwritable
from cl_condense.common.plain import Json
from cl_condense.condensation.paper_settings import plain
from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.data.fingerprint import fingerprint
from cl_condense.networks.contract import MakeNetwork
from cl_condense.training.protocol import Training

_FORMAT = "cl-condense pool 1"
SUFFIX = ".pool"


class PoolFile:
    """The file of a pool, named by what decides its networks to the bit.

    A file that is absent, damaged or of another pool is as none: the networks are trained again, and it is
    written over.

    Args:
        folder: where it lies; made when it is first written.
        identity: what decides the networks.
    """

    def __init__(self, folder: Path, identity: Json) -> None:
        text = json.dumps(identity, sort_keys=True)
        self.identity: Json = json.loads(text)
        self.path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}{SUFFIX}"

    @staticmethod
    def of(
        context: SourceContext,
        network: MakeNetwork,
        training: Training,
        size: int,
        seed: int,
        *,
        every_epoch: bool = False,
    ) -> PoolFile | None:
        """That of a pool; None where none are kept, and for networks that nothing but their code describes.

        With ``every_epoch`` it has them at the end of each.
        """
        if context.pools is None or not _ours(network):
            return None
        real = context.real
        identity = {
            "data": fingerprint(real),
            "normalisation": [real.mean, real.std],
            "network": plain(network),
            "training": plain(training),
            "size": size,
            "seed": seed,
            **({"every epoch": True} if every_epoch else {}),
            # what rounds otherwise
            "torch": torch.__version__,
            "device": real.device.type,
            "threads": torch.get_num_threads(),
        }
        return PoolFile(context.pools, identity)

    def load(self, nets: Sequence[nn.Module]) -> bool:
        """Gives the networks their weights; False where the file has none for them, and they are as before."""
        try:
            found = tensor_file.read(self.path, (_FORMAT,), ("identity",), "a pool of networks", "remove it")
        except ValueError:
            return False
        states = [under(f"{i}.", found.tensors) for i in range(len(nets))]
        alike = all(_kinds(net.state_dict()) == _kinds(own) for net, own in zip(nets, states, strict=True))
        if found.entries["identity"] != self.identity or not alike:
            return False
        for net, own in zip(nets, states, strict=True):
            net.load_state_dict(own)
        return True

    def keep(self, nets: Sequence[nn.Module]) -> None:
        """Writes the file in one step.

        Raises:
            ValueError: where it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.path.parent, error) from None
        sweep(self.path.parent, folder=True)
        tensors = {f"{i}.{k}": value for i, net in enumerate(nets) for k, value in net.state_dict().items()}
        tensor_file.write(self.path, _FORMAT, tensors, identity=self.identity)


def _ours(network: MakeNetwork) -> bool:
    """Whether a maker says all that its networks are: it, and what it makes, come with the package."""
    made = getattr(network, "network", network)
    modules = (type(network).__module__, getattr(made, "__module__", ""))
    return all(module.startswith("cl_condense.") for module in modules)


def _kinds(state: State) -> dict[str, tuple[torch.dtype, torch.Size]]:
    return {name: (value.dtype, value.shape) for name, value in state.items()}
