"""Condensed memories for Avalanche; the only part of the package that imports it."""

from cl_condense.strategies.buffer import CondensedBuffer
from cl_condense.strategies.gdumb import CondensedGDumb

__all__ = ["CondensedBuffer", "CondensedGDumb"]
