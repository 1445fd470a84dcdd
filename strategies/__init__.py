"""Condensed memories for Avalanche; the only part of the package that imports it."""

import sys

import torch

from cl_condense.strategies.augmenting import as_stream
from cl_condense.strategies.buffer import CondensedBuffer
from cl_condense.strategies.gdumb import CondensedGDumb
from cl_condense.strategies.gradients import CondensedAGEMPlugin, CondensedGEMPlugin

__all__ = ["CondensedAGEMPlugin", "CondensedBuffer", "CondensedGDumb", "CondensedGEMPlugin", "as_stream"]

# torch.optim deletes the names of its modules, so that Avalanche's checkpoints pickle an optimizer's class by
# value: 0.4 MB a file, tied to the version of torch, and an error from torch 2.13 on (Avalanche #1680).
for _name in [name for name in sys.modules if name.startswith("torch.optim.") and name.count(".") == 2]:
    if not hasattr(torch.optim, _name.rpartition(".")[2]):
        setattr(torch.optim, _name.rpartition(".")[2], sys.modules[_name])
