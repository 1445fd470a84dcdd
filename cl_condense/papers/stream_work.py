"""Cells of class-incremental learning: final accuracies of a run over several class orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl_condense.common.progress import OnProgress, Progress
from cl_condense.papers.costs import Costs
from cl_condense.papers.published import Cell
from cl_condense.papers.work import Account, Between, Json, Load, Past, Piece
from cl_condense.runs import records
from cl_condense.runs.incremental import Event, Run, step_sizes
from cl_condense.runs.settings import DEFAULTS, Settings, key

STEPS = 5
"""Steps where a paper does not state them: the baselines beside DDM's figure are DM's numbers of 5 steps."""

_ELSEWHERE = "orders device data".split()


@dataclass(frozen=True)
class StreamWork:
    """A class-incremental run of one method, in a folder of its own under ``streams/``.

    The protocol of DM (arXiv:2110.04181), which DDM, IDM and IID follow: five class orders, at each step three
    networks trained from scratch on the memory, all methods, coresets too, with augmentation.
    """

    settings: Settings

    def __str__(self) -> str:
        s = self.settings
        steps, orders, networks = (
            f"{n} {noun}{'s' * (n != 1)}"
            for n, noun in ((s.steps, "step"), (s.orders, "order"), (s.networks, "network"))
        )
        images = f"{s.ipc} image{'s' * (s.ipc != 1)} per class"
        return f"{s.dataset} in {steps}, {images}, {s.methods[0]}, {orders} x {networks}"

    def out(self, folder: Path) -> Path:
        """The folder of its run: the same for any number of orders and on any device."""
        s = self.settings
        own = key({k: v for k, v in s.values().items() if k not in _ELSEWHERE})
        return folder / "streams" / f"{s.dataset}-{s.methods[0]}-steps{s.steps}-ipc{s.ipc}-{own}"

    def identity(self) -> Json:
        return {"stream": self.out(Path()).name}

    def accuracies(self, results: Sequence[Json]) -> list[list[float]]:
        own = self._own(results)
        last = [r["accuracies"] for r in own if r["step"] == self.settings.steps]
        return last if len(own) == self.settings.orders * self.settings.steps else []

    def account(self, folder: Path, results: Sequence[Json]) -> Account:
        own = self._own(results)
        orders = dict.fromkeys(r["order"] for r in own)
        seconds = [sum(r["condense_seconds"] for r in own if r["order"] == order) for order in orders]
        taken = [r.get(part) for r in own for part in ("condense_seconds", "train_seconds")]
        return Account([round(each, 3) for each in seconds], own, taken)

    def kept(self, folder: Path) -> list[Json]:
        found = records.read(self.out(folder) / "records.jsonl")
        return [{**record, "work": self.identity()} for record in found]

    def do(
        self, folder: Path, load: Load, on_iteration: OnProgress | None = None, between: Between | None = None
    ) -> list[Json]:
        run = Run(self.settings, *load(self.settings.dataset), self.out(folder))
        missing, done = len(run.missing()), 0

        def watch(event: Event) -> None:
            nonlocal done
            if on_iteration:  # in thousandths of a unit
                on_iteration(Progress("running", round(1000 * (done + event.share)), 1000 * missing))
            done += event.record is not None
            if between and event.phase == "done" and event.share == 1 and done < missing:
                between(done)

        run(watch)
        return self.kept(folder)

    def makes(self) -> str:
        return ""

    def pieces(self, folder: Path, costs: Costs) -> list[Piece]:
        have = {(r["order"], r["step"]) for r in self._own(self.kept(folder))}
        s = self.settings
        units = [(order, step) for order in range(s.orders) for step in range(1, s.steps + 1)]
        each = {step: self._piece(costs, step) for step in {step for unit in units for step in unit[1:]}}
        return [each[step] for order, step in units if (order, step) not in have]

    def past(self, folder: Path, results: Sequence[Json], costs: Costs) -> list[Past]:
        found = []
        for record in self._own(results):
            piece, device = self._piece(costs, record["step"]), record.get("device", "")
            method = self.settings.methods[0]
            found.append(Past(method, piece.condensing, record["condense_seconds"], device))
            if record.get("train_seconds"):
                found.append(Past("training", piece.training, record["train_seconds"], device))
        return found

    def _piece(self, costs: Costs, step: int) -> Piece:
        sizes = step_sizes(len(costs.train.class_ids), self.settings.steps)
        jobs = self.settings.orders if costs.units.device.type == "cuda" else 1
        seen = sum(sizes[:step])
        return Piece(costs.condensing(sizes[step - 1]), costs.training(seen, jobs=jobs))

    def _own(self, results: Sequence[Json]) -> list[Json]:
        """Its records of the orders that are asked for."""
        identity = self.identity()
        return [r for r in results if r["work"] == identity and r["order"] < self.settings.orders]


def incremental(cell: Cell) -> bool:
    """Whether a cell is a final accuracy of class-incremental learning with a method and a budget of ours."""
    same = cell.condense_net in ("selection", cell.eval_net)  # a run has one network
    return bool(cell.name and cell.ipc and cell.metric == "final_CL_acc_%" and same)


def stream_works(cell: Cell, changes: Json, orders: int, steps: int) -> list[StreamWork]:
    """What such a cell needs, by the papers' protocol but for ``changes``; ``steps`` where none are stated."""
    chosen: dict[str, Any] = {k: v for k, v in DEFAULTS.get(cell.dataset, {}).items() if k == "augment"}
    chosen |= {"steps": cell.steps or steps, "orders": orders, "network": cell.eval_net}
    # 3 is what images of 32 pixels get anyway; not said, `cl-condense run` can go on in the folder.
    chosen |= {"depth": None if cell.depth == 3 else cell.depth}
    return [StreamWork(Settings(cell.dataset, methods=(cell.name or "",), ipc=cell.ipc, **chosen | changes))]
