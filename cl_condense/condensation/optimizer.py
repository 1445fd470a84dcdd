"""The optimiser of the synthetic pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_condense.common.checkpoint import State
from cl_condense.condensation.paper_settings import settled_number
from cl_condense.condensation.recipe import Recipe
from cl_condense.data.imageset import ImageSet


def joint(recipe: Recipe, classes: int) -> tuple[float, float]:
    """Rate and momentum of the step that all classes take together.

    The recipe's own, or for one with ``class_steps`` those that do what its authors' loop does, in which every
    class in turn takes a step on its loss while momentum moves the images of all K: with rate l and momentum m
    a joint rate l (1 + m + ... + m^(K - 1)) and momentum m^K. Exactly so for what each class's own step finds,
    its images and their momentum, in every iteration. After the last one the authors' images of class c = 0,
    1, ... have drifted K - 1 - c steps, and these K - 1, as all have before a class's next own step.
    """
    lr, momentum = settled_number(recipe.lr), recipe.momentum
    if not recipe.class_steps:
        return lr, momentum
    return lr * sum(momentum**i for i in range(classes)), momentum**classes


class PixelStep:
    """One optimiser step on all pixels ``[k, ipc, c, h, w]``, in place, from ``gradient``.

    Those of the images ``kept`` ``[k, ipc]``, if there are any, stay as they are.
    """

    def __init__(self, real: ImageSet, recipe: Recipe, pixels: Tensor, kept: Tensor | None = None) -> None:
        self._recipe, self._pixels = recipe, pixels
        self._kept: tuple[Tensor, Tensor] | None = None
        if kept is not None and bool(kept.any()):
            rows = kept.flatten().nonzero()[:, 0].to(pixels.device)
            self._kept = rows, pixels.flatten(0, 1)[rows]
        self.gradient = pixels.grad = torch.zeros_like(pixels)
        self._lr, momentum = joint(recipe, len(real.class_ids))
        self._sgd = torch.optim.SGD([pixels], lr=self._lr, momentum=momentum, fused=pixels.is_cuda)
        mean, std = (torch.tensor(x, device=real.device).view(-1, 1, 1) for x in (real.mean, real.std))
        self._black, self._white = -mean / std, (1 - mean) / std

    def __call__(self, done: float, rate: float = 1.0, *, last: bool = True) -> None:
        """Takes the step, with ``done`` of the iterations behind it, 0 to 1, at ``rate`` times the recipe's.

        Pixels that are to stay between black and white are put there after the ``last`` step of an iteration.
        """
        recipe = self._recipe
        halved = sum(done >= share for share in recipe.halvings)
        self._sgd.param_groups[0]["lr"] = self._lr * 0.5**halved * rate
        if recipe.space == "unit":  # a step on p = x std + mean is one on x with the rate over std^2
            self.gradient.mul_((self._white - self._black).square())
        self._sgd.step()
        if recipe.space == "unit" and last:
            self._pixels.clamp_(self._black, self._white)
        if self._kept:
            self._pixels.flatten(0, 1).index_copy_(0, *self._kept)

    def state(self) -> State:
        buffer = self._sgd.state[self._pixels].get("momentum_buffer")
        return {} if buffer is None else {"momentum": buffer}

    def restore(self, state: State, begun: bool) -> None:
        if begun and self._sgd.param_groups[0]["momentum"] > 0:
            if state["momentum"].shape != self._pixels.shape:
                raise ValueError(f"momentum {tuple(state['momentum'].shape)}, not {tuple(self._pixels.shape)}")
            self._sgd.state[self._pixels]["momentum_buffer"] = state["momentum"].to(self._pixels, copy=True)
