"""What a run does at a time: a method on orders of its stream, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cl_condense.common.devices import using_threads
from cl_condense.common.peaks import peaks
from cl_condense.common.progress import Progress
from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.memory.hybrid import HybridMemory
from cl_condense.runs.build import network_for, training_for
from cl_condense.runs.events import Event, shares
from cl_condense.runs.memories import memory_for, stream_for
from cl_condense.runs.provenance import origin
from cl_condense.runs.records import Record, Unit
from cl_condense.runs.run_config import RunConfig
from cl_condense.runs.run_files import RunFiles
from cl_condense.runs.single import POOLS
from cl_condense.runs.stream import domains_in
from cl_condense.runs.tasks import Shared, Tell
from cl_condense.runs.trial import Trial
from cl_condense.training.train import train_together
from cl_condense.training.trainers import TRAINERS


@dataclass(frozen=True)
class Chain:
    """What is missing of a method on class orders whose networks train together, as data: an errand.

    Attributes:
        settings: of the run, with the device.
        data: its images.
        missing: units of one method without a record.
        threads: CPU threads that the run began with.
        home: folder of the run.
        pools: folder of trained pools, for who can see ``home``.
        ranks: that condense together.
        only: steps after which networks train; (): all.
    """

    settings: RunConfig
    data: Shared
    missing: tuple[Unit, ...]
    threads: int
    home: Path
    pools: Path
    ranks: Ranks = ALONE
    only: tuple[int, ...] = ()

    def __call__(self, folder: Path, tell: Tell) -> None:
        """Tells how far it is, and each record once its unit is finished."""
        if not self.missing:  # a worker died after its last record
            return
        with using_threads(self.threads):
            _Steps(self, RunFiles(folder), tell)()


@dataclass(frozen=True)
class Lost:
    """The same of a memory that was made and is not there any more, after the last of its steps."""

    chain: Chain

    def __call__(self, folder: Path, tell: Tell) -> None:
        with using_threads(self.chain.threads):
            _Steps(self.chain, RunFiles(folder), tell).remake()


@dataclass
class _Steps:
    """A chain at work in a folder."""

    chain: Chain
    files: RunFiles
    tell: Tell
    there: set[Unit] = field(init=False)

    def __post_init__(self) -> None:
        self.settings = self.chain.settings
        self.train, self.test = self.chain.data()
        stream, orders = self.settings.stream, dict.fromkeys(unit.order for unit in self.chain.missing)
        method = self.chain.missing[0].method
        every = {
            Unit(o, method, t + 1, way) for o in orders for t in range(stream.steps) for way in stream.trainers
        }
        self.there = every - {*self.chain.missing}

    def __call__(self) -> None:
        orders = dict.fromkeys(unit.order for unit in self.chain.missing)
        own = [self._due([unit for unit in self.chain.missing if unit.order == order]) for order in orders]
        trials = [self._trial(due) for due in own]
        steps = dict.fromkeys((u.step, u.trainer) for trial in trials for u in trial.due)
        for step, trainer in sorted(steps, key=self._place):
            self._step(trials, step, trainer)

    def remake(self) -> None:
        (unit,) = self.chain.missing
        (condensing,) = shares([unit], self.tell)
        trial = self._trial([unit])
        trial.condense(unit, condensing)
        trial.leave(unit, memories=True)

    def _place(self, step: tuple[int, str]) -> tuple[int, int]:
        return step[0], self.settings.stream.trainers.index(step[1])

    def _due(self, missing: Sequence[Unit]) -> list[Unit]:
        """What is to be done for units of one memory: they, and before them what networks go on from."""
        found = {*missing}
        for unit in missing:
            while TRAINERS[unit.trainer].goes_on and unit.step > 1:
                unit = unit._replace(step=unit.step - 1)  # noqa: PLW2901 - walks down
                if unit in found or self.files.networks(unit).exists():
                    break
                found.add(unit)
        return sorted(found, key=lambda unit: self._place((unit.step, unit.trainer)))

    def _trial(self, due: list[Unit]) -> Trial:
        s, network, start = self.settings, network_for(self.settings.train, self.train.shape), due[0]
        at_home = self.files.out == self.chain.home
        pools = self.chain.pools if at_home else self.files.out / POOLS
        own, classes = s.of_method(start.method), len(self.train.class_ids)
        memory = memory_for(s, own, start.order, network, pools, classes=classes, ranks=self.chain.ranks)
        stream = stream_for(s, self.train, self.test, start.order)
        files = self.files.memory, self.files.networks, self.files.condensing
        how = s.stream.batch, s.stream.boundaries, s.stream.scenario == "task"
        return Trial(due, stream, memory, network, s.train.networks, *files, *how, only=self.chain.only)

    def _step(self, trials: list[Trial], step: int, trainer: str) -> None:
        """Condenses a step of each trial, trains their networks together, and evaluates each."""
        due = {trial: u for trial in trials for u in trial.due if (u.step, u.trainer) == (step, trainer)}
        trials, units = [*due], [*due.values()]
        for trial, condensing in zip(trials, shares(units, self.tell), strict=True):
            trial.condense(due[trial], condensing)

        def training(progress: Progress) -> None:
            share = len(trials) * (1 + progress.done / progress.total) / 2
            self.tell(Event(units[0], "train", share, progress=progress))

        checkpoint, jobs = self.files.training(units), [trial.job(due[trial]) for trial in trials]
        usual, ways = training_for(self.settings.train), self.settings.stream.trainers
        protocol = TRAINERS[trainer].training(usual, self.settings.train.augment)
        train_together(jobs, protocol, training, checkpoint)
        seconds = checkpoint.seconds / len(trials)
        for done, ((trial, unit), job) in enumerate(zip(due.items(), jobs, strict=True)):
            record, left = None, len(trials) - done
            trial.keep(unit, job)
            if unit not in self.there:
                record = self._record(unit, trial, trial.accuracies(job, unit), seconds)
            self.tell(Event(unit, "done", left, record))
            self.there.add(unit)
            trial.leave(unit, memories=not {unit._replace(trainer=way) for way in ways} - self.there)
        checkpoint.remove()

    def _record(
        self,
        unit: Unit,
        trial: Trial,
        found: tuple[list[float], list[list[float]]],
        seconds: float,
    ) -> Record:
        made, (accuracies, by_step) = trial.memory.condensed, found
        assert made is not None  # for the type checker: a step has filled it
        memory, chosen = trial.memory, {}
        if isinstance(memory, HybridMemory) and memory.chosen:
            chosen = {"real_share": memory.chosen}
        domains = {"domains_seen": unit.step} if len(domains_in(self.train)) > 1 else {}
        return {
            "method": unit.method,
            "trainer": unit.trainer,
            "dataset": self.settings.dataset,
            "order": unit.order,
            "step": unit.step,
            "classes_seen": trial.stream.classes(unit.step),
            **({"scenario": "task"} if trial.heads else {}),
            **domains,
            "accuracy": sum(accuracies) / len(accuracies),
            "accuracies": accuracies,
            "by_step": by_step,
            "stored_images": len(made),
            "stored_bytes": made.nbytes,
            "codec": made.codec,
            **chosen,
            "condense_seconds": round(trial.seconds, 3),
            "train_seconds": round(seconds, 3),
            "recipe": made.recipe,  # settled for its images per class
            "economy": self.settings.of_method(unit.method).economical,
            "seed": self.settings.seed,
            **trial.lay,
            **peaks(self.settings.device),
            **origin(self.settings.device),
            **self.chain.ranks.record(),
        }
