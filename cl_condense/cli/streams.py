"""The standard streams of a command: whatever becomes of them, work goes on, since its results are in files."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EPIPE
from typing import cast

_PLAIN = "cl_condense.plainly"
_SURROGATES = range(0xDC80, 0xDD00)  # how Python keeps bytes of file names that are no UTF-8


class _Sink(io.FileIO):
    """A file that is never at fault: after the first error it drops what it gets."""

    fault: OSError | None = None

    def write(self, data: bytes | memoryview) -> int | None:  # type: ignore[override]
        if self.fault is None:
            try:
                return super().write(data)
            except OSError as error:
                self.fault = error
        return len(memoryview(data))


class Streams:
    """What became of stdout and stderr while a command worked."""

    def __init__(self) -> None:
        self._sinks: dict[str, _Sink] = {}

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Inside, a stream that is closed or full takes nothing, and characters that it lacks are put plainly.

        Raises:
            ValueError: where there is no standard output from the start: what is said would be lost, and the
                next file that is opened would get its place.
        """
        there = _all_open()
        before = sys.stdout, sys.stderr
        try:
            for name in ("stdout", "stderr"):
                self._keep(name)
            if not there:
                raise ValueError("the standard output is closed: send it to a file, or to /dev/null")
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            sys.stdout, sys.stderr = before

    def fault(self) -> OSError | None:
        """What stdout could not take, or that nobody reads it any more."""
        sink = self._sinks.get("stdout")
        return sink.fault if sink else None

    def _keep(self, name: str) -> None:
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            return  # of a notebook, or of tests
        stream.reconfigure(errors=_PLAIN)
        raw = getattr(stream.buffer, "raw", stream.buffer)
        if stream is not getattr(sys, f"__{name}__") or type(raw) is not io.FileIO:
            return
        stream.flush()
        sink = self._sinks[name] = _Sink(raw.fileno(), "w", closefd=False)
        kept = io.TextIOWrapper(
            io.BufferedWriter(cast(io.RawIOBase, sink)),
            encoding=stream.encoding,
            errors=_PLAIN,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, kept)


def broken_pipe(error: OSError) -> bool:
    """Whether nobody reads any more, which is no fault: as ``head`` does it."""
    return error.errno == EPIPE


def _all_open() -> bool:
    """Whether there is a standard output; what is closed gets the null device, before another file does."""
    there = sys.stdout is not None
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the end
    return there


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """What stands for characters that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start]
    if ord(lost) in _SURROGATES:
        return bytes([ord(lost) - 0xDC00]), error.start + 1
    return {"±": "+-", "–": "-", "…": "..."}.get(lost, "?"), error.start + 1


codecs.register_error(_PLAIN, _plainly)
