"""What is begun and cannot be done leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def undone_on_error(*memories: object) -> Iterator[None]:
    """After an error, Ctrl-C too, memories have the attributes they had, whose values never change in place."""
    before = [dict(vars(each)) for each in memories]
    try:
        yield
    except BaseException:
        for each, old in zip(memories, before, strict=True):
            vars(each).update(old)
        raise
