"""Ending long work cleanly: at a limit of time, and when the process is asked to."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

GRACE = 20.0
"""Seconds in which work is to find a good place to end; after them it ends wherever it is."""


class Stop(BaseException):
    """Work is to end. No Exception, so that nothing on the way takes it for a fault.

    Attributes:
        signal: that asked for it; 0 at a limit of time.
    """

    def __init__(self, number: int = 0) -> None:
        super().__init__(number)
        self.signal = number


def exit_code(number: int) -> int:
    """Of a process that a signal ended, as a shell says it; 0 for none."""
    return 128 + number if number else 0


def end_at_once(number: int) -> None:
    """Ends the process by a signal, as if nobody handled it: files are whole at any moment.

    An exception would not do: raised in the midst of a library, that may take it for a fault of a file.
    """
    cursor = b"\x1b[?25h\n" if sys.stderr.isatty() else b""  # which a bar hides
    with suppress(OSError):
        os.write(2, cursor + b"Ended at once: the same command goes on from the last state that was kept.\n")
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


class Limit:
    """A length of time from ``begun`` on (``monotonic``); without ``seconds`` only signals end it."""

    def __init__(self, seconds: float | None = None, begun: float | None = None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._begun = time.monotonic() if begun is None else begun
        self._asked = 0

    def left(self) -> float:
        """Seconds; infinite without a limit, below 0 after it."""
        return self.seconds - (time.monotonic() - self._begun)

    def check(self) -> None:
        """To be called where work can end.

        Raises:
            Stop: after the limit or a signal.
        """
        if self._asked or self.left() <= 0:
            raise Stop(self._asked)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Inside, SIGTERM and SIGINT are remembered for ``check``; a second one, or the grace, ends all.

        The grace after the limit of time raises Stop in the main thread, wherever that is. In other threads
        signals are left as they are.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        alarm = getattr(signal, "SIGALRM", None)  # Windows has none
        numbers = [n for n in (signal.SIGTERM, signal.SIGINT, alarm) if n is not None]

        def asked(number: int, _: object) -> None:
            again, self._asked = self._asked, number
            if again:
                end_at_once(number)
            if alarm:
                signal.setitimer(signal.ITIMER_REAL, GRACE)

        def overdue(*_: object) -> None:
            if self._asked:
                end_at_once(self._asked)
            raise Stop

        before = {n: signal.signal(n, overdue if n == alarm else asked) for n in numbers}
        try:
            if alarm and math.isfinite(self.seconds):
                signal.setitimer(signal.ITIMER_REAL, max(0.0, self.left()) + GRACE)
            yield
        finally:
            if alarm:
                signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)
