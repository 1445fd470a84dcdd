"""Puts the sections of all results together and writes them as HTML and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from cl_condense.common.files import atomic, writable
from cl_condense.reports.html.budgets import budget_sections
from cl_condense.reports.html.document import document
from cl_condense.reports.html.figures import comparison
from cl_condense.reports.html.parts import Block, Contents, Grid, Paragraph, Section
from cl_condense.reports.html.realdata import RealData
from cl_condense.reports.html.results import REMEDY, Results
from cl_condense.reports.html.runs import run_sections
from cl_condense.reports.html.sets import set_sections
from cl_condense.reports.html.tables import table_sections
from cl_condense.reports.html.text import plain

Look = Callable[[Results], RealData]

_SIGNED = "Written by cl-condense"


def write(folder: Path, out: Path | None = None, look: Look | None = None) -> tuple[Path, Path]:
    """Writes the report of a folder as HTML and, beside it, as Markdown; the two files.

    What is damaged is listed in it with the reason, and stops nothing. With ``look`` condensed sets are shown
    beside their real images: ``look(results)`` reads these.

    Raises:
        ValueError: for a folder that is not there or holds nothing of ours that can be read, an ``out`` that
            does not end in .html, files that no report wrote, and whatever ``look`` raises.
    """
    out = out or folder / "report.html"
    if out.suffix != ".html":
        raise ValueError(f"--out {out}: name an .html file; the Markdown goes beside it")
    results = Results.find(folder)
    files = out, out.with_suffix(".md")
    for file in files:
        writable(file, "--out", ours=_ours)
    real = look(results) if look else None
    parts = {
        "The papers' tables": results.sections(results.tables, table_sections),
        "Class-incremental runs": results.sections(results.runs, run_sections),
        "Accuracy over bytes": budget_sections(results),
        "Condensed sets": results.sections(results.sets, partial(set_sections, real=real)),
    }
    parts["Condensed sets"] += _comparisons(real, results) if real else []
    if not any(parts.values()):
        faults = [f"{path}: {reason}" for path, reason in results.faults.items()] or ["no results yet"]
        raise ValueError(f"{folder} holds nothing that can be read ({faults[0]}): {REMEDY}")
    title = f"Results in {folder.resolve().name}"
    blocks: list[Block] = [Paragraph(_summary(parts, results), "note")]
    main = [
        Section(2, name, _anchored(made, name.split()[-1]), name.split()[-1])
        for name, made in parts.items()
        if made
    ]
    if results.faults:
        rows = list(results.faults.items())
        grid = Grid(("file or folder", "could not be read"), rows, text=True)
        main.append(Section(2, "What could not be read", [grid], "faults"))
    blocks += [Contents(main), *main]
    markdown = "\n\n".join([f"# {plain(title)}", *(block.markdown() for block in blocks)]) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    for file, text in zip(files, (document(title, blocks), markdown), strict=True):
        with atomic(file) as temporary:
            temporary.write_bytes(text.encode("utf-8", "replace"))
    return files


def _ours(file: Path) -> bool:
    """Whether a report wrote it, so that another one may replace it."""
    return _SIGNED.encode() in file.read_bytes()


def _comparisons(real: RealData, results: Results) -> list[Section]:
    """A section for each data set with several sets."""
    several = {name: source for name, source in real.sources.items() if len(source.measured) > 1}
    return [comparison(name, source.measured, source.words(results)) for name, source in several.items()]


def _anchored(sections: Sequence[Section], prefix: str) -> list[Section]:
    return [replace(section, anchor=f"{prefix}{i}") for i, section in enumerate(sections, 1)]


def _summary(parts: Mapping[str, Sequence[Section]], results: Results) -> str:
    counts = ", ".join(f"{name}: {len(made)}" for name, made in parts.items())
    fault = f" Could not be read: {len(results.faults)}, listed at the end." if results.faults else ""
    return f"{counts}.{fault} Accuracies in percent, mean ± std. {_SIGNED} {version('cl-condense')}."
