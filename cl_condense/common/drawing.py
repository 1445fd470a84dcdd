"""Where progress is drawn: a bar on a terminal, one line that changes in a notebook, lines in a log."""

from __future__ import annotations

import html
import math
import sys
from contextlib import suppress
from importlib import import_module
from typing import IO, ClassVar, NamedTuple, Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column


class Rhythm(NamedTuple):
    """When something is drawn, in seconds.

    Attributes:
        first: after the beginning.
        every: after a drawing, where there is news.
        beat: after a drawing, where there is none.
        looks: whether each drawing with news waits for the loss; else it is looked at twenty times in all.
        last: whether the end is drawn in any case.
    """

    first: float
    every: float
    beat: float
    looks: bool = False
    last: bool = False


class Surface(Protocol):
    """Something to draw on."""

    rhythm: ClassVar[Rhythm]

    def show(self, label: str, share: float | None, text: str) -> None:
        """Draws what is being done, the share of it (None where it is not known) and the numbers."""

    def close(self) -> None:
        """Nothing more is drawn."""


class Terminal:
    """rich's bar, which goes away when it is closed; what others print on the terminal appears above it."""

    rhythm: ClassVar = Rhythm(first=0, every=0.1, beat=1)

    def __init__(self, console: Console) -> None:
        self._console, self._bar_width = console, 24 if console.width >= 100 else 10
        columns = (_text("{task.description}"), BarColumn(self._bar_width), _text("{task.fields[text]}"))
        # rich would print on the console of the bar what goes into a file: results do not belong on stderr
        own = is_terminal(sys.stdout)
        self._bar = Bar(*columns, console=console, auto_refresh=False, transient=True, redirect_stdout=own)
        self._task = self._bar.add_task("", total=None, text="")

    def show(self, label: str, share: float | None, text: str) -> None:
        # rich takes a bar without a total for one whose end is not known
        total = None if share is None else 1.0
        # the numbers first, then the stage, which ends the label
        room = max(0, self._console.width - len(text) - self._bar_width - 2)
        label, text = (encodable(each, self._console.file) for each in (_end(label, room), text))
        self._bar.update(self._task, total=total, completed=share or 0.0, description=label, text=text)
        self._bar.start()
        self._bar.refresh()

    def close(self) -> None:
        self._bar.stop()


class Notebook:
    """HTML's own bar in the output of a cell, which stays there; it needs no widgets."""

    # ours is no thread that a cell's output could come from
    rhythm: ClassVar = Rhythm(first=0, every=0.25, beat=math.inf, last=True)

    def __init__(self) -> None:
        self._display = import_module("IPython.display").display
        self._shown = None

    def show(self, label: str, share: float | None, text: str) -> None:
        value = "" if share is None else f'value="{share:.4f}" '
        bar = f'<progress {value}max="1" style="width: 16em"></progress>'
        forms = {
            "text/html": f"{html.escape(label)} {bar} {html.escape(text)}",
            "text/plain": _line(label, share, text),
        }
        if self._shown is None:
            self._shown = self._display(forms, raw=True, display_id=True)
        else:
            self._shown.update(forms, raw=True)

    def close(self) -> None:
        self._shown = None


class Log:
    """Lines, at least one every half minute."""

    rhythm: ClassVar = Rhythm(first=5, every=25, beat=30, looks=True)

    def __init__(self, console: Console) -> None:
        self._file = console.file

    def show(self, label: str, share: float | None, text: str) -> None:
        self._file.write(encodable(_line(label, share, text), self._file) + "\n")
        self._file.flush()

    def close(self) -> None:
        pass


def surface_of(console: Console) -> Surface:
    """What a console is."""
    if console.is_jupyter:
        with suppress(ImportError):
            return Notebook()
    return Terminal(console) if console.is_interactive else Log(console)


def stderr() -> Console:
    """A console on stderr: a terminal only where stderr is one, since FORCE_COLOR is about colours."""
    terminal = is_terminal(sys.stderr)
    return Console(stderr=True, force_terminal=terminal, force_interactive=None if terminal else False)


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether a stream is a terminal; one that is closed, or not there, is none."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def encodable(text: str, file: IO[str]) -> str:
    """The text with ? for what a file's encoding lacks."""
    encoding = getattr(file, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _end(text: str, room: int) -> str:
    """As much of its end as so many characters hold; nothing rather than a part of the last word."""
    start = max(0, len(text) - room)
    return text[start:] if not start or " " in text[start:] else ""


def _line(label: str, share: float | None, text: str) -> str:
    return f"{label}, {text}" if share is None and text else f"{label} {text}".rstrip()


def _text(form: str) -> TextColumn:
    # cropped, since the ellipsis that rich would put is not in every encoding
    return TextColumn(form, markup=False, table_column=Column(no_wrap=True, overflow="crop"))
