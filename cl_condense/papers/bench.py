"""The cells of the papers' tables: which are missing, doing them, what came out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cl_condense.common.plain import Json, Values
from cl_condense.common.progress import OnProgress
from cl_condense.common.recorder import Recorder
from cl_condense.condensation.recipe import Method, Recipe
from cl_condense.data.fingerprint import fingerprint
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.coresets import Coreset
from cl_condense.methods.economy import lacking
from cl_condense.methods.registry import build
from cl_condense.papers import same_data
from cl_condense.papers.footnotes import notes
from cl_condense.papers.published import Cell
from cl_condense.papers.set_work import condensed_once, set_works
from cl_condense.papers.stream_work import STEPS, incremental, stream_works
from cl_condense.papers.work import Load, Work
from cl_condense.runs.build import method_for
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.runs.numbers_today import other_numbers
from cl_condense.runs.provenance import together
from cl_condense.runs.records import lines
from cl_condense.runs.tasks import Executor, Local, Task
from cl_condense.runs.ways import numbers

ORDERS = 5
"""Class orders of the papers."""

_ECONOMY_S = ("iterations", "real_per_class", "reuse")  # where they are not given


@dataclass(frozen=True)
class Bench:
    """Results in a folder: ``sets/``, ``scores.jsonl``, ``streams/``. What is there is not computed again.

    ``data.json`` has the fingerprints of the images that they are of; a folder without it takes the first that
    come.

    What a cell needs is worked out once for each bench: whoever wants other ``changes`` makes another bench.

    Attributes:
        folder: of the results.
        load: gives (train, test) of a data set.
        changes: fields of the configs (``economy``, ``iterations``, ``width``, ``epochs``, ...), and the
            ``device``, other than the papers' protocol has; with economy where they do not say otherwise.
        repetitions: sets of each cell, with seeds from 0.
        orders: class orders of each class-incremental cell.
        steps: of class-incremental cells whose paper does not state them.
    """

    folder: Path
    load: Load
    changes: Json
    repetitions: int = 1
    orders: int = ORDERS
    steps: int = STEPS

    def data(self, dataset: str) -> tuple[ImageSet, ImageSet]:
        """The images (train, test) of a data set.

        Raises:
            ValueError: as ``load``, and for images other than those that the folder has results of.
        """
        images = self.load(dataset)
        same_data.check(self.folder, dataset, self._mark(dataset, images))
        return images

    def works(self, cell: Cell) -> list[Work]:
        """What a cell needs; nothing where it is not one of ours to run."""
        known = self._works
        if cell not in known:
            known[cell] = self._needs(cell)
        return [*known[cell]]

    def scores(self) -> list[Json]:
        """All scores of sets, each once.

        Raises:
            ValueError: for a damaged line, and for a set that is scored twice with other accuracies.
        """
        return read_scores(self.folder / "scores.jsonl")

    def results(self, cells: Iterable[Cell]) -> list[Json]:
        """All scores of sets, and the records of these cells' runs; errors as ``scores``."""
        works = {_work_key(work.identity()): work for work in self._all(cells)}  # steps share their run
        return [*self.scores(), *(record for work in works.values() for record in work.kept(self.folder))]

    def missing(self, cells: Sequence[Cell]) -> list[Work]:
        """What is not done, each once; steps of one run are one."""
        results, alike = self.results(cells), dict[str, list[Work]]()
        for work in self._all(cells):
            if not work.accuracies(results):
                alike.setdefault(_work_key(work.identity()), []).append(work)
        return [first.beside(others) for first, *others in alike.values()]

    def opened(
        self,
        work: Work,
        executor: Executor,
        on_iteration: OnProgress | None = None,
        recorder: Recorder | None = None,
    ) -> AbstractContextManager[list[Task]]:
        """What is missing of a work, as tasks whose results come into the folder."""

        def load(dataset: str) -> tuple[ImageSet, ImageSet]:
            images = self.data(dataset)
            same_data.leave(self.folder, dataset, self._mark(dataset, images))
            return images

        return work.opened(self.folder, load, executor, on_iteration, recorder)

    def do(self, work: Work, on_iteration: OnProgress | None = None) -> list[Json]:
        """Does what is missing of a work here, and returns its results, which are in the folder then."""
        with self.opened(work, Local(), on_iteration) as tasks:
            Local()(tasks)
        return self.of(work)

    def of(self, work: Work) -> list[Json]:
        """The results of a work; errors as ``scores``."""
        identity = work.identity()
        return [r for r in [*self.scores(), *work.kept(self.folder)] if r["work"] == identity]

    def ours(self, cell: Cell, results: Sequence[Json]) -> NDArray[np.float64]:
        """Our accuracies for a cell, in percent; empty where it was not measured."""
        groups = [group for work in self.works(cell) for group in work.accuracies(results)]
        return 100 * np.array([a for group in groups for a in group])

    def seconds(self, cell: Cell, results: Sequence[Json]) -> float | None:
        """What ours of a cell took by the clock, condensing and training; None where not all was recorded."""
        try:
            taken = [t for work in self.works(cell) for t in work.account(self.folder, results).taken]
        except OSError:  # the record of a set that was taken away
            return None
        known = [t for t in taken if t is not None]
        return sum(known) if known and len(known) == len(taken) else None

    def since(self, cell: Cell, results: Sequence[Json]) -> str:
        """What ours of a cell was condensed with otherwise than it would be today; empty where nothing was."""
        found: dict[str, None] = {}
        for work in self.works(cell):
            own = [r for r in results if r["work"] == work.identity() and r.get("recipe")]
            for result in own if work.condense.ipc else ():  # a shared budget has a recipe a step
                if other := other_numbers(result["recipe"], work.condense):
                    found[f"Ours was condensed with {other}."] = None
        return " ".join(found)

    def rows(self, cells: Sequence[Cell]) -> list[Json]:
        """The cells that were measured: the published number, ours, their origins and a note on both.

        Ours are fractions of 1, those of networks that share their images together: by set, or by class order.
        """
        results, rows = self.results(cells), []
        for cell in cells:
            done = [work for work in self.works(cell) if work.accuracies(results)]
            accounts = [work.account(self.folder, results) for work in done]
            if done:
                facts = {k: v for k, v in asdict(cell).items() if k != "notes"} | {
                    "note": " ".join(notes(cell))
                }
                ours = {
                    "accuracies": [group for work in done for group in work.accuracies(results)],
                    "seconds": [seconds for account in accounts for seconds in account.seconds],
                }
                origins = [origin for account in accounts for origin in account.origins]
                rows.append({**facts, **ours, "origin": together(origins)})
        return rows

    def origin(self, cells: Iterable[Cell]) -> Json:
        """Where all of ours of these cells come from, as ``together`` says it."""
        results = self.results(cells)
        done = [work for work in self._all(cells) if work.accuracies(results)]
        return together(each for work in done for each in work.account(self.folder, results).origins)

    def assumed(self, cells: Iterable[Cell]) -> str:
        """What was assumed where a paper does not state it; empty where nothing was."""
        unstated = any(incremental(cell) and cell.steps is None for cell in cells)
        return f"steps not stated by the paper: ours with {self.steps}" if unstated else ""

    def unlike(self, cells: Iterable[Cell]) -> Json:
        """What was otherwise than in the papers for these cells: ``economy``, ``changes``, and ``orders``.

        Only what makes a difference; ``compiled`` makes none: it changes rounding alone. Numbers that are given
        beside economy do, the papers' too: they are not economy's.
        """
        cells, found = list(cells), {}
        for cell in cells:
            for mine, theirs in zip(self.works(cell), self._papers.works(cell), strict=False):
                usual = _effective(theirs.condense, theirs.train)
                if mine.condense.economical:
                    usual = usual | dict.fromkeys(_ECONOMY_S)
                stands = {"device", "compiled", "economy", *getattr(_method(mine.condense), "chosen", ())}
                for name in self.changes.keys() - stands:
                    value = getattr(mine.train, name, getattr(mine.condense, name, None))
                    if name in usual and value != usual[name]:
                        found[name] = value
            if incremental(cell) and self.orders != ORDERS:
                found["orders"] = self.orders
        economy = self._economy(cells)
        found |= {"economy": f"({economy})"} if economy else {}
        return {
            name: found[name] for name in dict.fromkeys(["economy", *self.changes, "orders"]) if name in found
        }

    def lacking(self, cells: Iterable[Cell]) -> str:
        """Which methods have no economy where it is on, and why; empty where there are none."""
        used = self._recipes(cells)
        recipes = {recipe.name: recipe for recipe, config in used if config.economy}
        return " ".join(f"{line}; the papers' settings." for line in lacking(recipes.values()))

    def _economy(self, cells: Iterable[Cell]) -> str:
        """The numbers of what condenses by economy, by method where they differ."""
        said: dict[str, dict[str, None]] = {}
        for recipe, config in self._recipes(cells):
            if config.economical:
                said.setdefault(_numbers(config), {})[recipe.name] = None
        if len(said) == 1:
            return next(iter(said))
        return "; ".join(f"{', '.join(names)}: {own}" for own, names in said.items())

    def _recipes(self, cells: Iterable[Cell]) -> Iterator[tuple[Recipe, CondenseConfig]]:
        """What the works of cells condense with."""
        for work in self._all(cells):
            method = _method(work.condense)
            if isinstance(method, Recipe):
                yield method, work.condense

    @cached_property
    def _works(self) -> dict[Cell, list[Work]]:
        """What cells need, as far as it was asked for."""
        return {}

    def _mark(self, dataset: str, images: tuple[ImageSet, ImageSet]) -> str:
        """The fingerprint of the images of a data set, worked out once."""
        if dataset not in self._marks:
            self._marks[dataset] = fingerprint(*images)
        return self._marks[dataset]

    @cached_property
    def _marks(self) -> dict[str, str]:
        """Fingerprints by data set, as far as they were asked for."""
        return {}

    @cached_property
    def _papers(self) -> Bench:
        """The bench of the papers' settings."""
        return replace(self, changes={"economy": False}, orders=ORDERS)

    def _needs(self, cell: Cell) -> list[Work]:
        if condensed_once(cell):
            return [*set_works(cell, self.changes, self.repetitions)]
        if incremental(cell):
            return [*stream_works(cell, self.changes, self.orders, self.steps)]
        return []

    def _all(self, cells: Iterable[Cell]) -> list[Work]:
        return [*dict.fromkeys(work for cell in cells for work in self.works(cell))]


