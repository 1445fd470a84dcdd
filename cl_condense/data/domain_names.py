"""What data sets of several domains are called: ``rotated_mnist``, ``permuted_mnist``, ``digits,mnist``."""

from __future__ import annotations

ROTATED, PERMUTED = "rotated_", "permuted_"


def base_of(name: str) -> str:
    """The data set whose images are turned or permuted, or the name itself; of a list the last one."""
    return name.rpartition(",")[2].removeprefix(ROTATED).removeprefix(PERMUTED)


def is_domains(name: str) -> bool:
    """Whether a name can only be of several domains."""
    return "," in name or name.startswith((ROTATED, PERMUTED))
