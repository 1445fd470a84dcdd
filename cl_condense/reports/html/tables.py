"""The papers' tables with ours beside them, as sections of a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from cl_condense.common.plain import Json
from cl_condense.papers.bench import Bench
from cl_condense.papers.beside import Comparison, Pair, filled, side_by_side
from cl_condense.papers.footnotes import changed, differences, notes
from cl_condense.papers.published import Cell, tables
from cl_condense.papers.stream_work import incremental
from cl_condense.papers.titles import TITLES
from cl_condense.reports.html.curves import Point, curve_plot, curves, places, points
from cl_condense.reports.html.dots import dot_plot
from cl_condense.reports.html.found import Found, Scored, benches
from cl_condense.reports.html.parts import Beside, Block, Command, Facts, Folded, Grid, Paragraph, Section
from cl_condense.reports.html.pictures import Picture
from cl_condense.reports.html.results import Results
from cl_condense.reports.html.words import USUAL, cite, data_words, options, pairs, seconds_words, shell
from cl_condense.runs.config import CondenseConfig


def table_sections(results: Results, folder: Path) -> list[Section]:
    """A section for each paper that has a number of ours, which stands in the first that prints it.

    ``folder`` is what ``cl-condense table`` wrote its results into.
    """

    def fault(name: str, why: str) -> None:
        results.faults[f"{results.name(folder)}/{name}"] = why

    found = benches(folder, fault)
    every = Comparison([cell for table in tables().values() for cell in table.cells], found)
    first: dict[Hashable, list[Cell]] = {}
    measured: dict[Hashable, Hashable] = {}
    for cell in dict.fromkeys(pair.cell for pair in every.pairs):
        ours, same = alike(cell, found), _same(cell, found)
        known = measured.setdefault(ours, same)  # a figure's, without a number, stands with one that has it
        first.setdefault(known if cell.mean is None else same, []).append(cell)
    made = []
    for paper in dict.fromkeys(name.partition("-")[0] for name in tables()):
        own = {cells[0]: cells[1:] for cells in first.values() if _paper(cells[0]) == paper}
        if own:
            made.append(_section(results, paper, Comparison([*own], found), own, every))
    _unused(every, fault)
    return [*made, *_swept(every)]


def _paper(cell: Cell) -> str:
    return cell.table.partition("-")[0]


def _same(cell: Cell, found: Sequence[Found]) -> Hashable:
    """One for a number that several tables print alike and that ours are measured alike for."""
    return cell.mean, cell.std, notes(cell), alike(cell, found)


def alike(cell: Cell, found: Sequence[Found]) -> Hashable:
    """One for what ours are measured alike for, whatever is printed."""
    plain = replace(cell, table="", method=cell.name or cell.method, notes="", depth=None, mean=None, std=None)
    return plain, *(tuple(bench.works(cell)) for bench in found)


def _unused(every: Comparison, fault: Callable[[str, str], None]) -> None:
    """Tells of what fills no table."""
    cells = {pair.cell for pair in every.pairs}
    for bench in every.benches:
        wanted = [work.identity() for cell in cells for work in bench.works(cell)]
        shown = [each.score["work"] for each in getattr(bench, "scored", ()) if _has_place(each.made)]
        for result in bench.results(every.cells):
            work = result["work"]
            if work not in wanted and work not in shown:
                name = f"scores.jsonl, {work['set']}" if "set" in work else f"streams/{work['stream']}"
                fault(name, "fills no published table")


def _section(
    results: Results, paper: str, comparison: Comparison, own: Mapping[Cell, list[Cell]], every: Comparison
) -> Section:
    names = [name for name in tables() if any(cell.table == name for cell in own)]
    whole = [cell for name in names for cell in tables()[name].cells]
    again: dict[str, int] = {}
    for cell in (cell for cells in own.values() for cell in cells):
        again[cell.table] = again.get(cell.table, 0) + 1
    elsewhere = ", ".join(f"{name} ({n})" for name, n in again.items())
    facts = Facts(
        {
            "published in": cite(paper),
            **{name: TITLES[name] for name in names},
            "done": filled(whole, every.pairs),
            "also printed in": elsewhere,
        }
    )
    where = results.name(comparison.benches[0].folder)
    title = f"{paper.upper()}: {', '.join(names)}"
    pictures = Beside([*map(_picture, _datasets(comparison.pairs).items()), *_curves(points(comparison.pairs))])
    return Section(3, title, [*compared(comparison, [pictures]), facts, behind(comparison, where)])


def _datasets(found: Iterable[Pair]) -> dict[str, list[Pair]]:
    datasets: dict[str, list[Pair]] = {}
    for pair in found:
        datasets.setdefault(pair.cell.dataset, []).append(pair)
    return datasets


def _picture(of: tuple[str, Sequence[Pair]]) -> Picture:
    dataset, found = of
    return Picture(dot_plot(found), f"Published and ours, {dataset}: {len(found)} dots; numbers in the table")


def _curves(found: Iterable[Point]) -> list[Picture]:
    """Accuracy over settings, iterations or classes, where there are curves of them."""
    drawn = curves(found)
    return [Picture(curve_plot(drawn), f"Ours over {', '.join(drawn)}; numbers in the table")] if drawn else []


def _swept(every: Comparison) -> list[Section]:
    """Scores of sweeps and of sets on the way that fill no published table."""
    cells = {pair.cell for pair in every.pairs}
    found: list[Scored] = []
    for bench in every.benches:
        wanted = [work.identity() for cell in cells for work in bench.works(cell)]
        scored = getattr(bench, "scored", ())
        found += [each for each in scored if each.score["work"] not in wanted and _has_place(each.made)]
    if not found:
        return []
    placed = []
    for score, made in found:
        accuracies = [100 * a for a in score["accuracies"]]
        shared = f", {made['dataset']}, {made['ipc']} images per class, {score['work']['network']}"
        end = made["recipe"]["iterations"] if made.get("checkpoints") else 0
        after = made.get("after", end)
        spread = float(np.mean(accuracies)), float(np.std(accuracies))
        placed += [Point(*place, *spread) for place in places(str(made["method"]), after, shared)]
    return [Section(3, "Sweeps", [*_curves(placed), _measured(found)])]


def _has_place(made: Json) -> bool:
    return bool(made.get("checkpoints")) or "@" in str(made["method"])


def compared(
    comparison: Comparison, pictures: Iterable[Block], remarks: Mapping[Cell, str] = MappingProxyType({})
) -> list[Block]:
    """What came out: a warning where settings are not the papers', the table, its pictures and its notes."""
    table = side_by_side("", comparison, measured=True, remarks=remarks)
    caption, *below = str(table.caption).splitlines()
    footnotes = Facts(dict(line.split(" ", 1) for line in below if line.startswith("[")), "notes")
    blocks: list[Block] = [Paragraph(line, "warning") for line in comparison.warnings()]
    if all(not pair.way for pair in comparison.pairs):
        noted = any(differences(pair.cell) for pair in comparison.pairs)
        exactly = " but for what the notes below the table say" if noted else ""
        blocks = [Paragraph(f"Measured at the papers' settings{exactly}.", "note")]
    return [
        *blocks,
        replace(Grid.of(table), caption=caption),
        *pictures,
        *([footnotes] if footnotes.values else []),
    ]


