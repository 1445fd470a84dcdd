"""How far something is: the one value that everything that takes long tells."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

POINTS = 200
"""Points of a loss curve, about; each waits for the device."""


class Progress(NamedTuple):
    """How far something is.

    Attributes:
        stage: what is being done: condensing, training, evaluating, decoding, ...
        done, total: iterations, epochs, images: whatever it counts; ``done`` has a fraction where it counts
            long pieces of work.
        loss: of the stage, where it has one; it stays on the device until somebody looks at it.
        of: the piece of work that the stage is a part of, such as ``experience 3, part 1``; may be empty.
        picture: draws the images as they are now, for who wants to see them; None where there are none.
        made: gives them, as what the work makes in the end.
        unit: what is counted, in the plural, where the stage does not tell; may be empty.
    """

    stage: str
    done: float
    total: int
    loss: Tensor | None = None
    of: str = ""
    picture: Callable[[], Image] | None = None
    made: Callable[[], object] | None = None
    unit: str = ""

    @property
    def over(self) -> bool:
        """Whether it is the last of what it counts."""
        return self.done >= self.total

    def part_of(self, of: str) -> Progress:
        """The same as a stage of a piece of work."""
        return self._replace(of="/".join(filter(None, (of, self.of))))

    @property
    def lasts(self) -> bool:
        """Whether it has to arrive: a point of its curve; of the others the latest is enough."""
        return self.on_curve

    def plain(self) -> Progress:
        """The same for another process: the loss as it is now, and the picture where the stage is over."""
        loss = None if self.loss is None else self.loss.detach().cpu()
        picture = partial(copy, self.picture()) if self.picture and self.over else None
        return self._replace(loss=loss, picture=picture, made=None)

    @property
    def on_curve(self) -> bool:
        """Whether it is worth a point of a loss curve: the first and the last are, and some between them."""
        done, every = int(self.done), max(1, self.total // POINTS)
        return done == self.done and done > 0 and (done % every == 0 or done == 1 or self.over)


OnProgress = Callable[[Progress], None]
"""What is told how far something is."""


def telling(*watchers: OnProgress) -> OnProgress:
    """Tells several, in their order: ``on_iteration=telling(ProgressBar(), recorder)``."""

    def tell(progress: Progress) -> None:
        for watcher in watchers:
            watcher(progress)

    return tell


def within(of: str, on_progress: OnProgress | None) -> OnProgress | None:
    """The same, told of stages that are part of a piece of work; None stays None."""
    if on_progress is None:
        return None
    return lambda progress: on_progress(progress._replace(of=of))
