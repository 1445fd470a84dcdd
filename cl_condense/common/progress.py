"""How far something is: the one value that everything that takes long tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Progress(NamedTuple):
    """How far something is.

    Attributes:
        stage: what is being done: condensing, training, evaluating, decoding, ...
        done, total: iterations, epochs, images: whatever it counts; ``done`` has a fraction where it counts
            long pieces of work.
        loss: of a condensation; it stays on the device until somebody looks at it.
    """

    stage: str
    done: float
    total: int
    loss: Tensor | None = None


OnProgress = Callable[[Progress], None]
"""What is told how far something is."""
