"""Cells of networks trained on one condensed set of a whole data set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cl_condense.common.progress import OnProgress, Progress
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.recipe import Recipe
from cl_condense.papers.costs import Costs
from cl_condense.papers.printed import printed
from cl_condense.papers.published import Cell
from cl_condense.papers.work import Account, Between, Json, Load, Past, Piece
from cl_condense.runs.evaluate_sets import evaluate_set
from cl_condense.runs.incremental import method_for
from cl_condense.runs.records import append, mend
from cl_condense.runs.settings import DEFAULTS, EVALUATIONS, OF_A_SET, Settings, key
from cl_condense.runs.single import Job, run

_SCORE = "networks epochs evaluation".split()


@dataclass(frozen=True)
class SetWork:
    """A set condensed by ``settings``, in ``sets/``, and networks ``eval_net`` trained on it."""

    settings: Settings
    eval_net: str

    def __str__(self) -> str:
        s = self.settings
        images = f"{s.ipc} image{'s' * (s.ipc != 1)} per class"
        return f"{s.dataset}, {images}, {s.methods[0]}, {self.eval_net}, seed {s.seed}"

    def set_name(self) -> str:
        """File name of its set: the same for the same condensation, compiled or not: that is rounding."""
        s = self.settings
        own = key({k: v for k, v in s.values().items() if k in OF_A_SET} | {"compiled": False})
        return f"{s.dataset}-{s.methods[0]}-ipc{s.ipc}-seed{s.seed}-{own}.safetensors"

    def identity(self) -> Json:
        values = {k: v for k, v in asdict(self.settings).items() if k in _SCORE}
        return {"set": self.set_name(), "eval_net": self.eval_net, **values}

    def accuracies(self, results: Sequence[Json]) -> list[list[float]]:
        return [r["accuracies"] for r in self._own(results)]

    def account(self, folder: Path, results: Sequence[Json]) -> Account:
        path = folder / "sets" / Path(self.set_name()).with_suffix(".json")
        scored = self._own(results)
        try:
            made = dict(json.loads(path.read_text())) if scored else {}
        except (ValueError, TypeError):
            raise ValueError(f"{path} is damaged: take it and its set out") from None
        origins = [*scored, made] if scored else []
        return Account([made.get("seconds") for _ in scored], origins, [o.get("seconds") for o in origins])

    def kept(self, folder: Path) -> list[Json]:
        return []  # the scores of all sets lie in one file

    def do(
        self, folder: Path, load: Load, on_iteration: OnProgress | None = None, between: Between | None = None
    ) -> list[Json]:
        train, test = load(self.settings.dataset)
        path = folder / "sets" / self.set_name()
        if not path.exists():
            run(Job(self.settings, path), train.to(self.settings.device), on_iteration)
            if between:
                between(1)

        def on_epoch(epoch: int, epochs: int) -> None:
            if on_iteration:
                on_iteration(Progress("training", epoch, epochs))

        found = evaluate_set(CondensedSet.load(path), test, self._scored(), on_epoch)
        record = {"work": self.identity(), **found}
        mend(folder / "scores.jsonl")
        append(folder / "scores.jsonl", record)
        return [record]

    def makes(self) -> str:
        return self.set_name()

    def pieces(self, folder: Path, costs: Costs) -> list[Piece]:
        job, scoring = Job(self.settings, folder / "sets" / self.set_name()), Piece(0.0, self._training(costs))
        if job.path.exists():
            return [scoring]
        done, spent = job.done()
        left = costs.condensing()
        if done:  # by what it took so far; its last iterations may cost more than its first ones
            left = spent * (left / costs.condensing(iterations=done) - 1)
        recipe = isinstance(method_for(self.settings.methods[0], self.settings), Recipe)
        return [Piece(left, resumable=recipe, begun=done > 0), scoring]

    def past(self, folder: Path, results: Sequence[Json], costs: Costs) -> list[Past]:
        found, method = [], self.settings.methods[0]
        for score, made in zip(self._own(results), self.account(folder, results).origins[-1:], strict=False):
            if made.get("seconds"):
                found.append(Past(method, costs.condensing(), made["seconds"], made.get("device", "")))
            if score.get("seconds"):
                own = Past("training", self._training(costs), score["seconds"], score.get("device", ""))
                found.append(own)
        return found

    def _scored(self) -> Settings:
        return replace(self.settings, network=self.eval_net)

    def _training(self, costs: Costs) -> float:
        return replace(costs, settings=self._scored()).training()

    def _own(self, results: Sequence[Json]) -> list[Json]:
        identity = self.identity()
        return [r for r in results if r["work"] == identity]


def condensed_once(cell: Cell) -> bool:
    """Whether a cell is an accuracy of a method that we have, on a data set with a budget, condensed anew."""
    return bool(cell.name and cell.ipc and cell.metric == "top1_acc_%" and cell.steps is None)


def set_works(cell: Cell, changes: Json, repetitions: int) -> list[SetWork]:
    """What such a cell needs: sets with seeds from 0, by the papers' protocol but for ``changes``."""
    name, way = cell.name or "", printed(cell)
    chosen: dict[str, Any] = {
        "evaluation": way.evaluation,
        "epochs": EVALUATIONS[way.evaluation],
        "networks": 5,
        "depth": way.depth,
    }
    chosen |= {k: v for k, v in DEFAULTS.get(cell.dataset, {}).items() if k == "augment"}
    chosen |= {"network": "convnet" if cell.condense_net == "selection" else cell.condense_net, "steps": 1}
    s = Settings(cell.dataset, methods=(name,), ipc=cell.ipc, **chosen | changes)
    return [SetWork(replace(s, seed=i), cell.eval_net) for i in range(repetitions)]
