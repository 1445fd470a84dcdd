"""The class-incremental run: condense, retrain, evaluate, step by step; one record a step; resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from cl_condense.common.checkpoint import Checkpoint, Checkpoints
from cl_condense.common.devices import pick_device, using_threads
from cl_condense.common.files import atomic, unused, writing
from cl_condense.common.foreign import read_object, reading, shown
from cl_condense.common.numbers import MOST, whole
from cl_condense.common.peaks import peaks
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.common.rng import subseed
from cl_condense.condensation.sources.pool_file import SUFFIX
from cl_condense.condensation.sources.pooled import STAGE
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.runs.build import method_for, network_for, training_for
from cl_condense.runs.checks import check_run, fingerprint
from cl_condense.runs.config import digest
from cl_condense.runs.provenance import commit, origin
from cl_condense.runs.records import Record, Unit, append, mend, read
from cl_condense.runs.run_config import LATER, RunConfig
from cl_condense.runs.shown import Records
from cl_condense.runs.single import POOLS
from cl_condense.runs.stream import ClassStream, drawn_order, step_sizes
from cl_condense.runs.trial import Trial
from cl_condense.training.train import train_together
from cl_condense.training.trainers import DEFAULT, TRAINERS


class Event(NamedTuple):
    """Where a run is: the ``phase`` of a unit, ``record`` once the unit is finished.

    ``share`` is how many units' worth is done that no earlier event had a record of, as if condensing took as
    long as training: 0 to 1, or more where several units train together. ``progress`` is what the phase itself
    told.
    """

    unit: Unit
    phase: str
    share: float
    record: Record | None = None
    progress: Progress | None = None


@dataclass
class Run:
    """A run in a folder: ``settings.json``, ``records.jsonl``, ``memory/``, and its ``checkpoints/``.

    All trainers of the settings train on the same memories; a unit is one of them after one step.

    An interrupted run goes on in the midst of a step, with the CPU threads that it began with.
    The folder's number of orders may be another, since an order depends on no other one: those that are there
    are not computed again, and ``records`` has those that ``settings`` ask for.

    Trained pools of networks, for methods that have one, are shared in ``pools/``, which goes when the run is
    done, or in the folder ``pools``, which stays.

    One process writes in a folder at a time, see ``writing``.

    Of several ``ranks`` the leader calls it, and the others condense with it; it alone trains and evaluates.

    ``preparation`` is how the images were prepared, in options, for ``settings.json``; the fingerprint in
    ``settings`` is of what came out.

    Raises:
        ValueError: for settings that do not fit the data, a folder with another run's settings, and, when it is
            made and when it is called, a folder that another process writes in.
    """

    settings: RunConfig
    train: ImageSet
    test: ImageSet
    out: Path
    preparation: Json = field(default_factory=dict)
    pools: Path | None = None
    ranks: Ranks = ALONE
    records: Records = field(init=False)

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
        s = self.settings.stream
        places = ((o, m) for o in range(s.orders) for m in self.settings.methods)
        return [Unit(*place, t, way) for place in places for t in range(1, s.steps + 1) for way in s.trainers]

    def name(self) -> str:
        """What it is called where its curves go: the same with more orders or trainers, on any device."""
        own = {k: v for k, v in self.settings.values().items() if k not in ("orders", "trainers", "device")}
        return f"{self.out.resolve().name}-{digest(own)}"

    def missing(self) -> list[Unit]:
        """Pieces of work without a record."""
        done = {Unit.of(record) for record in self.records}
        return [unit for unit in self.units if unit not in done]

    def __call__(self, on_event: Callable[[Event], None] = lambda event: None) -> Records:
        """Does what is missing, one record a step, and returns all records, which show themselves as a table.

        Each record is on the disk before the next step starts. Where ``on_event`` raises, the state of what
        is condensed or trained is kept; after a crash, that of the last half minute is there. A stopped run
        goes on from it and ends with the same records: all that is random has (seed, order, step) as its key.
        """
        with writing(self.out, folder=True):
            self.records = self._open()  # another process may have been here since
            missing = self.missing()
            if missing:
                self._do(missing, on_event)
            self._sweep()
        return self.records

    def _sweep(self) -> None:
        """Takes away what a crash left of work that is done, and pools that nothing else has a use for."""
        for folder, own in ((self._checkpoints, "*.checkpoint"), (self.out / POOLS, f"*{SUFFIX}")):
            for path in folder.glob(own):
                path.unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()

    def lost(self) -> list[Unit]:
        """Last steps that have a record and whose memory is not there any more."""
        done = [Unit.of(record)._replace(trainer=DEFAULT) for record in self.records]
        last = dict.fromkeys(unit for unit in done if unit.step == self.settings.stream.steps)
        return [unit for unit in last if not self.memory_file(unit).exists()]

    def remake(self, on_event: Callable[[Event], None] = lambda event: None) -> None:
        """Makes lost memories again, equal to what they were; interrupted it goes on as a call does."""
        with writing(self.out, folder=True), using_threads(self._threads):
            for unit in self.lost():
                (condensing,) = _shares([unit], on_event)
                trial = self._trial([unit])
                trial.condense(unit, condensing)
                trial.leave(unit, memories=True)
            self._sweep()

    def _do(self, missing: list[Unit], on_event: Callable[[Event], None]) -> None:
        with using_threads(self._threads):
            for orders in self._side_by_side():
                for method in self.settings.methods:
                    own = [self._due([u for u in missing if u[:2] == (o, method)]) for o in orders]
                    trials = [self._trial(due) for due in own if due]
                    steps = dict.fromkeys((u.step, u.trainer) for trial in trials for u in trial.due)
                    for step, trainer in sorted(steps, key=self._place):
                        self._step(trials, step, trainer, on_event)

    def _place(self, step: tuple[int, str]) -> tuple[int, int]:
        return step[0], self.settings.stream.trainers.index(step[1])

    def _due(self, missing: list[Unit]) -> list[Unit]:
        """What is to be done for units of one memory: they, and before them what networks go on from."""
        found = {*missing}
        for unit in missing:
            while TRAINERS[unit.trainer].goes_on and unit.step > 1:
                unit = unit._replace(step=unit.step - 1)  # noqa: PLW2901 - walks down
                if unit in found or self.networks_file(unit).exists():
                    break
                found.add(unit)
        return sorted(found, key=lambda unit: self._place((unit.step, unit.trainer)))

    def memory_file(self, unit: Unit) -> Path:
        """Where the memory after a step is kept (until the next one is done)."""
        return self.out / "memory" / f"{_name(unit)}.safetensors"

    def networks_file(self, unit: Unit) -> Path:
        """Where networks that go on are kept after a step (until the next one is done)."""
        return self.out / "memory" / f"{_name(unit)}-{unit.trainer}.networks"

    @property
    def _checkpoints(self) -> Path:
        return self.out / "checkpoints"

    def _condensing(self, unit: Unit) -> Checkpoints:
        """Where the condensation of a unit goes on."""
        own = {k: v for k, v in unit._asdict().items() if k != "trainer"}
        return Checkpoints(self._checkpoints, _name(unit), own)

    def _training(self, units: list[Unit]) -> Checkpoint:
        """Where the training of networks of units goes on."""
        first = units[0]
        path = self._checkpoints / f"{first.method}-step{first.step}-{first.trainer}.train.checkpoint"
        return Checkpoint(path, {"units": [[*unit] for unit in units]}, strict=False)

    def _side_by_side(self) -> list[list[int]]:
        """Class orders whose networks train together: on a GPU all, since ConvNets are joined there.

        Elsewhere each alone: only those for at most 16 pixels are joined there, and with one channel accuracies
        would differ by rounding when a run goes on with more orders.
        """
        orders = [*range(self.settings.stream.orders)]
        together = self.settings.train.network == "convnet" and self.settings.device.startswith("cuda")
        return [orders] if together else [[order] for order in orders]

    def _trial(self, due: list[Unit]) -> Trial:
        s, network = self.settings, network_for(self.settings.train, self.train.shape)
        start = due[0]
        memory = ClassMemory(
            s.stream.budget,
            per_class=s.main.ipc,
            max_bytes=s.stream.max_bytes,
            codec=s.main.codec,
            shrink=s.stream.shrink,
            pools=self.pools or self.out / POOLS,
            dataset=s.dataset,
            method=self._methods[start.method],
            network=network,
            device=s.device,
            seed=subseed(s.seed, start.order),
            ranks=self.ranks,
        )
        stream = ClassStream.of(self.train, self.test, self.sizes, self._class_order(start.order))
        files = self.memory_file, self.networks_file, self._condensing
        return Trial(due, stream, memory, network, s.train.networks, *files)

    def _class_order(self, order: int) -> list[int]:
        """Positions of the classes in a class order."""
        s, ids = self.settings.stream, self.train.class_ids
        if s.class_orders:
            return [ids.index(c) for c in s.class_orders[order]]
        return drawn_order(len(ids), (self.settings.seed if s.order_seed is None else s.order_seed) + order)

    def _step(self, trials: list[Trial], step: int, trainer: str, on_event: Callable[[Event], None]) -> None:
        """Condenses a step of each trial, trains their networks together, and evaluates each."""
        due = {trial: u for trial in trials for u in trial.due if (u.step, u.trainer) == (step, trainer)}
        trials, units = [*due], [*due.values()]
        for trial, condensing in zip(trials, _shares(units, on_event), strict=True):
            trial.condense(due[trial], condensing)

        def training(progress: Progress) -> None:
            share = len(trials) * (1 + progress.done / progress.total) / 2
            on_event(Event(units[0], "train", share, progress=progress))

        checkpoint, jobs = self._training(units), [trial.job(due[trial]) for trial in trials]
        usual, ways = training_for(self.settings.train), self.settings.stream.trainers
        protocol = TRAINERS[trainer].training(usual, self.settings.train.augment)
        train_together(jobs, protocol, training, checkpoint)
        seconds, there = checkpoint.seconds / len(trials), {Unit.of(record) for record in self.records}
        for done, ((trial, unit), job) in enumerate(zip(due.items(), jobs, strict=True)):
            record, left = None, len(trials) - done
            trial.keep(unit, job)
            if unit not in there:
                record = self._record(unit, trial.memory, trial.accuracies(job, unit), seconds)
                append(self.out / "records.jsonl", record)
                self.records.append(record)
                there.add(unit)
            trial.leave(unit, memories=not {unit._replace(trainer=way) for way in ways} - there)
            on_event(Event(unit, "done", left, record))
        checkpoint.remove()

    def _record(
        self,
        unit: Unit,
        memory: ClassMemory,
        found: tuple[list[float], list[list[float]]],
        seconds: float,
    ) -> Record:
        made, (accuracies, by_step) = memory.condensed, found
        assert made is not None  # for the type checker: a step has filled it
        return {
            "method": unit.method,
            "trainer": unit.trainer,
            "dataset": self.settings.dataset,
            "order": unit.order,
            "step": unit.step,
            "classes_seen": len(made.class_ids),
            "accuracy": sum(accuracies) / len(accuracies),
            "accuracies": accuracies,
            "by_step": by_step,
            "stored_images": len(made),
            "stored_bytes": made.nbytes,
            "codec": made.codec,
            "condense_seconds": round(memory.seconds, 3),
            "train_seconds": round(seconds, 3),
            "recipe": made.recipe,  # settled for its images per class
            "economy": self.settings.of_method(unit.method).economical,
            "seed": self.settings.seed,
            **memory.images_lay,
            **peaks(self.settings.device),
            **origin(self.settings.device),
            **self.ranks.record(),
        }

    def _open(self) -> Records:
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
            return Records(r for r in read(path) if r["order"] < self.settings.stream.orders)

    def _mine(self, theirs: Json) -> Json:
        """What ``settings.json`` is to say: no fewer orders than it does."""
        orders = max(self.settings.stream.orders, theirs.get("orders", 0))
        threads = theirs.get("threads", _threads(self.train))
        prepared = {"preparation": self.preparation} if self.preparation else {}
        return self.settings.values() | prepared | {"orders": orders, "threads": threads}

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
        later = {k: usual for k, usual in LATER.items() if k in theirs}
        for k, mine in json.loads(json.dumps(later | self._mine(theirs))).items():
            if k != "orders" and theirs.get(k, "nothing") != mine:
                raise ValueError(
                    f"{self.out} holds a run with {k} {shown(theirs.get(k))}, not {mine}: "
                    "give another --out, or that run's settings to go on with it"
                )
        return theirs


def _shares(units: list[Unit], on_event: Callable[[Event], None]) -> Iterator[OnProgress]:
    """For each unit what tells how far its condensation is, after those before it."""
    for before, unit in enumerate(units):
        yield _Share(unit, before, on_event)


class _Share:
    """Tells how far a unit's condensation is; where a pool is trained first, that is the first half of it."""

    def __init__(self, unit: Unit, before: int, on_event: Callable[[Event], None]) -> None:
        self._unit, self._before, self._on_event, self._pool = unit, before, on_event, False

    def __call__(self, progress: Progress) -> None:
        share, training = progress.done / progress.total, progress.stage == STAGE
        self._pool = self._pool or training
        if self._pool:
            share = (share + (not training)) / 2
        phase = progress.stage if training else "condense"
        self._on_event(Event(self._unit, phase, (self._before + share) / 2, progress=progress))


def _name(unit: Unit) -> str:
    return f"{unit.method}-order{unit.order}-step{unit.step}"


def _threads(images: ImageSet) -> int:
    """CPU threads for images of a size: one for tiny ones.

    Their operations take microseconds, so that threads mostly wait for one another, and for many times as long
    where something else keeps a core busy.
    """
    return 1 if images.shape[1] * images.shape[2] <= 16 * 16 else torch.get_num_threads()
