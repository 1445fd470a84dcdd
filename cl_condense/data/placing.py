"""Where the images of a job lie: on the device that computes, or on the host where they are too many for it."""

from __future__ import annotations

from dataclasses import replace

import torch

from cl_condense.common.devices import pick_device
from cl_condense.common.peaks import free_bytes
from cl_condense.common.plain import Json
from cl_condense.data.imageset import ImageSet

_SHARE = 2  # of a GPU's free memory images may take one in so many parts; half of the rest is for a step


def placed(real: ImageSet, device: torch.device | str) -> ImageSet:
    """Images for what computes on a device, which gets all that is taken of them.

    On a CUDA device they lie on it where they take at most half of its free memory. Else they stay where they
    are, a batch at a time goes through pinned memory, and batches are the same. On a CPU they stay, too: in
    memory, or in the file that is mapped.

    Raises:
        ValueError: for a device that is not here.
    """
    device = pick_device(device)
    if device.type != "cuda" or real.store.home.type == "cuda" or _fits(real, device):
        return real.to(device)
    return replace(real, store=real.store.bound_for(device))


def lying(real: ImageSet) -> Json:
    """What a record says of where images lay: ``on the device``, ``in memory`` or ``in a file``."""
    if real.store.home.type == "cuda":
        return {"images_lay": "on the device"}
    return {"images_lay": "in a file" if real.store.mapped else "in memory"}


def _fits(real: ImageSet, device: torch.device) -> bool:
    return _SHARE * real.store.nbytes <= free_bytes(device)
