"""Condensed sets as sections of a page."""

from __future__ import annotations

import math
from pathlib import Path

from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.reports.html.figures import figure_section
from cl_condense.reports.html.measuring import measure
from cl_condense.reports.html.parts import Block, Command, Facts, Folded, Paragraph, Section
from cl_condense.reports.html.pictures import Gallery, Picture, strip
from cl_condense.reports.html.plots import Line, plot
from cl_condense.reports.html.realdata import RealData, Source, started
from cl_condense.reports.html.results import FAULTS, Results, read_json
from cl_condense.reports.html.words import cite, economy_words, options, own, pairs, reading_words, shell


def set_sections(results: Results, path: Path, real: RealData | None = None) -> list[Section]:
    """A condensed set: its images, losses and how it was made; with real images its start and figures too."""
    made, name = CondensedSet.load(path), results.name(path)
    blocks: list[Block] = []
    command: list[Block] = []
    figures: list[Block] = []
    try:
        record = read_json(path.with_suffix(".json"))
        source = _source(results, path, made, record, real) if real else None
        blocks += [*_images(results, record, made, source), *_losses(record)]
        method = str(record["method"])
        facts = {k: v for k, v in record.items() if k not in ("losses", "recipe", "method", "versions")}
        if skipped := facts.get("skipped"):
            facts["skipped"] = f"{len(skipped):,}, which the record lists"
        facts = {"method": method, "paper": cite(method) or "none", **facts}
        command = [Command([_condense_command(record, name)])]
        figures = _figures(results, path, made, source) if source else []
    except FAULTS as error:
        results.fault(path.with_suffix(".json"), error)
        blocks = [gallery(made, "stored images"), Paragraph("Its record could not be read.", "warning")]
        facts, command = {"seed": made.seed, "images": len(made)}, []
    facts |= {"versions": pairs(made.versions), "recipe": pairs(made.recipe)}
    settings = Folded("Settings and command", [Facts(facts), *command])
    return [Section(3, name, [*blocks, *figures, settings])]


def _source(results: Results, path: Path, made: CondensedSet, record: Json, real: RealData) -> Source | None:
    """The real images of a set; none, with the reason in the list of faults, where these are others."""
    try:
        return real.source(made, record)
    except FAULTS as error:
        results.fault(path, error)
        return None


def _figures(results: Results, path: Path, made: CondensedSet, source: Source) -> list[Block]:
    """The figures of a set, whose numbers stay in ``source`` to be compared with those of others."""
    try:
        measured = measure(path, made, source.probe, source.mark)
        method = str(made.recipe.get("name"))
        section = figure_section(measured, method, _names(made), source.words(results))
    except FAULTS as error:
        results.fault(path, error)
        return []
    source.measured[results.name(path).partition("/")[2].removesuffix(".safetensors")] = measured
    return [section]


def _images(results: Results, record: Json, made: CondensedSet, source: Source | None) -> list[Block]:
    """The stored images, beside those they started from where these are a set in the folder or can be had."""
    what = "stored images"
    if record.get("start"):
        start = [p for p in results.sets if p.name == Path(str(record["start"])).name]
        if len(start) != 1:
            note = Paragraph(f"It went on from {record['start']}, which is not here.", "note")
            return [note, gallery(made, what)]
        return [gallery(made, what, CondensedSet.load(start[0]), f"before: images of {results.name(start[0])}")]
    first = started(source.train, record) if source else None
    return [gallery(made, what, first, "before: where they started")]


def gallery(made: CondensedSet, what: str, before: CondensedSet | None = None, origin: str = "") -> Gallery:
    """The first images of the first classes, as many as a page can bear; left of them what they were before."""
    most_classes, most = (10, 10) if max(made.shape[1:]) <= 64 else (5, 4)
    most = most if before is None else (most + 3) // 2  # two strips in the width of a page
    few = dict.fromkeys(made.class_ids[:most_classes], most)
    columns = {what: made.first(few)}
    if before is not None:
        columns = {origin: before.first(few), **columns}
    rows = []
    for i, name in zip(few, _names(made), strict=False):
        rows.append([strip(name, one.only([i]).to_pixels(), column) for column, one in columns.items()])
    shown = len(columns[what])
    left = "" if shown == len(made) else f"; {shown} of {len(made)} images shown"
    shape = "x".join(map(str, made.shape[1:]))
    caption = f"{'; '.join(columns)}: {len(made.class_ids)} classes, {shape} pixels{left}"
    return Gallery(rows, caption, tuple(columns) if before is not None else ())


def _names(made: CondensedSet) -> tuple[str, ...]:
    return made.names or tuple(f"class {i}" for i in made.class_ids)


def _losses(record: Json) -> list[Block]:
    points = [(float(i), float(loss)) for i, loss in record["losses"]]
    points = [point for point in points if all(map(math.isfinite, point))]
    if len(points) < 2:
        return []
    x, y = zip(*points, strict=True)
    log = min(y) > 0 and max(y) > 20 * min(y)
    alt = f"Loss against iterations: {y[0]:.4g} at {x[0]:g}, {y[-1]:.4g} at {x[-1]:g}"
    return [Picture(plot([Line("loss", x, y)], ("iterations", "loss"), log=log), alt)]


def _condense_command(record: Json, name: str) -> str:
    words: list[object] = ["condense", *reading_words(record)]
    words += ["--method", record["method"], *economy_words(record)]
    kept = "ipc economy iterations real_per_class precision compiled reuse network width seed".split()
    words += options({k: record.get(k) for k in kept} | own(record))
    words += ["--from", record["start"]] if record.get("start") else []
    return shell([*words, "--out", name])
