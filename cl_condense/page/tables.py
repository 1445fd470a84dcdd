"""The papers' tables with ours beside them, as sections of a page."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from cl_condense.bench import Bench, read_scores, side_by_side
from cl_condense.footnotes import differences, not_the_papers
from cl_condense.imageset import ImageSet
from cl_condense.page.parts import Block, Command, Facts, Grid, Paragraph, Section
from cl_condense.page.results import FAULTS, Json, Results, read_json, reason
from cl_condense.page.words import USUAL, cite, data_words, options, seconds_words, shell
from cl_condense.published import TITLES, Cell, pivot, tables
from cl_condense.settings import EVALUATIONS, has_economy

_NETS = 5  # networks a set of a table is scored with
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class _Scored(Bench):
    """A bench of scores that were read already."""

    found: Sequence[Json] = ()

    def scores(self) -> list[Json]:
        return list(self.found)


class _Score(NamedTuple):
    """A score with the record of its set."""

    score: Json
    made: Json


def table_sections(results: Results, path: Path) -> list[Section]:
    """A section for each published table and way to measure that has a score of the file."""
    made: list[Section] = []
    groups: dict[str, tuple[Json, list[_Score]]] = {}

    def damaged(number: int, why: str) -> None:
        results.faults[f"{results.name(path)}, line {number}"] = why

    for score in read_scores(path, damaged):
        try:
            name = Path(score["work"]["set"]).with_suffix(".json").name
            record = read_json(path.parent / "sets" / name)
            if not 0 <= int(record["seed"]) < _MOST_SEEDS:
                raise ValueError(f"seed {record['seed']} is not one of a table's")
            changes = _changes(record, score["work"])
            groups.setdefault(json.dumps(changes, sort_keys=True), (changes, []))[1].append(
                _Score(score, record)
            )
        except FAULTS as error:
            results.faults[f"{results.name(path)}, {score['work'].get('set')}"] = reason(error)
    for changes, scores in _placed(list(groups.values())):
        seeds = 1 + max(int(s.made["seed"]) for s in scores)
        bench = _Scored(path.parent, _no_data, changes, seeds, found=[s.score for s in scores])
        placed: list[Json] = []
        for name, table in tables().items():
            filled = [cell for cell in table.cells if len(bench.ours(cell, bench.found))]
            if filled:
                wanted = [work.identity() for cell in filled for work in bench.works(cell)]
                own = [s for s in scores if s.score["work"] in wanted]
                placed += [s.score for s in own]
                made.append(_table(results, name, bench, filled, own))
        for s in scores:
            if s.score not in placed:
                results.faults[f"{results.name(path)}, {s.score['work']['set']}"] = "fills no published table"
    return made


def _placed(groups: list[tuple[Json, list[_Score]]]) -> list[tuple[Json, list[_Score]]]:
    """Scores of methods without an economy beside those with the same settings and one, or the papers'."""
    found = [(changes, scores) for changes, scores in groups if "economy" in changes]
    for changes, scores in groups:
        beside = [own for other, own in found if {k: v for k, v in other.items() if k != "economy"} == changes]
        for own in beside:
            own.extend(scores)
        if "economy" not in changes and not beside:
            found.append((changes, scores))
    return found


def _changes(record: Json, work: Json) -> Json:
    """What was other than at the papers' settings, as ``cl-condense table`` takes it."""
    values = {k: record[k] for k in ("iterations", "real_per_class", "precision", "width")}
    usual: Json = {"precision": USUAL.precision, "width": USUAL.width}
    usual |= {"compiled": USUAL.compiled, "reuse": None if record.get("economy") else 1}
    values |= {name: record.get(name, usual[name]) for name in ("reuse", "compiled")}
    if has_economy(record["methods"][0]):
        values["economy"] = record.get("economy", False)
    values |= {"epochs": work["epochs"], "nets": work["nets"]}
    usual |= {"epochs": EVALUATIONS[work["evaluation"]], "nets": _NETS}
    return {k: v for k, v in values.items() if v not in (None, usual.get(k))}


def _table(results: Results, name: str, bench: _Scored, filled: list[Cell], own: list[_Score]) -> Section:
    cells = tables()[name].cells
    grid = pivot(cells)
    keep = [
        j for j in range(len(grid.columns)) if any(c in filled for row in grid.rows.values() for c in row[j])
    ]
    shown = side_by_side("", cells, bench, keep)
    caption, *below = str(shown.caption).splitlines()
    footnotes = [line for line in below if line.startswith("[")]
    beside = replace(Grid.of(shown), caption=caption)
    noted = " but for what the notes below the table say" if any(map(differences, filled)) else ""
    how = Paragraph(f"Measured at the papers' settings{noted}.", "note")
    if unlike := not_the_papers(bench.unlike(filled)):
        how = Paragraph(" ".join(filter(None, [unlike, bench.lacking(filled)])), "warning")
    source = cite(name.partition("-")[0])
    left = len(grid.columns) - len(keep)
    facts = Facts(
        dict(line.split(" ", 1) for line in footnotes)
        | {
            "table": f"{name}: {len(filled)} of its {len(cells)} numbers have one of ours"
            + (f"; {left} columns without are left out" if left else ""),
            "published in": source or "see the notes of its numbers in the package",
        }
    )
    where = {
        (c.dataset, c.ipc): [d for d in filled if (d.dataset, d.ipc) == (c.dataset, c.ipc)] for c in filled
    }
    lines = [_table_command(results, name, bench, some) for some in where.values()]
    blocks: list[Block] = [how, beside, facts, Command(lines), _measured(own)]
    return Section(3, f"{name}: {TITLES[name]}", blocks)


def _measured(scores: Sequence[_Score]) -> Grid:
    """What lies behind a table: a row a score."""
    rows = []
    for score, made in scores:
        work, accuracies = score["work"], [100 * a for a in score["accuracies"]]
        mean = sum(accuracies) / len(accuracies)
        std = math.sqrt(sum((a - mean) ** 2 for a in accuracies) / len(accuracies))
        method = str(made["methods"][0])
        training = f"{work['evaluation']}, {work['epochs']} epochs"
        result = f"{mean:.1f} ± {std:.1f} ({len(accuracies)})"
        made_by = f"{made.get('device', '')}, {seconds_words(made.get('seconds'))}"
        scored = f"{score.get('device', '')}, {seconds_words(score.get('seconds'))}"
        values = (work["set"], method, cite(method) or "-", work["eval_net"], training, result)
        rows.append([str(v) for v in (*values, made["seed"], made_by, scored)])
    header = "set,method,paper,network,training,ours,seed,condensed on,scored on".split(",")
    return Grid(header, rows, "The scores behind the table", text=True)


def _table_command(results: Results, name: str, bench: _Scored, cells: Sequence[Cell]) -> str:
    changes = {"networks" if k == "nets" else k: v for k, v in bench.changes.items()}
    words = ["table", name, "--only", cells[0].dataset, "--ipc", cells[0].ipc]
    for method in dict.fromkeys(c.name for c in cells):
        words += ["--method", method]
    papers = changes.get("economy") is False and any(has_economy(c.name or "") for c in cells)
    words += [*data_words(cells[0].dataset), *(["--papers"] if papers else []), *options(changes)]
    words += ["--repetitions", bench.repetitions, "--results", results.name(bench.folder)]
    return shell(words)


def _no_data(name: str) -> tuple[ImageSet, ImageSet]:
    raise ValueError(f"a report reads no data set ({name})")
