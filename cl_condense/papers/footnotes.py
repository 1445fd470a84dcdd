"""What there is to say of single numbers of a table, numbered below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cl_condense.papers.printed import printed
from cl_condense.papers.published import Cell
from cl_condense.papers.set_work import condensed_once

PLAIN = frozenset(
    {
        # What a table shows or its title says.
        "not reported",
        "no std printed",
        "ablation, 5 runs",
        "cumulative ablation",
        "uses partition l=2",
        "IDM rows use partition l=1",
        "style-matching module added to DM-family baselines",
        "one RTX-A6000; ImageNet-100 split in 5 sub-tasks of 20 classes",
        "one A100 80G; peak 1.6 GB",
        "one A100 80G; peak 2.0 GB",
        "beyond the four papers: Wang et al. CVPR 2025 Table 1; factor 2; 10 evaluations",
        # What the papers print beside the numbers, and tables here do not.
        "printed ratio column (0.2/2/10%) is wrong for ImageNet-1K",
        # What the works of these cells do, or their notes on protocols say.
        "paper says 3-block ConvNet for Tiny in this paper",
        "IID code runs depth-3 ConvNet at 64x64 unless ConvNetD4 is asked for",
    }
)
"""Notes of the published numbers that are not shown."""


_NAMES = {"orders": "class orders"}


def differences(cell: Cell) -> tuple[str, ...]:
    """Where ours are measured otherwise than a published number; sentences."""
    return printed(cell).notes if condensed_once(cell) and cell.mean is not None else ()


def notes(cell: Cell) -> tuple[str, ...]:
    """Those, and what is odd about the published number."""
    odd = cell.mean is not None and cell.notes and cell.notes not in PLAIN
    return (*differences(cell), *([f"The published number: {cell.notes}."] if odd else []))


def shared(cells: Iterable[Cell]) -> list[str]:
    """Notes that all of the cells have, those without a published number apart."""
    own = [notes(cell) for cell in cells if cell.mean is not None]
    return [text for text in own[0] if all(text in each for each in own)] if own else []


def changed(changes: Mapping[str, Any]) -> str:
    """Settings in a few words; empty without any."""
    return ", ".join(f"{_NAMES.get(k, k.replace('_', ' '))} {v}" for k, v in changes.items())


def not_the_papers(changes: Mapping[str, Any], name: str = "") -> str:
    """A line on settings that are not the papers', which may have a name; empty without any."""
    said = changed(changes)
    if not said:
        return ""
    named = f" ({name})" if name else ""
    return (
        f"Not the papers' settings{named}: {said}. At these, a difference from a published number says nothing "
        "about the method or its paper."
    )


class Footnotes:
    """Notes in the order in which a table comes to them."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, texts: Iterable[str]) -> str:
        """What stands after a number or a name, such as `` [1, 2]``; nothing without notes."""
        found = [self._numbers.setdefault(text, len(self._numbers) + 1) for text in dict.fromkeys(texts)]
        return f" [{', '.join(map(str, sorted(found)))}]" if found else ""

    def lines(self) -> list[str]:
        """A line for each note, its mark first."""
        return [f"[{number}] {text}" for text, number in self._numbers.items()]
