"""What a pickle would run and build, found without running it."""

from __future__ import annotations

import pickletools
import re
from collections.abc import Iterable
from mmap import mmap
from typing import IO, cast

from cl_condense.condensation.formats.unpickling import NAMES

_MOST_STEPS = 2_000_000
_MOST_DEEP = 8  # tuples in one another; of 40 that hold the one before twice, the hash takes for ever
_LARGEST = 2**128  # torch begins its files with a number of 80 bits
_MARK = pickletools.markobject
_STORAGE = re.compile("torch [A-Z][A-Za-z0-9]*Storage")
_NAMING = ("GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4")


def check_pickle(file: mmap | bytes) -> None:
    """Goes through one pickle, and leaves a file behind its end.

    What it lets through, ``unpickling`` reads by the same names. Here is what costs time or memory instead.

    Raises:
        ValueError: for a damaged pickle, a name other than those that plain tensors need, and for tuples or
            steps beyond any that a set has.
    """
    depths: list[int | None] = []  # of the tuples in each thing on the stack, None for a mark
    memo: dict[object, int] = {}
    for step, (code, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], file))):
        if step > _MOST_STEPS:
            raise ValueError(f"over {_MOST_STEPS:,} steps")
        name = code.name
        if name in _NAMING and not (name == "GLOBAL" and _known(str(argument))):
            raise ValueError(f"it asks for {str(argument or name).replace(' ', '.')}")
        if name == "DUP" or (isinstance(argument, int) and abs(argument) > _LARGEST):
            raise ValueError(f"no pickle of tensors has {name} of this kind")
        if name == "MEMOIZE" or "PUT" in name:
            memo[len(memo) if argument is None else argument] = _depth(depths[-1:])
            continue
        taken = _take(depths, code)
        depth = memo.get(argument, 0) if "GET" in name else _depth(taken) + 1 if "TUPLE" in name else 0
        if depth > _MOST_DEEP:
            raise ValueError(f"over {_MOST_DEEP} tuples in one another")
        depths += [None if kind is _MARK else depth for kind in code.stack_after]


def _known(name: str) -> bool:
    return name in NAMES or _STORAGE.fullmatch(name) is not None


def _take(depths: list[int | None], code: pickletools.OpcodeInfo) -> list[int | None]:
    """What a step takes off the stack."""
    before = list(code.stack_before)
    taken: list[int | None] = []
    if _MARK in before:
        while depths and depths[-1] is not None:
            taken.append(depths.pop())
        before = before[: before.index(_MARK) + 1]
    if len(before) > len(depths):
        raise ValueError("it takes more than there is")
    cut = len(depths) - len(before)
    taken += depths[cut:]
    del depths[cut:]
    return taken


def _depth(things: Iterable[int | None]) -> int:
    return max((depth for depth in things if depth is not None), default=0)
