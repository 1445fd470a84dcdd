"""What does the units of a command: this process, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cl_condense.cli import shared

if TYPE_CHECKING:
    from cl_condense.runs.tasks import Executor


@contextmanager
def executor(address: str | None, gpu_share: float | None) -> Iterator[Executor]:
    """Of the options ``--ray`` and ``--gpu-share``.

    Raises:
        ValueError: for a cluster under torchrun.
    """
    if address is not None and shared.present().size > 1:
        raise ValueError("--ray under torchrun: its ranks do one thing after another; leave one of the two out")
    from cl_condense.runs.ray.executor import Ray  # noqa: PLC0415 - it takes seconds, and --help should not
    from cl_condense.runs.tasks import Local  # noqa: PLC0415

    if address is None:
        yield Local()
        return
    cluster = Ray(address, gpu_share or 1.0)
    try:
        yield cluster
    finally:
        cluster.close()
