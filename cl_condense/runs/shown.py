"""Records that show themselves as a table."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cl_condense.common.plain import Json
from cl_condense.common.tabular import as_html, as_text
from cl_condense.runs.records import row_name, seen_in, several


class Records(list[Json]):
    """A list of records: of a run, or of evaluations. It shows accuracies in percent: mean ± std (n).

    Of a run there is a row for each method and trainer, and a column for each step, over class orders and
    networks; of evaluations a row for each set.
    """

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Its head and its rows."""
        return _of_run(self) if self and all("step" in record for record in self) else _of_sets(self)

    def __repr__(self) -> str:
        return as_text(*self.table())

    def _repr_html_(self) -> str:
        return as_html(*self.table())


def _of_run(records: list[Json]) -> tuple[list[str], list[list[str]]]:
    found: dict[str, dict[int, list[float]]] = {}
    seen: dict[int, tuple[int, str]] = {}
    for record in records:
        found.setdefault(row_name(record), {}).setdefault(record["step"], []).extend(record["accuracies"])
        seen[record["step"]] = seen_in(record)
    head = ["method", *(f"{n} {several(of)}" for _, (n, of) in sorted(seen.items()))]
    rows = [[name, *(_accuracy(steps.get(t, ())) for t in sorted(seen))] for name, steps in found.items()]
    return head, rows


def _of_sets(records: list[Json]) -> tuple[list[str], list[list[str]]]:
    names = [str(r.get("file") or r.get("recipe", {}).get("name", "")) for r in records]
    own = [[_accuracy(r["accuracies"]), f"{r['seconds']:.0f} s"] for r in records]
    rows = [[name, *cells] for name, cells in zip(names, own, strict=True)]
    return ["set", "accuracy (%)", "time"], rows


def _accuracy(values: Iterable[float]) -> str:
    percent = 100 * np.array([*values])
    if not len(percent):
        return "-"
    spread = f" ± {percent.std():.1f}" if len(percent) > 1 else ""  # a single accuracy has none to show
    return f"{percent.mean():.1f}{spread} (n = {len(percent)})"
