"""Whether pixels and states are still what they should be."""

from __future__ import annotations

from torch import Tensor

from cl_condense.common.checkpoint import State
from cl_condense.condensation.recipe import Recipe

ABSURD = 1e4
"""Of normalised pixels; those of real images stay below 10."""


def check_alike(given: State, taken: State) -> None:
    """Raises ValueError for a state that is another one once it has been taken over."""
    if odd := given.keys() ^ taken.keys():
        raise ValueError(f"{min(odd)!r} is in one of them alone")
    for name, value in given.items():
        (own, theirs) = ((tensor.dtype, tuple(tensor.shape)) for tensor in (taken[name], value))
        if own != theirs:
            raise ValueError("{} is {} of shape {}, not {} of shape {}".format(name, *theirs, *own))
        # A network may have diverged while the pixels are well, and then goes on as it would have.
        if not name.startswith("networks.") and not bool(value.isfinite().all()):
            raise ValueError(f"{name} is NaN or infinite")


def check_finite(pixels: Tensor, recipe: Recipe, iteration: int, labels: Tensor | None = None) -> None:
    """Raises ValueError for pixels, and numbers behind labels, that are no more what they should be."""
    if labels is not None and not bool(labels.isfinite().all()):
        raise ValueError(
            f"{recipe.name} diverged: labels are NaN or infinite by iteration {iteration}; lower their rate, "
            f"such as {recipe.name}@labels.lr=0.1"
        )
    if not bool((pixels.abs() < ABSURD).all()):  # false for NaN too
        raise ValueError(
            f"{recipe.name} diverged: pixels beyond {ABSURD:g} or NaN by iteration {iteration}; "
            f"lower the learning rate (now {recipe.lr}) or the weights of its terms"
        )
