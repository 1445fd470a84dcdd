"""One method on one class order: its memory, and the networks that are trained on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from cl_condense.common.checkpoint import Checkpoints
from cl_condense.common.progress import OnProgress
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.networks.contract import MakeNetwork
from cl_condense.runs.records import Unit
from cl_condense.runs.stream import ClassStream
from cl_condense.training.evaluate import count_right, fresh_networks
from cl_condense.training.train import TrainJob


@dataclass
class Trial:
    """State of one method on one class order, a step at a time; only the steps that are due are asked for.

    Attributes:
        start: the unit before the first step.
        due: the steps without a record, rising.
        stream: of the class order.
        memory: empty, or as a step left it.
        network: makes what is trained on the memory, from a number of classes; on the memory's device.
        networks: how many are trained after each step.
        file: where the memory after a unit is kept.
        checkpoints: of a unit's condensation.
    """

    start: Unit
    due: list[int]
    stream: ClassStream
    memory: ClassMemory
    network: MakeNetwork
    networks: int
    file: Callable[[Unit], Path]
    checkpoints: Callable[[Unit], Checkpoints]

    def unit(self, step: int) -> Unit:
        return self.start._replace(step=step)

    def condense(self, step: int, on_iteration: OnProgress) -> None:
        """Takes a step's classes into the memory and keeps it; what an interruption lost is made again."""
        memory = self.memory
        memory.on_iteration = on_iteration
        later = range(step, memory.experiences, -1)
        kept = next((t for t in later if self.file(self.unit(t)).exists()), None)
        if kept:
            memory.seconds = memory.load(self.file(self.unit(kept))).get("seconds", 0.0)
        for t in range(memory.experiences + 1, step + 1):
            checkpoints = self.checkpoints(self.unit(t))
            memory.update(self.stream.experience(t), checkpoints)
            memory.save(self.file(self.unit(t)), seconds=memory.seconds)
            checkpoints.remove()

    def job(self, step: int) -> TrainJob:
        """New networks for the memory, and what they are to learn from it."""
        assert self.memory.condensed is not None  # for the type checker: a step has filled it
        images, labels = self.memory.condensed.decode()
        classes, device = torch.tensor(self.stream.train.class_ids), self.memory.device
        keys = (self.memory.seed, step - 1)
        nets = fresh_networks(lambda: self.network(len(classes)), self.networks, keys=keys, device=device)
        return TrainJob(nets, images.to(device), torch.searchsorted(classes, labels).to(device), keys)

    def accuracies(self, job: TrainJob, step: int) -> list[float]:
        """What each network of a trained job gets right of the test images of the classes so far."""
        rows = [self.stream.test_rows(t) for t in range(1, step + 1)]
        right = torch.stack([count_right(job.nets, self.stream.test, own) for own in rows]).sum(0)
        return [n / sum(map(len, rows)) for n in right.tolist()]

    def leave(self, step: int) -> None:
        """Removes the memories of the steps before, when the record of this one is on the disk."""
        for t in range(1, step):
            self.file(self.unit(t)).unlink(missing_ok=True)
