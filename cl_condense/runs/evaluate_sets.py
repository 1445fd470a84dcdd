"""What networks trained on condensed sets reach: the sets of files, one protocol."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cl_condense.common.checkpoint import Checkpoint, Checkpoints
from cl_condense.common.devices import pick_device, using_threads
from cl_condense.common.files import writable, writing
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress, Progress, telling
from cl_condense.common.recorder import Recorder
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.read import check_options, has_pairs, read
from cl_condense.condensation.formats.reading import Reading
from cl_condense.data import datasets
from cl_condense.data.class_names import classes_of
from cl_condense.data.imageset import ImageSet
from cl_condense.data.preparation import Note, Preparation, read_as
from cl_condense.runs.build import network_for, training_for
from cl_condense.runs.checks import check_training, fingerprint, is_records
from cl_condense.runs.config import TrainConfig, digest
from cl_condense.runs.defaults import DEFAULTS, default_epochs
from cl_condense.runs.provenance import origin
from cl_condense.runs.records import append_once
from cl_condense.runs.weights import check_weights, write_weights
from cl_condense.training.evaluate import score


def evaluate_files(
    files: Sequence[Path],
    dataset: str,
    data: Path | None,
    download: bool,
    *,
    records: Path | None,
    device: str = "auto",
    pair: int | None = None,
    factor: int | None = None,
    space: str = "auto",
    preparation: Preparation | None = None,
    on_read: Callable[[Sequence[Note]], None] = lambda notes: None,
    weights: Path | None = None,
    watch: Callable[[str], OnProgress] | None = None,
    logs: Sequence[str] = (),
    **given: Any,
) -> Iterator[str]:
    """Evaluates every file, after all have been read, and yields a line for each: mean ± std (n).

    ``preparation`` is how the data set is prepared; ``on_read`` is told how it was read. ``weights`` is where
    those of the first network are kept, for a single file.

    Classes go by name where a file has names. ``pair``, ``factor`` and ``space`` are those of
    ``read``; lines and records say what was assumed. ``watch`` makes, from the name of a
    file or a data set, what is told how far it is: ``ProgressBar``, say. ``logs`` are the loggers of a
    ``Recorder``.

    With ``records`` the state of what is trained lies beside them until all is evaluated: interrupted, the same
    call goes on there, and no record comes twice.

    Raises:
        ValueError: for a file that is no condensed set, or does not fit the data set or these options, before
            any is evaluated.
    """
    check_options(pair, factor, space)
    if records:
        writable(records, "--records", ours=is_records)
    if pair is not None and not any(map(has_pairs, files)):
        raise ValueError(f"--pair {pair}: .pt files have pairs, and none is given: leave --pair out")
    if weights:
        check_weights(weights, len(files))
    wanted, notes = preparation or Preparation(), list[Note]()
    how: Json = {"on_progress": watch(dataset) if watch else None, "on_note": notes.append}
    train, test = datasets.load(dataset, data, download=download, **wanted.given(), **how)
    config, device = training_config(dataset, **given), str(pick_device(device))
    check_training(config, train, test)
    constants, classes = (train.mean, train.std), classes_of(test)
    readings = []
    for file in files:
        own = pair if has_pairs(file) else None
        found = read(file, constants, classes, pair=own, factor=factor, space=space)
        readings.append(_fitting(file, found, test))
    on_read(notes)  # not before: what cannot be done is one line, its error
    job = _identity(files, readings, config, test)
    name = f"{dataset}-evaluate-{digest(job)}"
    with writing(records, "--records") if records else nullcontext(), Recorder(*logs, name=name) as recorder:
        kept = Checkpoints(records.parent, f".{records.name}.{digest(job)}", job) if records else None
        for number, (file, reading) in enumerate(zip(files, readings, strict=True)):
            checkpoint, curve = kept.part(str(number)) if kept else None, f"{number + 1}, {file.name}"
            curves = partial(recorder.within, curve)
            told = telling(curves, watch(file.name)) if watch else curves
            record: Json = checkpoint.notes.get("record", {}) if checkpoint else {}
            if not record:
                of: Json = {"file": str(file), "read": reading.record(), **read_as(wanted, notes)}
                keep = partial(write_weights, weights, reading.set, config) if weights else None
                record = of | evaluate_set(
                    reading.set, test, config, device, on_progress=told, checkpoint=checkpoint, on_trained=keep
                )
            recorder.accuracies(curve, record["accuracies"])
            if checkpoint:
                checkpoint.notes["record"] = record
                checkpoint.write({})
            yield _line(file, reading, record)  # first, since it is lost where nothing can be appended
            if records:
                append_once(records, record)
        if kept:
            kept.remove()


def _identity(files: Sequence[Path], readings: Sequence[Reading], config: TrainConfig, test: ImageSet) -> Json:
    """What decides the evaluation of these sets."""
    sets = [hashlib.sha256(reading.set.pixels.numpy().data).hexdigest() for reading in readings]
    return {"files": [*map(str, files)], "sets": sets, "data": fingerprint(test), **asdict(config)}


def training_config(dataset: str, **given: Any) -> TrainConfig:
    """How networks are trained on a data set's condensed sets; what is None is its own, or the published.

    Raises:
        ValueError: for an unknown way to evaluate, and numbers out of their range.
    """
    chosen = DEFAULTS.get(dataset, {}) | {k: v for k, v in given.items() if v is not None}
    evaluation = chosen.get("evaluation", TrainConfig.evaluation)
    if given.get("epochs") is None:
        chosen["epochs"] = default_epochs(dataset, evaluation)
    return TrainConfig.of({**chosen, "dataset": dataset})


def evaluate_set(
    made: CondensedSet,
    test: ImageSet,
    config: TrainConfig,
    device: str,
    *,
    on_progress: OnProgress | None = None,
    checkpoint: Checkpoint | None = None,
    on_trained: Callable[[Sequence[nn.Module]], None] | None = None,
) -> Json:
    """A record of the accuracies of networks trained on a set, whose training goes on from a checkpoint."""
    begun = time.perf_counter() - (checkpoint.spent if checkpoint else 0.0)
    if on_progress:  # a first epoch may take long
        on_progress(Progress("training", 0, config.epochs))
    images, labels = (x.to(device) for x in made.decode())
    # Test images as the set's own were normalised, which a published set may do in another way.
    test = replace(test.to(device), mean=made.mean, std=made.std)
    with using_threads((checkpoint and checkpoint.threads) or torch.get_num_threads()):
        found = score(
            images,
            labels,
            test,
            network=network_for(config, test.shape),
            training=training_for(config),
            networks=config.networks,
            keys=(config.seed,),
            on_progress=on_progress,
            checkpoint=checkpoint,
            on_trained=on_trained,
        )
    return {
        "recipe": made.recipe,
        "codec": made.codec,
        **asdict(config),
        "accuracies": [round(a, 6) for a in found.tolist()],
        "mean": float(found.double().mean()),
        "std": float(found.double().std(correction=0)),
        "seconds": round(time.perf_counter() - begun, 3),
        **origin(device),
    }


def _line(file: Path, reading: Reading, record: Json) -> str:
    accuracy = f"{100 * record['mean']:.1f} ± {100 * record['std']:.1f} % (n = {len(record['accuracies'])})"
    said = f" ({reading.said()})" if reading.said() else ""
    return f"{file}: {accuracy}, {len(reading.set)} images, {record['seconds']:.0f} s{said}"


def _fitting(file: Path, reading: Reading, test: ImageSet) -> Reading:
    """Raises ValueError for a set of other images than the test images."""
    if reading.set.shape != test.shape:
        sizes = f"{file} has images of {reading.set.shape}, the data set of {test.shape}"
        raise ValueError(
            f"{sizes}: name the data set it is of, with the size and channels it was condensed with"
        )
    return reading
