"""torch.compile for what a network sees, and the way back where it does not work."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from cl_condense.features import See, Seen, see

_VARIANTS = 64  # compiled forms of one function: a few for each method and number of classes; torch keeps 8


def compiled() -> See:
    """:func:`~cl_condense.features.see` through torch.compile, or itself, with a warning, where that fails.

    Norm, activation and pooling become one pass over the maps. The first iterations compile, for about half a
    minute; torch keeps the code, and later runs take seconds.
    """
    fast: Any = torch.compile(see, dynamic=False)
    config: Any = torch._dynamo.config
    limit = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
    works = True

    def looking(net: nn.Module, *args: Any) -> Seen:
        nonlocal works
        if works:
            try:
                with config.patch({limit: _VARIANTS}), warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "The .grad attribute")  # dynamo looks at it
                    found: Seen = fast(net, *args)
                return found
            except torch.cuda.OutOfMemoryError:
                raise  # the engine takes fewer classes then
            except RuntimeError as error:  # what dynamo and its compilers raise
                works = False
                reason = next((line for line in str(error).splitlines() if line.strip()), "")
                warnings.warn(f"torch.compile failed, going on without it: {reason}", stacklevel=2)
        return see(net, *args)

    return looking
