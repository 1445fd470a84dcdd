"""Lines on a terminal, and in what it is piped to."""

from __future__ import annotations

import sys

from rich.console import Console


def console(width: int = 100) -> Console:
    """The standard output; piped it has no width of its own, and 100 columns hold a table of six steps."""
    return Console() if sys.stdout.isatty() else Console(width=width)


def say(to: Console, text: str) -> None:
    """Prints a line that is never broken or read as markup: there are paths in it."""
    to.print(text, soft_wrap=True, markup=False, highlight=False)


def count(n: int, noun: str) -> str:
    """Such as ``1 step`` and ``2 steps``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
