"""Runs over streams as sections of a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.papers.published import Cell, published
from cl_condense.reports.forgetting import accuracy_matrix, is_whole
from cl_condense.reports.html.parts import Beside, Block, Command, Facts, Folded, Grid, Section
from cl_condense.reports.html.pictures import Picture
from cl_condense.reports.html.plots import Line, Mark, plot
from cl_condense.reports.html.results import FAULTS, Results, read_json
from cl_condense.reports.html.sets import gallery
from cl_condense.reports.html.words import cite, economy_words, options, own, pairs, reading_words, shell
from cl_condense.reports.summary import Summary, accuracy_table, summarise
from cl_condense.runs.records import read, row_name, several

_FINALS = ("ddm-fig3b", "idm-fig8")


def run_sections(results: Results, folder: Path) -> list[Section]:
    """A run: its final accuracies, curve, memories and settings."""
    s = dict(read_json(folder / "settings.json"))
    records = read(folder / "records.jsonl")
    table = Grid.of(accuracy_table(records, 100_000))
    summaries = summarise(records)
    marks = _published_finals(s)
    last = [r for r in records if r["order"] == records[0]["order"]][-1]
    shared = f"{s['max_bytes']} bytes" if s.get("max_bytes") else f"{s.get('budget')} images"
    budget = f"{s['ipc']} images per class" if s.get("ipc") else f"{shared} in all"
    title = f"{s['dataset']}, {s['steps']} steps, {budget}: {', '.join(map(str, s['methods']))}"
    blocks: list[Block] = [table, _curves(summaries, marks)]
    if marks:
        rows = [(c.method, c.table, str(c.steps or "not stated"), f"{c.mean:.1f}", c.notes) for c in marks]
        caption = "Published final accuracies of class-incremental CIFAR-100"
        blocks.append(Grid(("method", "table", "steps", "final", "notes"), rows, caption, text=True))
    blocks += [Beside(list(_memories(results, folder)))]
    if matrices := _matrices(records):
        blocks += [Folded("Accuracy on the classes of each step", [Beside(matrices)])]
    papers = {f"paper of {m}": cite(str(m)) for m in s["methods"]}
    facts = {
        "folder": results.name(folder),
        "device": last.get("device"),
        "versions": pairs(last.get("versions")),
    }
    settings: list[Block] = [Facts({**s, "methods": ", ".join(map(str, s["methods"])), **facts, **papers})]
    settings += [Command([_run_command(results, folder, s)])]
    blocks += [Folded("Settings and command", settings)]
    return [Section(3, title, blocks)]


def _published_finals(s: Json) -> list[Cell]:
    """Published final accuracies of runs like this one."""
    if s["dataset"] != "cifar100" or s.get("scenario", "class") != "class":
        return []
    cells = [c for name in _FINALS for c in published(name) if c.mean is not None]
    return [c for c in cells if c.steps in (None, s["steps"]) and c.ipc in (None, s["ipc"])]


def _curves(summaries: Sequence[Summary], finals: Sequence[Cell]) -> Picture:
    methods, noun = list(dict.fromkeys(s.method for s in summaries)), several(summaries[0].of)
    lines, marks, ends = [], [], []
    for method in methods:
        own = [s for s in summaries if s.method == method]
        seen, means = [float(s.seen) for s in own], [100 * s.mean for s in own]
        ends.append(f"{method} {own[-1]} at {own[-1].seen} {noun}")
        lines.append(Line(f"{method}  {own[-1]}", seen, means, [100 * s.std for s in own]))
    for cell in finals:
        of = methods.index(cell.name) if cell.name in methods else -1
        marks.append(
            Mark(f"{cell.method} {cell.mean}", f"published finals, {cell.table}", cell.mean or 0.0, of)
        )
    alt = f"Accuracy (%) against {noun} seen, mean ± std; the last of each: {'; '.join(ends)}"
    alt += "; the marks at the right are the papers' final accuracies" if marks else ""
    return Picture(plot(lines, (f"{noun} seen", "accuracy (%)"), marks), alt)


def _matrices(records: Sequence[Json]) -> list[Block]:
    """Mean accuracies, over orders and networks, after each step on each step's classes, by row."""
    found: list[Block] = []
    for name in dict.fromkeys(map(row_name, records)):
        own = [r for r in records if row_name(r) == name]
        orders = [[r for r in own if r["order"] == order] for order in dict.fromkeys(r["order"] for r in own)]
        steps = max(map(len, orders))
        whole = [each for each in orders if len(each) == steps and is_whole(each)]
        if not whole or steps < 2:
            continue
        mean = 100 * np.concatenate([accuracy_matrix(each) for each in whole], -1).mean(-1)
        rows = [
            (f"step {i}", *(f"{a:.1f}" for a in row[:i]), *[""] * (steps - i)) for i, row in enumerate(mean, 1)
        ]
        head = ("after", *(f"step {j}'s" for j in range(1, steps + 1)))
        found.append(Grid(head, rows, f"{name}: accuracy (%) on the classes of each step"))
    return found


def _memories(results: Results, folder: Path) -> Iterator[Block]:
    """The last memory of each method in the first class order."""
    last: dict[str, tuple[int, Path]] = {}
    for path in sorted((folder / "memory").glob("*.safetensors")):
        found = re.fullmatch(r"(.+)-order0-step(\d{1,9})\.safetensors", path.name)
        if found and int(found[2]) > last.get(found[1], (0, path))[0]:
            last[found[1]] = int(found[2]), path
    for method, (step, path) in last.items():
        try:
            yield gallery(CondensedSet.load(path), f"memory of {method} after step {step} of the first order")
        except FAULTS as error:
            results.fault(path, error)


def _run_command(results: Results, folder: Path, s: Json) -> str:
    words = ["run", *reading_words(s)]
    for method in s["methods"]:
        words += ["--method", method]
    for trainer in s.get("trainers", ()):
        words += ["--trainer", trainer]
    if s.get("class_orders"):
        words += ["--order-file", "ORDERS.json"]
    if s.get("scenario", "class") != "class":
        words += ["--scenario", s["scenario"]]
    kept = "steps ipc budget codec orders networks iterations real_per_class epochs evaluation".split()
    kept += [
        "precision",
        "training_precision",
        "compiled",
        "reuse",
        "economy",
        "network",
        "width",
        "seed",
        "order_seed",
        "device",
        *([] if s.get("ipc") else ["shrink"]),
    ]
    given = {k: s.get(k) for k in kept} | own(s) | {"bytes": s.get("max_bytes")}
    return shell([*words, *economy_words(s), *options(given), "--out", results.name(folder)])
