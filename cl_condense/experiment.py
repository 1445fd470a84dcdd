"""The class-incremental run: condense, retrain, evaluate, step by step; one record a step; resumable."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import TensorDataset

from cl_condense.augment import DSA
from cl_condense.condensed import SHRINK
from cl_condense.devices import pick_device
from cl_condense.draws import fold
from cl_condense.engine import Method, Progress, Recipe
from cl_condense.evaluate import Training
from cl_condense.files import atomic
from cl_condense.imageset import ImageSet
from cl_condense.methods import build
from cl_condense.networks import MakeConvNet

Record = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """All that decides what a run's records say.

    Attributes:
        dataset: its name, for the records.
        methods: names for :func:`cl_condense.methods.build`, compared in one run.
        steps: experiences; classes that do not divide evenly go to the first ones.
        ipc: images per class, or None with ``budget``: images in all, shared by the classes seen.
        shrink: how images become fewer under a budget, see CondensedBuffer.
        orders: class orders; order i is numpy's RandomState(seed + i).permutation, as in the published runs.
        nets: networks trained on each memory.
        iterations, real_per_class: of condensation; None takes each method's own.
        epochs: of each network.
        width, depth: of the ConvNets that condense and that are evaluated.
        augment: strategy of the differentiable augmentation, for both.
    """

    dataset: str
    methods: tuple[str, ...] = ("random", "ddm")
    steps: int = 5
    ipc: int | None = 10
    budget: int | None = None
    shrink: str = "recondense"
    orders: int = 5
    nets: int = 3
    iterations: int | None = None
    real_per_class: int | None = None
    epochs: int = 1000
    width: int = 128
    depth: int | None = None
    augment: str = DSA.strategy
    seed: int = 0
    device: str = "auto"

    def digest(self) -> str:
        """Eight characters that differ where settings do."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:8]


_PLAIN = "color_crop_cutout_scale_rotate"  # without flip, as the authors of DSA do for digits

DEFAULTS: dict[str, dict[str, Any]] = {
    # Quick on a CPU. Chosen on a part of the training images; see REPRODUCIBILITY.md.
    "digits": {
        "ipc": 2,
        "iterations": 200,
        "real_per_class": 32,
        "epochs": 200,
        "width": 32,
        "depth": 2,
        "augment": _PLAIN,
    },
    "mnist": {"augment": _PLAIN},
    "svhn": {"augment": _PLAIN},
    "cifar100": {"steps": 10, "ipc": 20},
}
"""What a data set has other than the defaults of :class:`Settings`; those are the papers' protocol."""


class Unit(NamedTuple):
    """One piece of work: a method's memory after a step of a class order."""

    order: int
    method: str
    step: int


class Event(NamedTuple):
    """Where a run is: ``done`` of ``total`` in a phase of a unit; ``record`` once the unit is finished."""

    unit: Unit
    phase: str
    done: int
    total: int
    record: Record | None = None


