"""Cells of class-incremental learning: final accuracies of a run over several class orders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import torch

from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress
from cl_condense.common.recorder import Recorder
from cl_condense.condensation.fitting import check_fits
from cl_condense.condensation.recipe import Recipe
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.registry import build
from cl_condense.networks.registry import architecture
from cl_condense.papers.costs import Costs
from cl_condense.papers.printed import printed
from cl_condense.papers.published import Cell
from cl_condense.papers.work import Account, Load, Past, Piece, Work
from cl_condense.runs import config_file, records
from cl_condense.runs.checks import check_run
from cl_condense.runs.config import CondenseConfig, TrainConfig, digest
from cl_condense.runs.defaults import DEFAULTS
from cl_condense.runs.events import Event
from cl_condense.runs.incremental import Run
from cl_condense.runs.run_config import RunConfig
from cl_condense.runs.single import POOLS
from cl_condense.runs.stream import step_sizes, trained_after
from cl_condense.runs.tasks import Executor, Task
from cl_condense.runs.watching import in_units, to_recorder

STEPS = 5
"""Steps where a paper does not state them: the baselines beside DDM's figure are DM's numbers of 5 steps."""

CLASSES = {"cifar100": 100, "tinyimagenet": 200}
"""Of data sets whose accuracies on the way are known by the classes seen."""

_ELSEWHERE = "orders device data".split()


@dataclass(frozen=True)
class StreamWork:
    """A class-incremental run of one method, in a folder of its own under ``streams/``.

    The protocol of DM (arXiv:2110.04181), which DDM, IDM and IID follow: five class orders, at each step three
    networks trained from scratch on the memory, all methods, coresets too, with augmentation. In IDC's figure 7
    networks go on (``training.trainers.idc``).

    Attributes:
        run: the run.
        step: whose accuracies they are.
        also: other steps whose accuracies are wanted, for other cells. Networks train after no step besides,
            unless they go on from step to step.
    """

    run: RunConfig
    step: int
    also: tuple[int, ...] = ()

    @property
    def condense(self) -> CondenseConfig:
        return self.run.condense[0]

    @property
    def train(self) -> TrainConfig:
        return self.run.train

    def check(self, train: ImageSet, test: ImageSet) -> None:
        check_run(self.run, train, test)

    def __str__(self) -> str:
        c, s = self.condense, self.run.stream
        steps, orders, networks = (
            f"{n} {noun}{'s' * (n != 1)}"
            for n, noun in ((s.steps, "step"), (s.orders, "order"), (self.train.networks, "network"))
        )
        images = f"{c.ipc} image{'s' * (c.ipc != 1)} per class"
        return f"{c.dataset} in {steps}, {images}, {c.method}, {orders} x {networks}"

    def out(self, folder: Path) -> Path:
        """The folder of its run: the same for any number of orders and on any device."""
        return folder / "streams" / _name(self.run)

    def identity(self) -> Json:
        return {"stream": _name(self.run)}

    def beside(self, others: Sequence[Work]) -> StreamWork:
        steps = {step for work in others if isinstance(work, StreamWork) for step in (work.step, *work.also)}
        return replace(self, also=(*sorted(steps | {*self.also}),))

    @property
    def wanted(self) -> tuple[int, ...]:
        """The steps after which networks train."""
        return trained_after((self.step, *self.also), self.run.stream.trainers)

    def accuracies(self, results: Sequence[Json]) -> list[list[float]]:
        found = [r["accuracies"] for r in self._own(results) if r["step"] == self.step]
        return found if len(found) == self.run.stream.orders else []

    def account(self, folder: Path, results: Sequence[Json]) -> Account:
        own = self._own(results)
        orders = dict.fromkeys(r["order"] for r in own)
        seconds = [sum(r["condense_seconds"] for r in own if r["order"] == order) for order in orders]
        taken = [r.get(part) for r in own for part in ("condense_seconds", "train_seconds")]
        return Account([round(each, 3) for each in seconds], own, taken)

    def kept(self, folder: Path) -> list[Json]:
        found = records.read(self.out(folder) / "records.jsonl")
        return [{**record, "work": self.identity()} for record in found]

    @contextmanager
    def opened(
        self,
        folder: Path,
        load: Load,
        executor: Executor,
        on_iteration: OnProgress | None = None,
        recorder: Recorder | None = None,
    ) -> Iterator[list[Task]]:
        data, pools = load(self.run.dataset), folder / POOLS
        run = Run(self.run, *data, self.out(folder), pools=pools, executor=executor, only=self.wanted)
        config_file.write(run.out / "config.toml", config_file.options(run.settings))
        curves = to_recorder(recorder or Recorder(), run.out.name)
        units = in_units(len(run.missing()), on_iteration or (lambda progress: None))

        def on_event(event: Event) -> None:
            curves(event)
            units(event)

        with run.opened(on_event) as tasks:
            yield tasks

    def makes(self) -> str:
        return ""

    def pieces(self, folder: Path, costs: Costs) -> list[Piece]:
        have = {(r["order"], r["step"]) for r in self._own(self.kept(folder))}
        each = {step: self._piece(costs, step, before) for before, step in pairwise((0, *self.wanted))}
        orders = range(self.run.stream.orders)
        return [piece for order in orders for step, piece in each.items() if (order, step) not in have]

    def past(self, folder: Path, results: Sequence[Json], costs: Costs) -> list[Past]:
        found, own = [], self._own(results)
        for record in own:
            before = [r["step"] for r in own if r["order"] == record["order"] and r["step"] < record["step"]]
            piece, device = self._piece(costs, record["step"], max(before, default=0)), record.get("device", "")
            method = self.condense.method
            found.append(Past(method, piece.condensing, record["condense_seconds"], device))
            if record.get("train_seconds"):
                found.append(Past("training", piece.training, record["train_seconds"], device))
        return found

    def _piece(self, costs: Costs, step: int, before: int) -> Piece:
        """Of a step after another one, or after none (0)."""
        sizes = step_sizes(len(costs.train.class_ids), self.run.stream.steps)
        jobs = self.run.stream.orders if costs.units.device.type == "cuda" else 1
        condensing = sum(costs.condensing(size) for size in sizes[before:step])
        return Piece(condensing, costs.training(sum(sizes[:step]), jobs=jobs))

    def _own(self, results: Sequence[Json]) -> list[Json]:
        """Its records of the orders that are asked for."""
        identity = self.identity()
        return [r for r in results if r["work"] == identity and r["order"] < self.run.stream.orders]


@cache
def _name(run: RunConfig) -> str:
    c = run.condense[0]
    own = digest({k: v for k, v in run.values().items() if k not in _ELSEWHERE})
    return f"{c.dataset}-{c.method}-steps{run.stream.steps}-ipc{c.ipc}-{own}"


def incremental(cell: Cell) -> bool:
    """Whether a cell is a final accuracy of class-incremental learning with a method and a budget of ours."""
    same = cell.condense_net in ("selection", cell.eval_net)  # a run has one network
    of_step = cell.metric == "CL_acc_%" and cell.steps and cell.dataset in CLASSES
    wanted = cell.ipc and (cell.metric == "final_CL_acc_%" or of_step) and same
    return bool(cell.name and wanted and _fits(cell.name, cell.dataset, cell.eval_net))


@cache
def _fits(name: str, dataset: str, network: str) -> bool:
    """Whether a method looks through a network: gradients class by class want one without batch norm."""
    method = build(name, dataset)
    if not isinstance(method, Recipe) or network == "convnet":
        return True
    few = ImageSet.of(torch.zeros(4, 3, 32, 32, dtype=torch.uint8), [0, 0, 1, 1])
    try:
        check_fits(method.settled(1), architecture(network, few.shape), few)
    except ValueError:
        return False
    return True


def stream_works(cell: Cell, changes: Json, orders: int, steps: int) -> list[StreamWork]:
    """What such a cell needs, by the papers' protocol but for ``changes``; ``steps`` where none are stated."""
    chosen: Json = {k: v for k, v in DEFAULTS.get(cell.dataset, {}).items() if k == "augment"}
    chosen |= {"steps": cell.steps or steps, "orders": orders, "network": cell.eval_net}
    # 3 is what images of 32 pixels get anyway; not said, `cl-condense run` can go on in the folder.
    chosen |= {"depth": None if cell.depth == 3 else cell.depth}
    if trainer := printed(cell).trainer:
        chosen["trainers"] = (trainer,)
    own: Json = {"methods": (cell.name or "",), "ipc": cell.ipc}
    run = RunConfig.of(cell.dataset, **own | chosen | changes)
    step = cell.classes and cell.steps and cell.classes * cell.steps // CLASSES[cell.dataset]
    return [StreamWork(run, step or run.stream.steps)]
