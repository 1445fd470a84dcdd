"""One method on one order of a stream: its memory, and the networks that are trained on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import nn

from cl_condense.common import tensor_file
from cl_condense.common.checkpoint import Checkpoints, under
from cl_condense.common.foreign import reading
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.memory.hybrid import HybridMemory
from cl_condense.memory.online import OnlineMemory
from cl_condense.networks.contract import MakeNetwork
from cl_condense.runs.feeding import feed
from cl_condense.runs.records import Unit
from cl_condense.runs.stream import ClassStream, labels_in
from cl_condense.training.evaluate import count_right, fresh_networks
from cl_condense.training.train import TrainJob
from cl_condense.training.trainers import TRAINERS, lesson

_NETWORKS = "cl-condense networks 1"


@dataclass(eq=False)
class Trial:
    """State of one method on one order, a step at a time; only the steps that are due are asked for.

    Attributes:
        due: the units that are to be done, step by step.
        stream: of the order.
        memory: empty, or as a step left it.
        network: makes what is trained on the memory, from a number of classes; on the memory's device.
        networks: how many are trained after each step.
        file: where the memory after a unit is kept.
        kept: where networks that go on are.
        checkpoints: of a unit's condensation.
        batch, boundaries: how an OnlineMemory is shown the stream, see ``feed``.
        heads: test images of a step have its classes alone to choose from.
        only: steps after which networks train; (): all.
        seconds: what the memory took since the step before of those after which networks train.
        lay: where its images were meanwhile, as a record says it.
    """

    due: list[Unit]
    stream: ClassStream
    memory: ClassMemory | HybridMemory | OnlineMemory
    network: MakeNetwork
    networks: int
    file: Callable[[Unit], Path]
    kept: Callable[[Unit], Path]
    checkpoints: Callable[[Unit], Checkpoints]
    batch: int = 10
    boundaries: bool = True
    heads: bool = False
    only: tuple[int, ...] = ()
    seconds: float = 0.0
    lay: Json = field(default_factory=dict)
    _at: int = 0
    _trained: dict[Unit, Sequence[nn.Module]] = field(default_factory=dict)

    def condense(self, unit: Unit, on_iteration: OnProgress) -> None:
        """Takes a step's classes into the memory and keeps it; what an interruption lost is made again."""
        memory, step = self.memory, unit.step
        how: Json = {"batch": self.batch, "boundaries": self.boundaries}
        kept = next((t for t in range(step, self._at, -1) if self.file(unit._replace(step=t)).exists()), None)
        if kept:
            said = memory.load(self.file(unit._replace(step=kept)))
            self._at, self.seconds = kept, said.get("seconds", 0.0)
            lay = said.get("images_lay")
            self.lay = {"images_lay": lay} if isinstance(lay, str) else {}
        first = self._at + 1
        for t in range(first, step + 1):
            tell = partial(_in_turn, on_iteration, t - first, step + 1 - first)
            checkpoints = self.checkpoints(unit._replace(step=t))
            before = 0.0 if t == 1 or not self.only or t - 1 in self.only else self.seconds
            self.seconds = before + feed(memory, self.stream, t, checkpoints, tell, **how)
            self._at, self.lay = t, memory.images_lay
            memory.save(self.file(unit._replace(step=t)), seconds=self.seconds, **self.lay)
            checkpoints.remove()

    def outputs(self, unit: Unit) -> tuple[int, ...]:
        """The class of each output of a unit's networks."""
        known = labels_in(self.stream.train)
        return TRAINERS[unit.trainer].outputs(known, self.stream.seen(unit.step))

    def job(self, unit: Unit) -> TrainJob:
        """Networks for the memory, and what they are to learn from it."""
        images, labels = self.memory.decode()
        return lesson(
            TRAINERS[unit.trainer],
            images.to(self.memory.device),
            labels,
            self.outputs(unit),
            make=self.network,
            networks=self.networks,
            keys=(self.memory.seed, unit.step - 1),
            before=self._before(unit),
        )

    def accuracies(self, job: TrainJob, unit: Unit) -> tuple[list[float], list[list[float]]]:
        """What each network of a trained job gets right of the test images of the classes and domains so far.

        Of all of them, and of those of each step: ``[networks]`` and ``[steps][networks]``.
        """
        rows = [self.stream.test_rows(t) for t in range(1, unit.step + 1)]
        own: Json = {"outputs": self.outputs(unit), "labels": self.stream.test_labels()}
        heads = [self.stream.labels(t) if self.heads else () for t in range(1, unit.step + 1)]
        pairs = zip(rows, heads, strict=True)
        right = torch.stack([count_right(job.nets, self.stream.test, at, among=c, **own) for at, c in pairs])
        each = [[n / len(at) for n in found] for at, found in zip(rows, right.tolist(), strict=True)]
        return [n / sum(map(len, rows)) for n in right.sum(0).tolist()], each

    def keep(self, unit: Unit, job: TrainJob) -> None:
        """Keeps trained networks for the next step, if it goes on with them."""
        if not TRAINERS[unit.trainer].goes_on or unit.step == len(self.stream.steps):
            return
        self._trained = {unit: job.nets}
        tensors = {f"{i}.{k}": v for i, net in enumerate(job.nets) for k, v in net.state_dict().items()}
        tensor_file.write(self.kept(unit), _NETWORKS, tensors)

    def leave(self, unit: Unit, memories: bool) -> None:
        """Removes the trainer's networks of the steps before, and the memories, where no trainer needs them."""
        for before in (unit._replace(step=t) for t in range(1, unit.step)):
            self.kept(before).unlink(missing_ok=True)
            if memories:
                self.file(before).unlink(missing_ok=True)

    def _before(self, unit: Unit) -> Sequence[nn.Module]:
        """The networks of the step before, where the trainer goes on with them; none at the first step.

        Raises:
            ValueError: for a damaged file of them.
        """
        if not TRAINERS[unit.trainer].goes_on or unit.step == 1:
            return ()
        last = unit._replace(step=unit.step - 1)
        if last in self._trained:
            return self._trained[last]
        path, keys = self.kept(last), (self.memory.seed, last.step - 1)
        outputs, device = len(self.outputs(last)), self.memory.device
        nets = fresh_networks(lambda: self.network(outputs), self.networks, keys=keys, device=device)
        what = "networks", "remove it, and they are trained again"
        state = tensor_file.read(path, [_NETWORKS], [], *what).tensors
        with reading(path, *what):
            for i, net in enumerate(nets):
                net.load_state_dict(under(f"{i}.", state))
        return nets


def _in_turn(tell: OnProgress, number: int, of: int, progress: Progress) -> None:
    """Tells the progress of one of several steps as that of all."""
    done = number * progress.total + progress.done
    tell(progress._replace(done=done, total=of * progress.total) if of > 1 else progress)
