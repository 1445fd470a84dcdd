"""Choosing where to compute, and what that is."""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import Tensor


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


def upload(numbers: Tensor | Sequence[int] | Sequence[Sequence[int]], device: torch.device | str) -> Tensor:
    """A tensor of the host, or whole numbers as int64, on a device, for which neither it nor the host waits.

    To a GPU they go from pinned memory: a copy from any other waits for all that was launched before it.
    """
    held = numbers if isinstance(numbers, Tensor) else torch.tensor(numbers, dtype=torch.int64)
    if torch.device(device).type == "cuda":
        held = held.pin_memory()
    return held.to(device, non_blocking=True)


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


def mind_precision(precision: str, device: torch.device | str) -> None:
    """Warns, once in a process, where ``bfloat16`` is wanted of hardware that computes it in software."""
    kind = torch.device(device).type
    if precision == "bfloat16" and kind in ("cpu", "cuda") and _without_bfloat16(kind):
        _warn_of_bfloat16(kind)


@cache
def _warn_of_bfloat16(kind: str) -> None:
    where = "GPU" if kind == "cuda" else "processor"
    said = f"bfloat16 is done in software on this {where}, many times slower than float32: "
    warnings.warn(said + "leave the precision at float32, its default", stacklevel=4)


@cache
def _without_bfloat16(kind: str) -> bool:
    """Whether bfloat16 is far slower than float32; a processor is timed: torch has no public word for it."""
    if kind == "cuda":
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    return _convolving(torch.bfloat16) > 4 * _convolving(torch.float32)


def _convolving(kind: torch.dtype) -> float:
    """Seconds of a small convolution, the least of three."""
    images, weights = torch.zeros(2, 32, 16, 16, dtype=kind), torch.zeros(32, 32, 3, 3, dtype=kind)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        torch.conv2d(images, weights, padding=1)
        times.append(time.perf_counter() - start)
    return min(times)