@dataclass
class Run:
    """A run in a folder: ``settings.json``, ``records.jsonl``, ``memory/``.

    Raises:
        ValueError: for settings that do not fit the data, or a folder with another run's settings.
    """

    settings: Settings
    train: ImageSet
    test: ImageSet
    out: Path
    records: list[Record] = field(init=False)

    def __post_init__(self) -> None:
        self._check()
        device = pick_device(self.settings.device).type
        self.settings = replace(self.settings, device=device)
        self._methods = {name: self._method(name) for name in self.settings.methods}
        self.records = self._open()

    @property
    def sizes(self) -> list[int]:
        """Number of new classes of each step."""
        share, rest = divmod(len(self.train.class_ids), self.settings.steps)
        return [share + (i < rest) for i in range(self.settings.steps)]

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
            self._append(record)
            self.memory_file(unit._replace(step=step - 1)).unlink(missing_ok=True)
            on_event(Event(now[0], "done", 1, 1, record))

    def _strategy(self, unit: Unit) -> Any:
        # Here, because importing Avalanche takes seconds that --help and the checks need not wait for.
        from cl_condense.strategies import CondensedBuffer, CondensedGDumb  # noqa: PLC0415

        s = self.settings
        make_net = MakeConvNet(self.train.shape, s.width, s.depth)
        seed = fold(s.seed, unit.order)
        buffer = CondensedBuffer(
            s.budget,
            per_class=s.ipc,
            shrink=s.shrink,
            method=self._methods[unit.method],
            make_net=make_net,
            device=s.device,
            seed=seed,
            normalisation=(self.train.mean, self.train.std),
        )
        return CondensedGDumb(
            model=make_net(len(self.train.class_ids)),
            buffer=buffer,
            training=Training(epochs=s.epochs, augment=DSA(s.augment)),
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
            "device": device_name(self.settings.device),
            "versions": {name: version(name) for name in ("cl-condense", "torch", "avalanche-lib")},
        }

    def _method(self, name: str) -> Method:
        method = build(name)
        if not isinstance(method, Recipe):
            return method
        given = {k: getattr(self.settings, k) for k in ("iterations", "real_per_class")}
        given = {k: v for k, v in given.items() if v is not None}
        return replace(method, augment=DSA(self.settings.augment), **given)

    def _check(self) -> None:
        s, classes = self.settings, len(self.train.class_ids)
        for name in ("steps", "orders", "nets", "epochs", "width"):
            if getattr(s, name) < 1:
                raise ValueError(f"{name} {getattr(s, name)}: give at least 1")
        if not s.methods:
            raise ValueError("no method: give at least one, such as ddm")
        if len(set(s.methods)) < len(s.methods):
            raise ValueError(f"methods {', '.join(s.methods)}: give each of them once")
        if s.iterations is not None and s.iterations < 1:
            raise ValueError(f"iterations {s.iterations}: give at least 1")
        if s.steps > classes:
            raise ValueError(f"{s.steps} steps for {classes} classes of {s.dataset}: give at most {classes}")
        if (s.ipc is None) == (s.budget is None):
            raise ValueError("give one of ipc (images per class) and budget (images in all)")
        if s.ipc is not None and s.ipc < 1:
            raise ValueError(f"ipc {s.ipc} is below one image per class: give at least 1")
        if s.budget is not None and s.budget < classes:
            raise ValueError(f"budget {s.budget} is below one image per class: give at least {classes}")
        if self.test.class_ids != self.train.class_ids or self.test.shape != self.train.shape:
            raise ValueError(f"training and test images of {s.dataset} differ in classes or in size")
        if s.shrink not in SHRINK:
            raise ValueError(f"shrink {s.shrink!r}: use {' or '.join(SHRINK)}")
        MakeConvNet(self.train.shape, s.width, s.depth)(classes)

    def _open(self) -> list[Record]:
        """Records of the folder, which is made if need be."""
        path, mine = (
            self.out / "settings.json",
            asdict(self.settings) | {"methods": list(self.settings.methods)},
        )
        if path.exists():
            theirs = _read_json(path)
            differ = [k for k in mine if theirs.get(k, "nothing") != mine[k]]
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
            with atomic(path) as temporary:
                temporary.write_text(json.dumps(mine, indent=2) + "\n")
        return list(_read_records(self.out / "records.jsonl"))

    def _append(self, record: Record) -> None:
        with (self.out / "records.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.records.append(record)


@contextmanager
def _fitting_threads(images: ImageSet) -> Iterator[None]:
    """One CPU thread for tiny images.

    Their operations take microseconds, so that threads mostly wait for one another: on two cores, one of them
    busy with something else, the digits took 5.5 minutes an order with two threads and 20 seconds with one.
    """
    before = torch.get_num_threads()
    if images.shape[1] * images.shape[2] <= 16 * 16:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def device_name(device: str) -> str:
    """What computes, for people."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def _dataset(images: ImageSet) -> TensorDataset:
    dataset = TensorDataset(images.take(torch.arange(len(images))), images.labels)
    dataset.targets = images.labels.tolist()  # type: ignore[attr-defined] # where Avalanche looks for labels
    return dataset


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged: give another --out")
    return value


def _read_records(path: Path) -> Iterator[Record]:
    """The whole lines of a record file; a last line that was cut off by a crash is taken out of the file."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with atomic(path) as temporary:
            temporary.write_bytes(whole)
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            record = json.loads(line)
            Unit(record["order"], record["method"], record["step"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{path} is damaged in line {number}: take the line out, or give another --out"
            ) from None
        yield record
