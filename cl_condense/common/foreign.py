"""Files that anyone may have written: looked at before they are opened, one line for whatever is wrong."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cl_condense.common.plain import Json
from cl_condense.common.room import memory_here

MOST_TEXT = 2**28
"""Bytes of a file of JSON, TOML or a table that is read: a campaign of ten thousand records has 0.02 GB."""

_MOST_DEEP = 50  # objects and lists in one another; ours have at most six
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "bad allocation")
_SHOWN = 200  # characters of a reason

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_file(path: str | os.PathLike[str], remedy: str, at_most: int | None = None) -> None:
    """Opens nothing: a pipe without a writer would never be open, and a device may never end.

    Args:
        path: of the file.
        remedy: what the message tells to do.
        at_most: bytes.

    Raises:
        ValueError: for what is absent, no regular file, or larger.
    """
    if not isinstance(path, str | os.PathLike):
        raise one_line(f"file {path!r}: give a path")
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise one_line(f"{path} is not there: {remedy}") from None
    except (OSError, ValueError) as error:  # a loop of links; a name that no file can have
        raise one_line(f"{shown(path)} cannot be read ({reason(error)}): {remedy}") from None
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise one_line(f"{path} is {kind}, not a file: {remedy}")
    if at_most is not None and found.st_size > at_most:
        size = f"{found.st_size:,} bytes, and {at_most:,} are looked into"
        raise one_line(f"{path} is too large ({size}): {remedy}")


@contextmanager
def reading(path: str | os.PathLike[str], what: str, remedy: str, at_most: int | None = None) -> Iterator[None]:
    """Inside a file is read, and whatever the reader raises becomes one line that names the file.

    On damaged bytes parsers raise errors of any kind, so the block should do nothing but parse. Memory that
    runs out is no fault of the file and stays what it is.

    Args:
        path: of the file.
        what: it should be.
        remedy: what the message tells to do.
        at_most: bytes.

    Raises:
        ValueError: before the block as ``check_file``, and for any error in it.
    """
    check_file(path, remedy, at_most)
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        raise one_line(f"{path} cannot be read as {what} ({reason(error)}): {remedy}") from None


def parse(text: str | bytes) -> Any:
    """The value of a text of JSON.

    Raises:
        ValueError: for what is none, and for objects and lists nested deeper than any of ours.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        raise ValueError("nested too deeply" if deep else "no JSON") from None
    level = [found]
    for _ in range(_MOST_DEEP):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return found
    raise ValueError("nested too deeply")


def parse_object(text: str | bytes) -> Json:
    """The same of a text that has to be an object."""
    found = parse(text)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def read_object(path: Path, what: str, remedy: str) -> Json:
    """The object in a file of JSON; errors as ``reading``."""
    with reading(path, what, remedy, MOST_TEXT):
        return parse_object(path.read_bytes())


def reason(error: BaseException) -> str:
    """What an error says, on a line of a bearable length."""
    if isinstance(error, KeyError) and error.args:
        return f"no {shown(repr(error.args[0]))}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return shown(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def one_line(text: str) -> ValueError:
    """An error whose message is one line."""
    # file names and the messages of other libraries can have line breaks
    return ValueError(" ".join(text.splitlines()))


def shown(value: object) -> str:
    """A value on a line of a bearable length."""
    text = " ".join(str(value).replace("\0", "\\0").split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, in the words of Python, torch or a GPU."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY)


def check_room(nbytes: int, what: str) -> None:
    """Before something is made that no memory here holds: it would end the process instead of raising.

    Raises:
        ValueError: for more bytes than the machine, or what limits the process, has, in use or free; never
            where that is not known.
    """
    has = memory_here()
    if has is not None and nbytes > has:
        need, there = (f"{n / 2**30:,.0f} GiB" for n in (nbytes, has))
        raise ValueError(f"{what} would take {need} of memory, and the machine has {there}: give less")
