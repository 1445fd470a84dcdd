"""The papers' tables side by side with ours: which cells are missing, doing them, showing them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from cl_condense.condensed import CondensedSet
from cl_condense.engine import Condensation
from cl_condense.evaluate import score
from cl_condense.experiment import method_for, training_for
from cl_condense.imageset import ImageSet
from cl_condense.origin import together
from cl_condense.published import Cell, pivot
from cl_condense.recipes import OnStep, Recipe
from cl_condense.records import append
from cl_condense.scoring import evaluate_set
from cl_condense.settings import DEFAULTS, EPOCHS, OF_A_SET, Settings, make_net
from cl_condense.standalone import Job, run

PLAIN = ("random", "herding", "k_center", "forgetting", "dc", "cafe")
"""Methods whose published rows were trained without augmentation."""

_SCORE = "nets epochs evaluation".split()

Load = Callable[[str], tuple[ImageSet, ImageSet]]


@dataclass(frozen=True)
class Work:
    """What a cell needs: a set condensed by ``settings``, and networks ``eval_net`` trained on it."""

    settings: Settings
    eval_net: str

    def __str__(self) -> str:
        s = self.settings
        return f"{s.dataset}, {s.ipc} images per class, {s.methods[0]}, {self.eval_net}, seed {s.seed}"

    def set_name(self) -> str:
        """File name of its set: the same for the same condensation."""
        values = {k: v for k, v in asdict(self.settings).items() if k in OF_A_SET}
        key = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
        s = self.settings
        return f"{s.dataset}-{s.methods[0]}-ipc{s.ipc}-seed{s.seed}-{key}.safetensors"

    def identity(self) -> dict[str, Any]:
        """What its score in the results has to say of itself."""
        values = {k: v for k, v in asdict(self.settings).items() if k in _SCORE}
        return {"set": self.set_name(), "eval_net": self.eval_net, **values}


@dataclass(frozen=True)
class Bench:
    """Results in a folder: ``sets/``, ``scores.jsonl``. What is there is not computed again.

    Attributes:
        folder: of the results.
        load: gives (train, test) of a data set.
        changes: fields of Settings that differ from the papers' (``iterations``, ``width``, ``epochs``, ...).
        repetitions: sets of each cell, with seeds from 0.
    """

    folder: Path
    load: Load
    changes: dict[str, Any]
    repetitions: int = 1

    def works(self, cell: Cell) -> list[Work]:
        """What a cell needs; nothing where it is not one of ours to run."""
        if not runnable(cell):
            return []
        name = cell.name or ""
        evaluation = "plain" if name in PLAIN else "augmented"
        chosen: dict[str, Any] = {
            "evaluation": evaluation,
            "epochs": EPOCHS[evaluation],
            "nets": 5,
            "depth": cell.depth,
        }
        chosen |= {k: v for k, v in DEFAULTS.get(cell.dataset, {}).items() if k == "augment"}
        chosen |= {"net": "convnet" if cell.condense_net == "selection" else cell.condense_net, "steps": 1}
        s = Settings(cell.dataset, methods=(name,), ipc=cell.ipc, **chosen | self.changes)
        return [Work(replace(s, seed=i), cell.eval_net) for i in range(self.repetitions)]

    def scores(self) -> list[dict[str, Any]]:
        """All scores of the folder.

        Raises:
            ValueError: for a damaged line.
        """
        path = self.folder / "scores.jsonl"
        found = []
        for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], 1):
            try:
                record = json.loads(line)
                found.append({**record, "accuracies": [float(a) for a in record["accuracies"]]})
            except (ValueError, KeyError, TypeError):
                raise ValueError(f"{path} is damaged in line {number}: take the line out") from None
        return found

    def missing(self, cells: Iterable[Cell]) -> list[Work]:
        """What has no score yet, each once."""
        done = {json.dumps(r["work"], sort_keys=True) for r in self.scores()}
        works = dict.fromkeys(work for cell in cells for work in self.works(cell))
        return [work for work in works if json.dumps(work.identity(), sort_keys=True) not in done]

    def do(self, work: Work, on_step: OnStep | None = None) -> dict[str, Any]:
        """Condenses the set of a work, unless it is there, scores it and adds the record to the folder."""
        train, test = self.load(work.settings.dataset)
        path = self.folder / "sets" / work.set_name()
        if not path.exists():
            run(Job(work.settings, path), train.to(work.settings.device), on_step)
        found = evaluate_set(CondensedSet.load(path), test, replace(work.settings, net=work.eval_net))
        record = {"work": work.identity(), **found}
        append(self.folder / "scores.jsonl", record)
        return record

    def ours(self, cell: Cell, scores: Sequence[dict[str, Any]]) -> np.ndarray[Any, Any]:
        """Our accuracies for a cell, in percent; empty where it was not measured."""
        wanted = [work.identity() for work in self.works(cell)]
        return 100 * np.array([a for r in scores if r["work"] in wanted for a in r["accuracies"]])

    def rows(self, cells: Sequence[Cell]) -> list[dict[str, Any]]:
        """The cells that were measured: the published number, ours (fractions of 1) by set, and its origins."""
        scores, rows = self.scores(), []
        for cell in cells:
            wanted = [work.identity() for work in self.works(cell)]
            found = [r for r in scores if r["work"] in wanted]
            made = [self._set_record(r["work"]["set"]) for r in found]
            if found:
                facts = {k: v for k, v in asdict(cell).items() if k != "notes"}
                ours = {
                    "accuracies": [r["accuracies"] for r in found],
                    "seconds": [m.get("seconds") for m in made],
                }
                rows.append({**facts, **ours, "origin": together([*found, *made])})
        return rows

    def _set_record(self, name: str) -> dict[str, Any]:
        path = self.folder / "sets" / Path(name).with_suffix(".json")
        try:
            return dict(json.loads(path.read_text()))
        except (ValueError, TypeError):
            raise ValueError(f"{path} is damaged: take it and its set out") from None

    def estimate(self, work: Work) -> float:
        """Seconds that a work will take, from a few of its iterations and epochs on this machine."""
        s = work.settings
        train, test = self.load(s.dataset)
        train, make, method = train.to(s.device), make_net(s, train.shape), method_for(s.methods[0], s)
        seconds = 0.0
        made = method_for("random", s)(train, ipc=s.ipc or 0, make_net=make)
        if isinstance(method, Recipe) and not (self.folder / "sets" / work.set_name()).exists():
            job = Condensation(train, method, ipc=s.ipc or 0, make_net=make)
            job.step()
            begun = time.perf_counter()
            float(job.step())
            seconds += (time.perf_counter() - begun) * job.iterations
            made = job.result()
        make = make_net(replace(s, net=work.eval_net), train.shape)
        begun = time.perf_counter()
        x, y = (part.to(s.device) for part in made.decode())
        few = test.only(test.class_ids[:1])
        trial = replace(training_for(s), epochs=2)
        score(
            x[:256], y[:256] * 0 + few.class_ids[0], few, make_net=make, training=trial, networks=1, keys=(0,)
        )
        each = max(1.0, len(x) / 256)
        return seconds + (time.perf_counter() - begun) / 2 * each * s.epochs * s.nets


def runnable(cell: Cell) -> bool:
    """Whether a cell is an accuracy of a method that we have, on a data set with a budget, condensed anew."""
    return bool(cell.name and cell.ipc and cell.metric == "top1_acc_%" and cell.steps is None)


def side_by_side(title: str, cells: Sequence[Cell], bench: Bench) -> Table:
    """Published and ours in a table; ``*`` marks ours outside the published mean ± std."""
    grid, scores = pivot(cells), bench.scores()
    table = Table(title=title, caption="published | ours ± std (n); * outside the published mean ± std")
    table.add_column("method")
    for column in grid.columns:
        table.add_column(", ".join(map(str, column)), justify="right")
    for label, row in grid.rows.items():
        table.add_row(label, *("\n".join(_both(cell, bench, scores) for cell in own) for own in row))
    return table


def _both(cell: Cell, bench: Bench, scores: Sequence[dict[str, Any]]) -> str:
    published = "-" if cell.mean is None else f"{cell.mean:.1f}" + (f" ± {cell.std:.1f}" if cell.std else "")
    found = bench.ours(cell, scores)
    if not len(found):
        return f"{published} | {'not measured' if runnable(cell) else '-'}"
    outside = cell.mean is not None and abs(found.mean() - cell.mean) > (cell.std or 0)
    return f"{published} | {found.mean():.1f} ± {found.std():.1f} ({len(found)}){'*' if outside else ''}"
