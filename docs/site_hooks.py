"""What the documentation site takes from elsewhere in the repository, so that no page repeats a number by hand.

``measured.md`` is REPRODUCIBILITY.md, with the pictures and records that it links to. On every page a line
``<!-- record: NAME FORM -->`` stands for a table of docs/records, as in docs/reproducibility.md, and
``<!-- methods: NAME -->`` for the table of all methods, beside what the record NAME of a run measured of them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

HOME = Path(__file__).parents[1]
sys.path.insert(0, str(HOME / "benchmarks"))

import forms  # noqa: E402
import recording  # noqa: E402

from cl_condense.condensation.recipe import Recipe  # noqa: E402
from cl_condense.methods.describe import made_of  # noqa: E402
from cl_condense.methods.economy import why_not  # noqa: E402
from cl_condense.methods.registry import BASES, COMPOSED, build  # noqa: E402

_LINKED = ("docs/*.png", "docs/records/*.json", "docs/campaign/scores.jsonl")
_COLUMNS = ("method", "made of", "iterations, as published", "economy", "accuracy", "seconds", "n")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds REPRODUCIBILITY.md, and what it shows, under the names that it has for it."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - tests read this file where there is no mkdocs

    text = (
        (HOME / "REPRODUCIBILITY.md").read_text().replace("](docs/campaign)", "](docs/campaign/scores.jsonl)")
    )
    files.append(File.generated(config, "measured.md", content=text))
    for path in sorted(path for pattern in _LINKED for path in HOME.glob(pattern)):
        files.append(File.generated(config, str(path.relative_to(HOME)), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills the lines that stand for tables."""
    text = re.sub(r"^<!-- record: (\S+) (\S+) -->$", lambda m: _table(m[1], m[2]), markdown, flags=re.MULTILINE)
    return re.sub(r"^<!-- methods: (\S+) -->$", lambda m: methods(_record(m[1])), text, flags=re.MULTILINE)


def methods(record: dict[str, Any]) -> str:
    """A row for every named method: what the package knows of it, and what a run's record measured."""
    shown = {
        cells[0]: cells[1:] for cells in map(_cells, forms.show(record, "methods", "", False).splitlines())
    }
    rows = [_COLUMNS, ("---",) * len(_COLUMNS)]
    for name in (*COMPOSED, *BASES):
        last, _, seconds, n = shown.get(f"`{name}`", ("-",) * 4)
        rows.append((f"`{name}`", made_of(name), _iterations(name), _economy(name), last, seconds, n))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _iterations(name: str) -> str:
    """Of condensation, at ten images per class of CIFAR-10; a coreset's network trains for so many."""
    method = build(name)
    settings = (method.settled(10) if isinstance(method, Recipe) else method).settings()
    return f"{settings['iterations']:,}" if settings["iterations"] else "none"


def _economy(name: str) -> str:
    return "yes" if not (why := why_not(build(name))) else f"no: {why}"


def _record(name: str) -> dict[str, Any]:
    return recording.load(HOME / "docs" / "records", name)


def _table(name: str, form: str) -> str:
    return forms.show(_record(name), form, name)


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split(" | ")]
