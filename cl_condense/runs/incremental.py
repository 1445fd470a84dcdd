"""The class-incremental run: condense, retrain, evaluate, step by step; one record a step; resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from cl_condense.common.devices import pick_device, using_threads
from cl_condense.common.files import atomic, unused, writing
from cl_condense.common.foreign import read_object, reading, shown
from cl_condense.common.numbers import MOST, whole
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.rng import subseed
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.runs.build import method_for, network_for, training_for
from cl_condense.runs.checks import check_run, fingerprint
from cl_condense.runs.provenance import commit, origin
from cl_condense.runs.records import Record, Unit, append, mend, read
from cl_condense.runs.run_config import RunConfig
from cl_condense.runs.stream import ClassStream, step_sizes
from cl_condense.runs.trial import Trial
from cl_condense.training.train import train_together


class Event(NamedTuple):
    """Where a run is: the ``phase`` of a unit, ``record`` once the unit is finished.

    ``share`` is how many units' worth is done that no earlier event had a record of, as if condensing took as
    long as training: 0 to 1, or more where several units train together.
    """

    unit: Unit
    phase: str
    share: float
    record: Record | None = None


@dataclass
class Run:
    """A run in a folder: ``settings.json``, ``records.jsonl``, ``memory/``.

    An interrupted run goes on with the CPU threads that it began with.
    The folder's number of orders may be another, since an order depends on no other one: those that are there
    are not computed again, and ``records`` has those that ``settings`` ask for.

    One process writes in a folder at a time, see ``writing``.

    Raises:
        ValueError: for settings that do not fit the data, a folder with another run's settings, and, when it is
            made and when it is called, a folder that another process writes in.
    """

    settings: RunConfig
    train: ImageSet
    test: ImageSet
    out: Path
    records: list[Record] = field(init=False)

    def __post_init__(self) -> None:
        check_run(self.settings, self.train, self.test)
        self.out = Path(self.out)
        device = str(pick_device(self.settings.device))
        data = self.settings.main.data or fingerprint(self.train, self.test)
        self.settings = self.settings.changed(device=device, data=data)
        self._methods = {each.method: method_for(each) for each in self.settings.condense}
        self.records = self._open()
        commit()  # of the code that is loaded now

    @property
    def sizes(self) -> list[int]:
        """Number of new classes of each step."""
        return step_sizes(len(self.train.class_ids), self.settings.stream.steps)

    @property
    def units(self) -> list[Unit]:
        """All pieces of work, in the order in which they are done."""
        orders, steps = range(self.settings.stream.orders), range(1, self.settings.stream.steps + 1)
        return [Unit(o, m, t) for o in orders for m in self.settings.methods for t in steps]

    def missing(self) -> list[Unit]:
        """Pieces of work without a record."""
        done = {Unit(r["order"], r["method"], r["step"]) for r in self.records}
        return [unit for unit in self.units if unit not in done]

    def __call__(self, on_event: Callable[[Event], None] = lambda event: None) -> list[Record]:
        """Does what is missing, one record a step, and returns all records.

        Each record is on the disk before the next step starts, and a stopped run goes on where it was: the
        memory after the last step is there, and all that is random has (seed, order, step) as its key.
        """
        with writing(self.out, folder=True):
            self.records = self._open()  # another process may have been here since
            missing = self.missing()
            if missing:
                self._do(missing, on_event)
        return self.records

    def _do(self, missing: list[Unit], on_event: Callable[[Event], None]) -> None:
        with using_threads(self._threads):
            for orders in self._side_by_side():
                for method in self.settings.methods:
                    own = [(o, [u.step for u in missing if u[:2] == (o, method)]) for o in orders]
                    trials = [self._trial(Unit(o, method, 0), due) for o, due in own if due]
                    for step in sorted({step for trial in trials for step in trial.due}):
                        self._step([trial for trial in trials if step in trial.due], step, on_event)

    def memory_file(self, unit: Unit) -> Path:
        """Where the memory after a step is kept (until the next one is done)."""
        return self.out / "memory" / f"{unit.method}-order{unit.order}-step{unit.step}.safetensors"

    def _side_by_side(self) -> list[list[int]]:
        """Class orders whose networks train together: on a GPU all, since ConvNets are joined there.

        Elsewhere each alone: only those for at most 16 pixels are joined there, and with one channel accuracies
        would differ by rounding when a run goes on with more orders.
        """
        orders = [*range(self.settings.stream.orders)]
        together = self.settings.train.network == "convnet" and self.settings.device.startswith("cuda")
        return [orders] if together else [[order] for order in orders]

    def _trial(self, start: Unit, due: list[int]) -> Trial:
        s, network = self.settings, network_for(self.settings.train, self.train.shape)
        memory = ClassMemory(
            s.stream.budget,
            per_class=s.main.ipc,
            max_bytes=s.stream.max_bytes,
            codec=s.main.codec,
            shrink=s.stream.shrink,
            dataset=s.dataset,
            method=self._methods[start.method],
            network=network,
            device=s.device,
            seed=subseed(s.seed, start.order),
        )
        stream = ClassStream.of(self.train, self.test, self.sizes, s.seed + start.order)
        return Trial(start, due, stream, memory, network, s.train.networks, self.memory_file)

    def _step(self, trials: list[Trial], step: int, on_event: Callable[[Event], None]) -> None:
        """Condenses a step of each trial, trains their networks together, and evaluates each."""
        units = [trial.unit(step) for trial in trials]
        for trial, condensing in zip(trials, _shares(units, on_event), strict=True):
            trial.condense(step, condensing)

        def training(progress: Progress) -> None:
            on_event(Event(units[0], "train", len(trials) * (1 + progress.done / progress.total) / 2))

        start, jobs = time.perf_counter(), [trial.job(step) for trial in trials]
        train_together(jobs, training_for(self.settings.train), training)
        seconds = (time.perf_counter() - start) / len(trials)
        for done, (trial, job) in enumerate(zip(trials, jobs, strict=True)):
            record = self._record(units[done], trial.memory, trial.accuracies(job, step), seconds)
            append(self.out / "records.jsonl", record)
            self.records.append(record)
            trial.leave(step)
            on_event(Event(units[done], "done", len(trials) - done, record))

    def _record(self, unit: Unit, memory: ClassMemory, accuracies: list[float], seconds: float) -> Record:
        made = memory.condensed
        assert made is not None  # for the type checker: a step has filled it
        return {
            "method": unit.method,
            "dataset": self.settings.dataset,
            "order": unit.order,
            "step": unit.step,
            "classes_seen": len(made.class_ids),
            "accuracy": sum(accuracies) / len(accuracies),
            "accuracies": accuracies,
            "stored_images": len(made),
            "stored_bytes": made.nbytes,
            "codec": made.codec,
            "condense_seconds": round(memory.seconds, 3),
            "train_seconds": round(seconds, 3),
            "recipe": made.recipe,  # settled for its images per class
            "economy": self.settings.of_method(unit.method).economical,
            "seed": self.settings.seed,
            **origin(self.settings.device),
        }

    def _open(self) -> list[Record]:
        """Records of the folder, which is made if need be."""
        self._theirs()  # before anything is written in it
        with writing(self.out, folder=True):
            theirs, path = self._theirs(), self.out / "records.jsonl"
            mine = self._mine(theirs)
            self._threads = mine["threads"]
            (self.out / "memory").mkdir(exist_ok=True)
            if theirs.get("orders") != mine["orders"]:
                with atomic(self.out / "settings.json") as temporary:
                    temporary.write_text(json.dumps(mine, indent=2) + "\n")
            mend(path)
            return [r for r in read(path) if r["order"] < self.settings.stream.orders]

    def _mine(self, theirs: Json) -> Json:
        """What ``settings.json`` is to say: no fewer orders than it does."""
        orders = max(self.settings.stream.orders, theirs.get("orders", 0))
        threads = theirs.get("threads", _threads(self.train))
        return self.settings.values() | {"orders": orders, "threads": threads}

    def _theirs(self) -> Json:
        """What ``settings.json`` says; nothing where the folder is fresh.

        Raises:
            ValueError: for the folder of anything else.
        """
        path = self.out / "settings.json"
        if not path.exists():
            if self.out.is_dir() and not unused(self.out):
                raise ValueError(f"{self.out} is not empty and holds no run: give another --out")
            return {}
        what = "the settings of a run", "give another --out"
        theirs = read_object(path, *what)
        with reading(path, *what):
            whole("orders", theirs["orders"], at_most=MOST["orders"])
            whole("threads", theirs.get("threads", 1), at_most=MOST["threads"])
        if "threads" not in theirs:
            raise ValueError(
                f"{self.out} holds a run of a version in which all experiences drew the same random numbers: "
                "give another --out"
            )
        for k, mine in self._mine(theirs).items():
            if k != "orders" and theirs.get(k, "nothing") != mine:
                raise ValueError(
                    f"{self.out} holds a run with {k} {shown(theirs.get(k))}, not {mine}: "
                    "give another --out, or that run's settings to go on with it"
                )
        return theirs


def _shares(units: list[Unit], on_event: Callable[[Event], None]) -> Iterator[OnProgress]:
    """For each unit what tells how far its condensation is, after those before it."""
    for before, unit in enumerate(units):

        def condensing(progress: Progress, before: int = before, unit: Unit = unit) -> None:
            on_event(Event(unit, "condense", (before + progress.done / progress.total) / 2))

        yield condensing


def _threads(images: ImageSet) -> int:
    """CPU threads for images of a size: one for tiny ones.

    Their operations take microseconds, so that threads mostly wait for one another, and for many times as long
    where something else keeps a core busy.
    """
    return 1 if images.shape[1] * images.shape[2] <= 16 * 16 else torch.get_num_threads()
