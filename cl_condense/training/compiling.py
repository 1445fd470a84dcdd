"""torch.compile for what a network computes, and the way back where it does not work."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from cl_condense.networks import joined

T = TypeVar("T")

_VARIANTS = 64  # compiled forms of one function: a few for each method and number of classes; torch keeps 8

_OF_DYNAMO = (
    "The .grad attribute",
    ".*autograd.function.Function.* should not be instantiated",
    "TensorFloat32 tensor cores",  # of products of matrices, few here; convolutions have torch's default
)
"""Warnings of what torch.compile itself does, or would have."""


@functools.cache
def compiled_logits() -> Callable[[nn.Module, Tensor], Tensor]:
    """Logits ``[n, classes]`` of a network and images ``[n, c, h, w]``, compiled."""
    return compiled(plain_logits)


@functools.cache
def compiled_joined() -> joined.Forward:
    """Logits of networks side by side, compiled once for mini-batches of all sizes but the smallest."""
    fast = compiled(joined.forward)

    def run(x: Tensor, nets: joined.SideBySide) -> Tensor:
        torch._dynamo.maybe_mark_dynamic(x, 1)  # memories grow with the steps of a stream
        return fast(x, nets)

    return run


def _by_threads(function: Callable[..., T]) -> Callable[[int], Callable[..., T]]:
    """A function through torch.compile, by the number of CPU threads.

    Code for a CPU has the number in it. Torch keeps it for later processes, and unless the number is an option,
    gives it to those with another: two processes of one thread each then wait for each other's.
    """
    return functools.cache(
        lambda threads: torch.compile(function, dynamic=False, options={"cpp.threads": threads})
    )


def plain_logits(net: nn.Module, images: Tensor) -> Tensor:
    """The same, not compiled."""
    logits: Tensor = net(images)
    return logits


def compiled(function: Callable[..., T]) -> Callable[..., T]:
    """A function through torch.compile, or itself, with a warning, where that fails.

    Norm, activation and pooling become one pass over the maps, and convolutions in float32 on a CPU take
    ``networks.winograd``'s way. The first calls compile, for minutes; torch keeps the code for later runs.
    """
    fast: Any = _by_threads(function)
    config: Any = torch._dynamo.config
    limit = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
    works = True

    def run(*args: Any) -> T:
        nonlocal works
        if works:
            try:
                with config.patch({limit: _VARIANTS}), warnings.catch_warnings():
                    for what in _OF_DYNAMO:
                        warnings.filterwarnings("ignore", what)
                    found: T = fast(torch.get_num_threads())(*args)
                return found
            except torch.cuda.OutOfMemoryError:
                raise  # the engine takes fewer classes then
            except RuntimeError as error:  # what dynamo and its compilers raise
                works = False
                reason = next((line for line in str(error).splitlines() if line.strip()), "")
                warnings.warn(f"torch.compile failed, going on without it: {reason}", stacklevel=2)
        return function(*args)

    return run
