"""How much memory there is and how much was taken: of this process, and of a GPU."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from cl_condense.common.plain import Json

if sys.platform != "win32":
    import resource

_STATUS = Path("/proc/self/status")
_before: dict[torch.device, int] = {}  # peaks of devices before they were last counted anew


def free_bytes(device: torch.device) -> int:
    """What can still be taken of a CUDA device; what torch keeps for later counts as free."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


def taken_by(work: Callable[[], object], device: torch.device) -> int:
    """What some work takes of a CUDA device at most, in bytes."""
    before = torch.cuda.memory_allocated(device)
    _before[device] = _device_peak(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    return torch.cuda.max_memory_allocated(device) - before


def peaks(device: torch.device | str) -> Json:
    """What a record says: the most bytes that the process had so far, and that torch took of its GPU.

    ``peak_bytes`` are resident ones, with the pages of mapped files that were in memory, which the system takes
    back when others want memory; it is not there where the system does not say it. ``device_peak_bytes`` is
    there on a GPU.
    """
    device, found = torch.device(device), Json()
    if resident := _resident_peak():
        found["peak_bytes"] = resident
    if device.type == "cuda":
        found["device_peak_bytes"] = _device_peak(device)
    return found


def _device_peak(device: torch.device) -> int:
    return max(_before.get(device, 0), torch.cuda.max_memory_allocated(device))


def _resident_peak() -> int | None:
    with suppress(OSError, ValueError, StopIteration):
        # not getrusage, which on Linux begins with the peak of the process that started this one
        lines = _STATUS.read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    if sys.platform != "win32":
        found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return found if sys.platform == "darwin" else 1024 * found
    return None
