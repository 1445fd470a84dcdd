"""The optimiser of the synthetic pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_condense.imageset import ImageSet
from cl_condense.recipes import Recipe
from cl_condense.sources import State


class PixelStep:
    """One optimiser step on all pixels ``[k, ipc, c, h, w]``, in place, from ``gradient``."""

    def __init__(self, real: ImageSet, recipe: Recipe, pixels: Tensor) -> None:
        self._recipe, self._pixels = recipe, pixels
        self.gradient = pixels.grad = torch.zeros_like(pixels)
        self._sgd = torch.optim.SGD([pixels], lr=recipe.lr, momentum=recipe.momentum)  # type: ignore[arg-type]
        mean, std = (torch.tensor(x, device=real.device).view(-1, 1, 1) for x in (real.mean, real.std))
        self._black, self._white = -mean / std, (1 - mean) / std

    def __call__(self, done: float) -> None:
        """Takes the step, with ``done`` of the iterations behind it, 0 to 1."""
        recipe = self._recipe
        halved = sum(done >= share for share in recipe.halvings)
        self._sgd.param_groups[0]["lr"] = recipe.lr * 0.5**halved  # type: ignore[operator]
        if recipe.space == "unit":  # a step on p = x std + mean is one on x with the rate over std^2
            self.gradient.mul_((self._white - self._black).square())
        self._sgd.step()
        if recipe.space == "unit":
            self._pixels.clamp_(self._black, self._white)

    def state(self) -> State:
        buffer = self._sgd.state[self._pixels].get("momentum_buffer")
        return {} if buffer is None else {"momentum": buffer}

    def restore(self, state: State) -> None:
        if "momentum" in state:
            self._sgd.state[self._pixels]["momentum_buffer"] = state["momentum"].to(self._pixels, copy=True)
