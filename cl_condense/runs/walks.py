"""A method on its way through the experiences of a class order."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import TensorDataset

from cl_condense.common.progress import OnProgress
from cl_condense.common.rng import subseed
from cl_condense.condensation.recipe import Method
from cl_condense.data.imageset import ImageSet
from cl_condense.runs.build import network_for
from cl_condense.runs.records import Unit
from cl_condense.runs.run_config import RunConfig
from cl_condense.training.protocol import Training

Stream = Any
"""An Avalanche benchmark."""


def streams(s: RunConfig, train: ImageSet, test: ImageSet, sizes: list[int]) -> Callable[[int], Stream]:
    """Makes the stream of a class order, ``sizes`` new classes a step; they share the images."""
    # Here, because importing Avalanche takes seconds that --help and the checks need not wait for.
    from avalanche.benchmarks import nc_benchmark  # noqa: PLC0415

    classes, data = len(train.class_ids), (_dataset(train), _dataset(test))

    @functools.cache
    def stream(order: int) -> Stream:
        drawn = np.random.RandomState(s.seed + order).permutation(classes).tolist()
        steps = dict(enumerate(sizes))
        return nc_benchmark(*data, len(sizes), False, fixed_class_order=drawn, per_exp_classes=steps)

    return stream


class Walk:
    """Memory and networks of one method in one class order, a step at a time; only the steps that are due.

    Args:
        start: the unit before the first step.
        due: the steps without a record, rising.
        stream: of the class order.
        strategy: as ``strategy`` makes it.
        file: where the memory after a step is kept.
    """

    def __init__(
        self, start: Unit, due: list[int], stream: Stream, strategy: Any, file: Callable[[Unit], Path]
    ) -> None:
        self.due, self.strategy = due, strategy
        self._start, self._stream, self._file, self._at = start, stream, file, 0

    def unit(self, step: int) -> Unit:
        return self._start._replace(step=step)

    def condense(self, step: int, on_iteration: OnProgress) -> None:
        """Takes a step's classes into the memory, keeps it, and prepares the strategy's ``job``."""
        buffer, exps = self.strategy.buffer, self._stream.train_stream
        buffer.on_iteration = on_iteration
        kept = [t for t in range(self._at + 1, step + 1) if self._file(self.unit(t)).exists()]
        if kept:
            self._at = kept[-1]
            buffer.seconds = buffer.load(self._file(self.unit(self._at))).get("seconds", 0.0)
        for lost in range(self._at + 1, step):
            buffer.post_adapt(self.strategy, exps[lost - 1])
        if self._at == step:
            self.strategy.prepare(step - 1)
        else:
            self.strategy.train(exps[step - 1], eval_streams=[])
            buffer.save(self._file(self.unit(step)), seconds=buffer.seconds)
        self._at = step

    def evaluate(self, step: int) -> None:
        """Sets the strategy's accuracies, on the classes so far."""
        self.strategy.eval(self._stream.test_stream[:step])

    def leave(self, step: int) -> None:
        """Removes the memory of the step before, when the record of this one is on the disk."""
        self._file(self.unit(step - 1)).unlink(missing_ok=True)


def strategy(order: int, method: Method, training: Training, s: RunConfig, images: ImageSet) -> Any:
    """A CondensedGDumb that leaves training to others; of ``images`` shape, classes and normalisation count."""
    from cl_condense.strategies import CondensedBuffer, CondensedGDumb  # noqa: PLC0415

    make, seed = network_for(s.train, images.shape), subseed(s.seed, order)
    buffer = CondensedBuffer(
        s.stream.budget,
        per_class=s.main.ipc,
        max_bytes=s.stream.max_bytes,
        codec=s.main.codec,
        dataset=s.dataset,
        shrink=s.stream.shrink,
        method=method,
        network=make,
        device=s.device,
        seed=seed,
        normalisation=(images.mean, images.std),
    )
    return CondensedGDumb(
        model=make(len(images.class_ids)),
        buffer=buffer,
        training=training,
        networks=s.train.networks,
        seed=seed,
        device=s.device,
        evaluator=None,
        defer=True,
    )


def _dataset(images: ImageSet) -> TensorDataset:
    dataset = TensorDataset(images.take(torch.arange(len(images))), images.labels)
    dataset.targets = images.labels.tolist()  # type: ignore[attr-defined] # where Avalanche looks for labels
    return dataset
