"""A step of a stream as a memory is shown it: at once, or in mini-batches."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from cl_condense.common.agreement import keeping, taking_up
from cl_condense.common.checkpoint import Checkpoints, State
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.memory.hybrid import HybridMemory
from cl_condense.memory.online import OnlineMemory
from cl_condense.runs.stream import ClassStream


def feed(
    memory: ClassMemory | HybridMemory | OnlineMemory,
    stream: ClassStream,
    step: int,
    checkpoints: Checkpoints,
    on_progress: OnProgress,
    *,
    batch: int,
    boundaries: bool,
) -> float:
    """Shows a step of the stream to the memory; returns the seconds that it took.

    Args:
        memory: as the step before left it.
        stream: in an order where the memory is an ``OnlineMemory``.
        step: counts from 1.
        checkpoints: where an interrupted step goes on.
        on_progress: told of a condensation, or of mini-batches.
        batch: images of a mini-batch.
        boundaries: whether an ``OnlineMemory`` is told that the step is over.
    """
    if not isinstance(memory, OnlineMemory):
        memory.on_iteration = on_progress
        memory.update(stream.experience(step), checkpoints)
        return memory.seconds
    start, kept = time.perf_counter(), checkpoints.part("online")
    done = [0]

    def state() -> State:
        return {"memory": _as_bytes(memory), "done": torch.tensor(done)} if memory.condensed else {}

    def restore(found: State) -> None:
        if found:
            _from_bytes(memory, found["memory"])
            done[0] = int(found["done"])

    taking_up(kept, restore)
    tell = keeping(kept, state, on_progress)
    parts = stream.rows(step).split(batch)
    for rows in parts[done[0] :]:
        x, ids = stream.train.take(rows.to(stream.train.device)), stream.train.labels[rows]
        memory.observe(x, ids, normalisation=(stream.train.mean, stream.train.std))
        done[0] += 1
        tell(Progress("condensing", done[0], len(parts)))
    if boundaries:
        memory.condense()
    return time.perf_counter() - start + kept.spent


def _as_bytes(memory: OnlineMemory) -> torch.Tensor:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "memory.safetensors"
        memory.save(path)
        return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def _from_bytes(memory: OnlineMemory, found: torch.Tensor) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "memory.safetensors"
        path.write_bytes(found.numpy().tobytes())
        memory.load(path)
