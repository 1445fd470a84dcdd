"""The results in a folder of tables as benches: one for each of the settings that they were made at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cl_condense.common.plain import Json
from cl_condense.data.imageset import ImageSet
from cl_condense.papers.bench import Bench, read_scores
from cl_condense.papers.published import Cell
from cl_condense.papers.work import Work
from cl_condense.reports.html.results import FAULTS, read_json, reason
from cl_condense.reports.html.words import USUAL
from cl_condense.runs import records
from cl_condense.runs.build import method_for
from cl_condense.runs.config import CondenseConfig
from cl_condense.runs.defaults import EVALUATIONS

MADE: Json = {
    "economy": False,
    "iterations": None,
    "real_per_class": None,
    "precision": "float32",
    "width": 128,
    "reuse": 1,
}
"""Settings of condensation that ``cl-condense table`` takes, with the papers', where a record says none."""

_NETWORKS = 5  # networks a set of a table is scored with
_MOST_SEEDS = 1000

OnFault = Callable[[str, str], None]
"""Called with what lies in the folder and why it is left out."""


class Scored(NamedTuple):
    """A score with the record of its set."""

    score: Json
    made: Json


@dataclass(frozen=True)
class Found(Bench):
    """A bench of results that were read already: scores with their sets, and records of runs."""

    scored: Sequence[Scored] = ()
    streamed: Sequence[Json] = ()

    def scores(self) -> list[Json]:
        return [each.score for each in self.scored]

    def results(self, cells: Iterable[Cell]) -> list[Json]:
        return [*self.scores(), *self.streamed]

    def _needs(self, cell: Cell) -> list[Work]:
        """Nothing for a method that cannot have the settings of these results: it is in no other place."""
        try:
            works = super()._needs(cell)
            for work in works:
                method_for(work.condense)
        except ValueError:
            return []
        return works


class _One(NamedTuple):
    """A result with what decides the bench that it belongs to; what has no economy may belong to several."""

    changes: Json
    economy: bool
    orders: int = Bench.orders
    steps: int = Bench.steps
    scored: Sequence[Scored] = ()
    streamed: Sequence[Json] = ()

    def key(self) -> str:
        return json.dumps([self.changes, self.orders, self.steps], sort_keys=True)

    def without(self) -> str:
        """The key of what methods without an economy make where others make this."""
        papers = {"economy": False, "reuse": self.changes.get("reuse", MADE["reuse"])}
        return self._replace(changes=self.changes | papers).key()


def benches(folder: Path, on_fault: OnFault) -> list[Found]:
    """The results in a folder, those at the papers' settings first.

    Args:
        folder: with ``scores.jsonl`` and ``sets/``, ``streams/`` or both; images are not needed.
        on_fault: for what is damaged; it may raise.

    Raises:
        ValueError: for two scores of the same whose accuracies differ.
    """
    groups: dict[str, list[_One]] = {}
    every = [*_sets(folder, on_fault), *_streams(folder, on_fault)]
    for one in sorted(every, key=lambda one: not one.economy):
        beside = [key for key, (first, *_) in groups.items() if first.without() == one.key()]
        for key in [one.key()] if one.economy else beside or [one.key()]:
            groups.setdefault(key, []).append(one)
    found = []
    for first, *rest in groups.values():
        scored = [each for one in (first, *rest) for each in one.scored]
        streamed = [each for one in (first, *rest) for each in one.streamed]
        seeds = 1 + max((int(each.made["seed"]) for each in scored), default=0)
        repeats = (seeds, first.orders, first.steps)
        found.append(Found(folder, _no_data, first.changes, *repeats, scored=scored, streamed=streamed))
    return sorted(found, key=_far)


def _far(bench: Found) -> tuple[int, str]:
    """How many settings are not the papers', and which."""
    values = {**USUAL, **bench.changes}
    unlike = [k for k, papers in MADE.items() if values[k] != papers]
    unlike += [k for k in bench.changes if k not in MADE]
    return len(unlike), json.dumps(bench.changes, sort_keys=True)


def _sets(folder: Path, on_fault: OnFault) -> Iterator[_One]:
    def damaged(number: int, why: str) -> None:
        on_fault(f"scores.jsonl, line {number}", why)

    for score in read_scores(folder / "scores.jsonl", damaged):
        work = score["work"]
        try:
            made = read_json(folder / "sets" / Path(work["set"]).with_suffix(".json").name)
            if not 0 <= int(made["seed"]) < _MOST_SEEDS:
                raise ValueError(f"seed {made['seed']} is not one of a table's")
            usual = {"epochs": EVALUATIONS[work["evaluation"]], "networks": _NETWORKS}
            trained = {k: work[k] for k, v in usual.items() if work[k] != v}
            trained |= {k: work[k] for k in ("training_precision",) if k in work}
            economy = _has_economy(made["method"])
            yield _One(_condensed(made) | trained, economy, scored=[Scored(score, made)])
        except FAULTS as error:
            on_fault(f"scores.jsonl, {work.get('set')}", reason(error))


def _streams(folder: Path, on_fault: OnFault) -> Iterator[_One]:
    """Runs with the class orders that were done to the end, whether or not networks trained on the way."""
    for path in sorted((folder / "streams").glob("*/settings.json")):
        try:
            s, own = read_json(path), records.read(path.with_name("records.jsonl"))
            steps, orders = int(s["steps"]), 0
            while any((r["order"], r["step"]) == (orders, steps) for r in own):
                orders += 1
            # Unlike a set's, the name of a run's folder says whether it was compiled.
            usual = {k: USUAL[k] for k in ("epochs", "networks", "training_precision", "compiled")}
            trained = {k: s.get(k, v) for k, v in usual.items() if s.get(k, v) != v}
            streamed = [{**record, "work": {"stream": path.parent.name}} for record in own]
            if orders:
                economy = _has_economy(s["methods"][0])
                yield _One(_condensed(s) | trained, economy, orders, steps, streamed=streamed)
        except FAULTS as error:
            on_fault(f"streams/{path.parent.name}", reason(error))


def _condensed(made: Json) -> Json:
    """What a record says that is other than the defaults."""
    values = {k: made.get(k, papers) for k, papers in MADE.items()}
    return {k: v for k, v in values.items() if v != USUAL[k]}


def _has_economy(method: str) -> bool:
    return CondenseConfig("", method).economical


def _no_data(name: str) -> tuple[ImageSet, ImageSet]:
    raise ValueError(f"a report reads no data set ({name})")
