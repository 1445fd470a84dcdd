"""Training images held out to choose by, so that the test images are not looked at."""

from __future__ import annotations

from cl_condense.common.rng import Purpose
from cl_condense.data.imageset import ImageSet


def split(data: ImageSet, fit: int, held: int) -> tuple[ImageSet, ImageSet]:
    """``fit`` images of each class to work with and ``held`` others to evaluate on, the same ones each time."""
    index = data.draw(fit + held, Purpose.SELECT, 0)
    parts = []
    for part in index.split([fit, held], dim=1):
        at = part.flatten()
        parts.append(ImageSet.of(data.store.gather(at), data.labels[at], normalisation=(data.mean, data.std)))
    return parts[0], parts[1]
