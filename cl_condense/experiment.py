"""The class-incremental run: condense, retrain, evaluate, step by step; one record a step; resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import TensorDataset

from cl_condense.augment import DSA
from cl_condense.devices import pick_device
from cl_condense.draws import fold
from cl_condense.evaluate import Training, mixed_training
from cl_condense.files import atomic
from cl_condense.imageset import ImageSet
from cl_condense.methods import build
from cl_condense.origin import commit, origin
from cl_condense.recipes import Method, Progress, Recipe
from cl_condense.records import Record, Unit, append, read
from cl_condense.settings import Settings, check, fingerprint, make_net


class Event(NamedTuple):
    """Where a run is: ``done`` of ``total`` in a phase of a unit; ``record`` once the unit is finished."""

    unit: Unit
    phase: str
    done: int
    total: int
    record: Record | None = None

    @property
    def share(self) -> float:
        """How much of the unit is done, from 0 to 1, as if condensing took as long as training."""
        before, size = {"condense": (0.0, 0.5), "train": (0.5, 0.5), "done": (1.0, 0.0)}[self.phase]
        return before + size * self.done / self.total


@dataclass
class Run:
    """A run in a folder: ``settings.json``, ``records.jsonl``, ``memory/``.

    The folder's number of orders may be another, since an order depends on no other one: those that are there
    are not computed again, and ``records`` has those that ``settings`` ask for.

    Raises:
        ValueError: for settings that do not fit the data, or a folder with another run's settings.
    """

    settings: Settings
    train: ImageSet
    test: ImageSet
    out: Path
    records: list[Record] = field(init=False)

    def __post_init__(self) -> None:
        check(self.settings, self.train, self.test)
        device = str(pick_device(self.settings.device))
        data = self.settings.data or fingerprint(self.train, self.test)
        self.settings = replace(self.settings, device=device, data=data)
        self._methods = {name: method_for(name, self.settings) for name in self.settings.methods}
        self.records = self._open()
        commit()  # of the code that is loaded now

    @property
    def sizes(self) -> list[int]:
        """Number of new classes of each step."""
        return step_sizes(len(self.train.class_ids), self.settings.steps)

    @property
    def units(self) -> list[Unit]:
        """All pieces of work, in the order in which they are done."""
        s = self.settings
        return [Unit(o, m, t) for o in range(s.orders) for m in s.methods for t in range(1, s.steps + 1)]

    def missing(self) -> list[Unit]:
        """Pieces of work without a record."""
        done = {Unit(r["order"], r["method"], r["step"]) for r in self.records}
        return [unit for unit in self.units if unit not in done]

    def __call__(self, on_event: Callable[[Event], None] = lambda event: None) -> list[Record]:
        """Does what is missing, one record a step, and returns all records.

        Each record is on the disk before the next step starts, and a stopped run goes on where it was: the
        memory after the last step is there, and all that is random has (seed, order, step) as its key.
        """
        missing = self.missing()
        with _fitting_threads(self.train):
            for order in range(self.settings.orders):
                todo = {m: [u.step for u in missing if u[:2] == (order, m)] for m in self.settings.methods}
                if any(todo.values()):
                    benchmark = self._benchmark(order)
                    for method, steps in todo.items():
                        self._do(benchmark, Unit(order, method, 0), steps, on_event)
        return self.records

    def memory_file(self, unit: Unit) -> Path:
        """Where the memory after a step is kept (until the next one is done)."""
        return self.out / "memory" / f"{unit.method}-order{unit.order}-step{unit.step}.safetensors"

    def _do(self, benchmark: Any, unit: Unit, steps: list[int], on_event: Callable[[Event], None]) -> None:
        if not steps:
            return
        strategy, now = self._strategy(unit), [unit]

        def condensing(progress: Progress) -> None:
            on_event(Event(now[0], "condense", progress.iteration, progress.iterations))

        def training(epoch: int, epochs: int) -> None:
            on_event(Event(now[0], "train", epoch, epochs))

        strategy.buffer.on_step, strategy.on_epoch = condensing, training
        kept = [t for t in range(1, steps[0]) if self.memory_file(unit._replace(step=t)).exists()]
        if kept:
            strategy.buffer.load(self.memory_file(unit._replace(step=kept[-1])))
        for step in range(kept[-1] + 1 if kept else 1, self.settings.steps + 1):
            now[0] = unit._replace(step=step)
            if step not in steps:  # its record is there and its memory was lost
                strategy.buffer.post_adapt(strategy, benchmark.train_stream[step - 1])
                continue
            strategy.train(benchmark.train_stream[step - 1], eval_streams=[])
            strategy.eval(benchmark.test_stream[:step])
            strategy.buffer.save(self.memory_file(now[0]))
            record = self._record(now[0], strategy)
            append(self.out / "records.jsonl", record)
            self.records.append(record)
            self.memory_file(unit._replace(step=step - 1)).unlink(missing_ok=True)
            on_event(Event(now[0], "done", 1, 1, record))

    def _strategy(self, unit: Unit) -> Any:
        # Here, because importing Avalanche takes seconds that --help and the checks need not wait for.
        from cl_condense.strategies import CondensedBuffer, CondensedGDumb  # noqa: PLC0415

        s = self.settings
        make = make_net(s, self.train.shape)
        seed = fold(s.seed, unit.order)
        buffer = CondensedBuffer(
            s.budget,
            per_class=s.ipc,
            shrink=s.shrink,
            method=self._methods[unit.method],
            make_net=make,
            device=s.device,
            seed=seed,
            normalisation=(self.train.mean, self.train.std),
        )
        return CondensedGDumb(
            model=make(len(self.train.class_ids)),
            buffer=buffer,
            training=training_for(s),
            networks=s.nets,
            seed=seed,
            device=s.device,
            evaluator=None,
        )

    def _benchmark(self, order: int) -> Any:
        from avalanche.benchmarks import nc_benchmark  # noqa: PLC0415

        classes = len(self.train.class_ids)
        return nc_benchmark(
            _dataset(self.train),
            _dataset(self.test),
            self.settings.steps,
            False,
            fixed_class_order=np.random.RandomState(self.settings.seed + order).permutation(classes).tolist(),
            per_exp_classes=dict(enumerate(self.sizes)),
        )

    def _record(self, unit: Unit, strategy: Any) -> Record:
        memory = strategy.buffer.memory
        return {
            "method": unit.method,
            "dataset": self.settings.dataset,
            "order": unit.order,
            "step": unit.step,
            "classes_seen": len(memory.class_ids),
            "accuracy": sum(strategy.accuracies) / len(strategy.accuracies),
            "accuracies": strategy.accuracies,
            "stored_images": len(memory),
            "stored_bytes": memory.nbytes,
            "condense_seconds": round(strategy.buffer.seconds, 3),
            "train_seconds": round(strategy.train_seconds, 3),
            "recipe": self._methods[unit.method].settings(),
            "seed": self.settings.seed,
            **origin(self.settings.device),
        }

    def _open(self) -> list[Record]:
        """Records of the folder, which is made if need be."""
        path = self.out / "settings.json"
        mine = asdict(self.settings) | {"methods": list(self.settings.methods)}
        theirs: dict[str, Any] = {}
        if path.exists():
            try:
                theirs = dict(json.loads(path.read_text()))
                mine["orders"] = max(mine["orders"], theirs["orders"])
            except (KeyError, ValueError, TypeError):
                raise ValueError(f"{path} is damaged: give another --out") from None
            differ = [k for k in mine if k != "orders" and theirs.get(k, "nothing") != mine[k]]
            if differ:
                k = differ[0]
                raise ValueError(
                    f"{self.out} holds a run with {k} {theirs.get(k)}, not {mine[k]}: "
                    "give another --out, or that run's settings to go on with it"
                )
        elif self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise ValueError(f"{self.out} is not empty and holds no run: give another --out")
        else:
            (self.out / "memory").mkdir(parents=True, exist_ok=True)
        if theirs.get("orders") != mine["orders"]:
            with atomic(path) as temporary:
                temporary.write_text(json.dumps(mine, indent=2) + "\n")
        return [r for r in read(self.out / "records.jsonl") if r["order"] < self.settings.orders]


def step_sizes(classes: int, steps: int) -> list[int]:
    """Number of new classes of each step; those that do not divide evenly go to the first ones."""
    share, rest = divmod(classes, steps)
    return [share + (i < rest) for i in range(steps)]


def method_for(name: str, s: Settings) -> Method:
    """The method of a name as these settings want it."""
    method = build(name, s.dataset)
    if not isinstance(method, Recipe):
        return method
    given = {k: getattr(s, k) for k in ("iterations", "real_per_class", "precision", "compiled")}
    given = {k: v for k, v in given.items() if v is not None}
    # Of the method's own augmentation what fits the data set: no flips for digits.
    words = [word for word in method.augment.groups if word in DSA(s.augment).groups]
    method = replace(method, augment=replace(method.augment, strategy="_".join(words) or "none"), **given)
    return method.reusing(s.reuse)


def training_for(s: Settings) -> Training:
    """How these settings train networks on a memory."""
    if s.evaluation == "mixed":
        return mixed_training(s.epochs, s.augment)
    return Training(epochs=s.epochs, augment=DSA(s.augment) if s.evaluation == "augmented" else None)


@contextmanager
def _fitting_threads(images: ImageSet) -> Iterator[None]:
    """One CPU thread for tiny images.

    Their operations take microseconds, so that threads mostly wait for one another, and for many times as long
    where something else keeps a core busy.
    """
    before = torch.get_num_threads()
    if images.shape[1] * images.shape[2] <= 16 * 16:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _dataset(images: ImageSet) -> TensorDataset:
    dataset = TensorDataset(images.take(torch.arange(len(images))), images.labels)
    dataset.targets = images.labels.tolist()  # type: ignore[attr-defined] # where Avalanche looks for labels
    return dataset