def read_scores(path: Path, on_fault: Callable[[int, str], None] | None = None) -> list[Json]:
    """The scores of sets in a file, as ``lines`` reads them."""
    return lines(path, lambda score: _work_key(score["work"]), ("work", "accuracies"), on_fault)


def _work_key(work: Values) -> str:
    """One for one work; as text, since a dict is no key."""
    return json.dumps(dict(work), sort_keys=True)


@cache
def _method(c: CondenseConfig) -> Method:
    return method_for(c)


@cache
def _numbers(c: CondenseConfig) -> str:
    """The numbers that a recipe condenses with."""
    method = _method(c)
    return numbers(method, c) if isinstance(method, Recipe) else ""


@cache
def _effective(c: CondenseConfig, t: TrainConfig) -> Json:
    """What has an effect on a work, with the method's own numbers where it says None."""
    method, found = build(c.method, c.dataset), {**c.identity(), **asdict(t)}
    if isinstance(method, Recipe):
        own = method.settled(c.ipc or 0)
        return found | {"iterations": own.iterations, "real_per_class": own.real_per_class}
    for name in ("real_per_class", "precision", "reuse", "iterations"):
        found.pop(name)
    looks = isinstance(method, Coreset) and method.iterations
    return found | ({"iterations": looks} if looks else {})


def runnable(cell: Cell) -> bool:
    """Whether a cell is one of ours to run."""
    return condensed_once(cell) or incremental(cell)