def behind(comparison: Comparison, where: str, scores: bool = True) -> Folded:
    """How it was measured: settings, commands that go on in the folder ``where``, and the scores themselves."""
    blocks: list[Block] = []
    for bench, way in zip(comparison.benches, comparison.ways, strict=True):
        done = [pair.cell for pair in comparison.pairs if pair.bench is bench]
        if not done:
            continue
        made, unlike = bench.origin(done), bench.unlike(done)
        said = changed(unlike) or "the papers'"
        facts = {"settings": f"{way}: {said}" if way and way not in unlike else said, **made}
        facts["versions"] = pairs(made["versions"])
        wanted = [work.identity() for cell in done for work in bench.works(cell)]
        scored = [s for s in getattr(bench, "scored", ()) if s.score["work"] in wanted]
        blocks += [Facts(facts), Command(_commands(bench, done, where))]
        blocks += [_measured(scored)] if scored and scores else []
    return Folded("Settings, commands, scores" if scores else "Settings and commands", blocks)


def _measured(scores: Sequence[Scored]) -> Grid:
    """What lies behind a table: a row a score."""
    rows = []
    for score, made in scores:
        work, accuracies = score["work"], [100 * a for a in score["accuracies"]]
        mean = sum(accuracies) / len(accuracies)
        std = math.sqrt(sum((a - mean) ** 2 for a in accuracies) / len(accuracies))
        method = str(made["method"])
        training = f"{work['evaluation']}, {work['epochs']} epochs"
        result = f"{mean:.1f} ± {std:.1f} ({len(accuracies)})"
        made_by = f"{made.get('device', '')}, {seconds_words(made.get('seconds'))}"
        scored = f"{score.get('device', '')}, {seconds_words(score.get('seconds'))}"
        values = (work["set"], method, cite(method) or "-", work["network"], training, result)
        rows.append([str(v) for v in (*values, made["seed"], made_by, scored)])
    header = "set,method,paper,network,training,ours,seed,condensed on,scored on".split(",")
    return Grid(header, rows, "The scores behind the table", text=True)


def _commands(bench: Bench, filled: Sequence[Cell], where: str) -> list[str]:
    """A line for each data set, budget and number of sets, and for streams another."""
    by: dict[tuple[str, int | None, bool, int], list[Cell]] = {}
    for cell in filled:
        by.setdefault((cell.dataset, cell.ipc, incremental(cell), _sets(bench, cell)), []).append(cell)
    return [_command(bench, cells, sets, where) for (*_, sets), cells in by.items()]


def _sets(bench: Bench, cell: Cell) -> int:
    """How many sets of a cell were made, by their seeds; without scores as many as the bench asks for."""
    own = [work.identity() for work in bench.works(cell)]
    seeds = [made["seed"] for score, made in getattr(bench, "scored", ()) if score["work"] in own]
    return 1 + max(map(int, seeds), default=bench.repetitions - 1)


def _command(bench: Bench, cells: Sequence[Cell], sets: int, where: str) -> str:
    changes = {"economy": USUAL["economy"], **bench.changes}
    names = [name for name in TITLES if any(cell.table == name for cell in cells)]
    words: list[object] = ["table", *names, "--only", cells[0].dataset, "--ipc", cells[0].ipc]
    for method in dict.fromkeys(c.name for c in cells):
        words += ["--method", method]
    papers = not changes["economy"] and any(CondenseConfig("", c.name or "").economical for c in cells)
    words += [*data_words(cells[0].dataset), *(["--papers"] if papers else []), *options(changes)]
    return shell([*words, *_repeats(bench, cells, sets), "--results", where])


def _repeats(bench: Bench, cells: Sequence[Cell], sets: int) -> list[object]:
    """The options that say how often cells are done: sets of each, or class orders, and steps if not stated."""
    if not incremental(cells[0]):
        return ["--repetitions", sets]
    steps = ["--steps", bench.steps] if any(cell.steps is None for cell in cells) else []
    return [*steps, "--orders", bench.orders]
