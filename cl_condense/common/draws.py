"""Draws ahead of their use: on a GPU the launch of an operation takes longer than a small one itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_MOST = 8  # of one kind at once
_NUMBERS = 2**22  # of all of them; 32 MiB while they are drawn


def how_many(numbers: int, device: torch.device) -> int:
    """How many draws, of so many numbers each, are done at once: one on a CPU."""
    return max(1, min(_MOST, _NUMBERS // numbers)) if device.type == "cuda" else 1


class Draws:
    """What is drawn for keys of which the last counts up, the next few together.

    Args:
        draw: of keys, the last of them ``[n]`` on the host; gives ``[n, ...]``, each as if it were drawn alone.
        each: how many at once.
    """

    def __init__(self, draw: Callable[..., Tensor], each: int) -> None:
        self._draw, self._each = draw, each
        self._held: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, *keys: int) -> Tensor:
        """What is drawn for these keys."""
        *before, number = keys
        if self._each == 1:
            return self._draw(*before, torch.tensor([number]))[0]
        if keys not in self._held:
            drawn = self._draw(*before, number + torch.arange(self._each))
            self._held = {(*before, number + i): one for i, one in enumerate(drawn.unbind())}
        return self._held.pop(keys)
