"""Choosing where to compute."""

from __future__ import annotations

import torch


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """The device of a name: ``auto`` is a CUDA GPU where there is one, else the CPU.

    Raises:
        ValueError: for a device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if str(device) not in there and not (device == torch.device("cuda") and len(there) > 1):
        raise ValueError(f"device {str(name)!r} is not here: use auto or one of {', '.join(there)}")
    return device
