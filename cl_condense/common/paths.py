"""One rule for the paths that people give, in the library and on the command line."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def path_of(name: str, value: object) -> Path:
    """A path of text or of a path's kind; nothing is looked for that it may lead to.

    Args:
        name: what it is called in the message, such as ``--out``.
        value: the path.

    Raises:
        ValueError: for nothing, for what is no path, and for one that no file can have: with a NUL, or longer
            than the file system takes.
    """
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise ValueError(f"{name} {value!r}: give a path")
    text = os.fsdecode(value)
    shown = repr(text if len(text) <= 60 else f"{text[:57]}...")
    if "\0" in text:
        raise ValueError(f"{name} {shown} has a zero byte, which no path can have: give another")
    try:
        os.lstat(text)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError(f"{name} {shown} is longer than a path can be: give a shorter one") from None
    return Path(text)
