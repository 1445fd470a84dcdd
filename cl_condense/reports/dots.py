"""Published and ours as dots on a line, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions
from rich.text import Text

from cl_condense.papers.beside import Pair, axis, panels

_LEAST, _MOST = 20, 72  # columns of an axis
_STYLES = {"published": "cyan", "ours": "bold yellow", "both": "bold green"}


class _Signs(NamedTuple):
    """Characters of a picture: a mean and its spread on either side, both means at one place, the axis."""

    published: str
    spread: str
    ours: str
    own_spread: str
    both: str
    line: str
    tick: str


_SIGNS = _Signs("○", "─", "●", "━", "◉", "─", "┬")
_ASCII = _Signs("o", "-", "x", "=", "@", "-", "+")


@dataclass(frozen=True)
class Dots:
    """A row a pair, below a heading for each data set and budget, with an axis of its own in percent.

    It takes the width that there is, and plain characters where the encoding has no others. Without pairs it
    is nothing.
    """

    pairs: Sequence[Pair]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        if not self.pairs:
            return
        signs = _ASCII if options.ascii_only else _SIGNS
        longest = max(cell_len(pair.label) for pair in self.pairs)
        wide = min(longest, max(8, options.max_width - _LEAST - 3))
        columns = max(_LEAST, min(_MOST, options.max_width - wide - 3))
        yield _legend(signs)
        for name, pairs in panels(self.pairs).items():
            low, high = axis(pairs)
            yield Text(f"\n{name}", "bold", no_wrap=True, overflow="crop")
            for pair in pairs:
                row = _row(pair, low, high, columns, signs)
                label = Text(set_cell_size(pair.label, wide) + "  ")
                yield Text.assemble(label, row, no_wrap=True, overflow="crop")
            for line in _axis(low, high, columns, signs):
                yield Text(" " * (wide + 2) + line, "dim", no_wrap=True, overflow="crop")


def _legend(s: _Signs) -> Text:
    published = (f"{s.spread}{s.published}{s.spread}", _STYLES["published"])
    ours = (f"{s.own_spread}{s.ours}{s.own_spread}", _STYLES["ours"])
    both = (s.both, _STYLES["both"])
    return Text.assemble(published, " published  ", ours, " ours  ", both, " both; means and their std, %")


def _row(pair: Pair, low: float, high: float, columns: int, s: _Signs) -> Text:
    """Means on their spreads; where both means fall together a sign of its own says so."""

    def at(value: float) -> int:
        return min(columns - 1, max(0, round((value - low) / (high - low) * (columns - 1))))

    places: list[tuple[str, str]] = [(" ", "")] * columns
    sides = [("published", s.spread, pair.published), ("ours", s.own_spread, (pair.mean, pair.std))]
    for kind, spread, side in sides:
        if side:
            first, last = at(side[0] - side[1]), at(side[0] + side[1])
            places[first : last + 1] = [(spread, _STYLES[kind])] * (last + 1 - first)
    ours = at(pair.mean)
    if pair.published:
        places[at(pair.published[0])] = (s.published, _STYLES["published"])
    same = pair.published is not None and at(pair.published[0]) == ours
    places[ours] = (s.both, _STYLES["both"]) if same else (s.ours, _STYLES["ours"])
    return Text.assemble(*places)


def _axis(low: float, high: float, columns: int, s: _Signs) -> Iterator[str]:
    """A line with ticks at whole numbers, and below it these numbers."""
    step = next((n for n in (1, 2, 5, 10, 20) if (high - low) / n * 7 <= columns), 50)
    ticks = range(-int(-low // step) * step, int(high) + 1, step)
    line, below = [s.line] * columns, [" "] * (columns + 2)
    for tick in ticks:
        place, text = round((tick - low) / (high - low) * (columns - 1)), str(tick)
        line[place] = s.tick
        start = max(0, place - (len(text) - 1) // 2)
        below[start : start + len(text)] = text
    yield "".join(line)
    yield "".join(below).rstrip()
