"""Choosing where to compute, and what that is."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    except (RuntimeError, TypeError):
        device = torch.device("meta")
    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if str(device) not in there and not (device == torch.device("cuda") and len(there) > 1):
        raise ValueError(f"device {str(name)!r} is not here: use one of auto, {', '.join(there)}")
    return device


def device_name(name: str | torch.device) -> str:
    """What computes, for people: a GPU's name, or the processor's; errors as ``pick_device``."""
    device = pick_device(name)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@contextmanager
def using_threads(number: int) -> Iterator[None]:
    """Inside, torch computes with so many CPU threads.

    Sums are added up in another order where there are more or fewer of them. Networks that train carry such a
    difference on and enlarge it: what goes on from a checkpoint takes the number that it began with.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
