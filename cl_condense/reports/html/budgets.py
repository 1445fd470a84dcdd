"""Runs of several budgets beside one another: accuracy over the bytes of the memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cl_condense.common.plain import Json
from cl_condense.reports.html.parts import Beside, Block, Grid, Section
from cl_condense.reports.html.pictures import Picture
from cl_condense.reports.html.plots import Line, plot
from cl_condense.reports.html.results import FAULTS, Results, read_json
from cl_condense.runs.records import read, row_name

_ALIKE = (
    *("dataset", "steps", "order_seed", "class_orders", "classes", "size", "channels", "test_share"),
    *("evaluation", "epochs", "augment", "network", "width", "depth"),
)
"""Settings that runs share whose accuracies one picture may show."""


class _Point(NamedTuple):
    """Of a method and codec in runs whose last memory has so many bytes: accuracies after each step, by run."""

    images: int
    accuracies: list[np.ndarray]

    def final(self) -> np.ndarray:
        return 100 * np.concatenate([each[-1] for each in self.accuracies])

    def average(self) -> float:
        return 100 * float(np.concatenate([each.mean(0) for each in self.accuracies]).mean())


def budget_sections(results: Results) -> list[Section]:
    """A section for each kind of run of which some method has memories of several sizes.

    Runs count that are through; whatever cannot be read is told where the run itself is shown.
    """
    kinds: dict[str, list[tuple[Json, list[Json]]]] = {}
    for folder in results.runs:
        try:
            settings, records = read_json(folder / "settings.json"), read(folder / "records.jsonl")
            kind = json.dumps({key: settings.get(key) for key in _ALIKE})
            kinds.setdefault(kind, []).append((dict(settings), list(records)))
        except FAULTS:
            continue
    return [section for runs in kinds.values() for section in _section(runs)]


def _section(runs: Sequence[tuple[Json, list[Json]]]) -> list[Section]:
    curves: dict[str, dict[int, _Point]] = {}
    for settings, records in runs:
        try:
            _add(curves, settings, records)
        except FAULTS:
            continue
    if not any(len(points) > 1 for points in curves.values()):
        return []
    curves = {name: dict(sorted(points.items())) for name, points in curves.items()}
    first = runs[0][0]
    title = f"{first['dataset']}, {first['steps']} steps, memories of several sizes"
    return [Section(3, title, [Beside([_picture(curves), _table(curves)])])]


def _add(curves: dict[str, dict[int, _Point]], settings: Json, records: Sequence[Json]) -> None:
    """Puts the methods and class orders of a run in that are through."""
    several = {order: [r for r in records if r["order"] == order] for order in {r["order"] for r in records}}
    for own in several.values():
        for method in dict.fromkeys(map(row_name, own)):
            steps = sorted((r for r in own if row_name(r) == method), key=lambda r: int(r["step"]))
            if len(steps) != settings["steps"]:
                continue
            name = method if settings.get("codec") == "uint8" else f"{method}, {settings.get('codec')}"
            last = steps[-1]
            point = _Point(int(last["stored_images"]), [])
            point = curves.setdefault(name, {}).setdefault(int(last["stored_bytes"]), point)
            point.accuracies.append(np.array([r["accuracies"] for r in steps], dtype=np.float64))


def _picture(curves: dict[str, dict[int, _Point]]) -> Block:
    lines = []
    for name, points in curves.items():
        found = [point.final() for point in points.values()]
        kib = [size / 1024 for size in points]
        lines.append(Line(name, kib, [f.mean() for f in found], [f.std() for f in found]))
    alt = "Accuracy (%) after the last step against the memory's KiB, mean ± std; the numbers are in the table"
    return Picture(plot(lines, ("memory (KiB)", "accuracy after the last step (%)")), alt)


def _table(curves: dict[str, dict[int, _Point]]) -> Block:
    rows = []
    for name, points in curves.items():
        for size, point in points.items():
            final = point.final()
            spread = f" ± {final.std():.1f}" if len(final) > 1 else ""
            cells = (f"{final.mean():.1f}{spread}", f"{point.average():.1f}", str(len(final)))
            rows.append((name, f"{size / 1024:.1f}", str(point.images), *cells))
    return Grid(("method", "KiB", "images", "final (%)", "average of steps (%)", "n"), rows)
