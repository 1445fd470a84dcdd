"""Classes that come back: their new images beside what the memory holds of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.imageset import ImageSet


def with_stored(
    real: ImageSet, stored: CondensedSet | None, seen: Mapping[int, int], shown: Mapping[int, int]
) -> ImageSet:
    """The new images, with the stored ones of classes that return.

    The new images of a class stand for those ``shown``, and the stored ones for those ``seen`` of it before.
    With stored images the set is of floats, as those are; else it is ``real``.
    """
    old = [c for c in real.class_ids if c in seen and stored and c in stored.class_ids]
    if not old or stored is None:
        return real
    x, y = stored.only(old).decode()
    there = {c: int((y == c).sum()) for c in old}
    weights = torch.tensor([seen[int(c)] / there[int(c)] for c in y])
    each = torch.tensor([shown[c] / n for c, n in zip(real.class_ids, real.counts, strict=True)])
    every = torch.arange(len(real), device=real.device)
    both = ImageSet.of(
        torch.cat([real.take(every), x.to(real.device)]),
        torch.cat([real.labels.cpu(), y]),
        normalisation=(real.mean, real.std),
        weights=torch.cat([each[real.targets.cpu()], weights]),
    )
    return replace(both, names=real.names)
