"""What networks trained on condensed sets reach: the sets of files, one protocol."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cl_condense.common.checkpoint import Checkpoint, Checkpoints
from cl_condense.common.devices import pick_device, using_threads
from cl_condense.common.files import content_hash, writable, writing
from cl_condense.common.peaks import peaks
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
from cl_condense.runs.baselines import Parts, Real, reached, said, spread
from cl_condense.runs.checks import check_training, fingerprint, is_records
from cl_condense.runs.config import TrainConfig, digest
from cl_condense.runs.defaults import DEFAULTS, default_epochs
from cl_condense.runs.provenance import origin
from cl_condense.runs.records import append_once, lines
from cl_condense.runs.weights import check_weights, check_whitened, write_weights
from cl_condense.training.evaluate import OnTrained


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
    baselines: bool = False,
    watch: Callable[[str], OnProgress] | None = None,
    logs: Sequence[str] = (),
    **given: Any,
) -> Iterator[str]:
    """Evaluates every file, after all have been read, and yields what to say of each: mean ± std (n).

    ``preparation`` is how the data set is prepared; ``on_read`` is told how it was read. ``weights`` is where
    those of the first network are kept, for a single file.

    Classes go by name where a file has names. ``pair``, ``factor`` and ``space`` are those of
    ``read``; lines and records say what was assumed. Soft labels are trained on as they are, and both say so.
    For a set in the space ``whitened`` the test images are whitened as the training images are. With
    ``baselines`` a second line has HLR and IOR (see ``runs.baselines``). ``watch`` makes, from the name of a
    file or a data set, what is told how far it is: ``ProgressBar``, say. ``logs`` are the loggers of a
    ``Recorder``.

    With ``records`` the state of what is trained lies beside them until all is evaluated: interrupted, the same
    call goes on there, and no record comes twice: what the file has is said and not done again, unless
    ``weights`` are wanted.

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
    readings = _read(files, train, test, {"pair": pair, "factor": factor, "space": space})
    if weights:
        check_whitened(weights, readings[0].record()["space"])
    on_read(notes)  # not before: what cannot be done is one line, its error
    judge = Judge(Real(train, test), config, device, baselines)
    job = _identity(files, readings, config, fingerprint(train, test)) | {"baselines": baselines}
    named = [_Named(f, r, digest(job | _of(f, r))) for f, r in zip(files, readings, strict=True)]
    outlet = _Outlet(job, f"{dataset}-evaluate-{digest(job)}", records, weights, watch, logs)
    yield from _evaluated(named, judge, outlet, read_as(wanted, notes))


class _Named(NamedTuple):
    """A set, its file, and what tells its evaluation from others."""

    file: Path
    reading: Reading
    identity: str


class _Outlet(NamedTuple):
    """What decides an evaluation, its name, where it goes, and what makes what is told how far it is."""

    job: Json
    name: str
    records: Path | None
    weights: Path | None
    watch: Callable[[str], OnProgress] | None
    logs: Sequence[str]


def _evaluated(named: Sequence[_Named], judge: Judge, outlet: _Outlet, read_so: Json) -> Iterator[str]:
    """Evaluates what was read, and yields what to say; ``read_so`` is how the data set was read."""
    records, test = outlet.records, judge.real.test
    recorder = Recorder(*outlet.logs, name=outlet.name)
    with writing(records, "--records") if records else nullcontext(), recorder:
        hidden = f".{records.name}.{digest(outlet.job)}" if records else ""
        kept = Checkpoints(records.parent, hidden, outlet.job) if records else None
        there = _there(records) if records and not outlet.weights else {}
        for number, (file, reading, identity) in enumerate(named):
            if identity in there:
                yield f"{_line(file, reading, there[identity])}; {records} has it"
                continue
            curve = f"{number + 1}, {file.name}"
            parts = Parts(kept, str(number), outlet.watch(file.name) if outlet.watch else None)
            checkpoint = parts.checkpoint()
            record: Json = checkpoint.notes.get("record", {}) if checkpoint else {}
            if not record:
                path = outlet.weights
                keep = partial(write_weights, path, reading.set, test, judge.config) if path else None
                found = judge.record(reading, parts, partial(recorder.within, curve), keep)
                record = {"file": str(file), **_hash_of(file), "identity": identity, **read_so, **found}
            recorder.accuracies(curve, record["accuracies"])
            if checkpoint:
                checkpoint.notes["record"] = record
                checkpoint.write({})
            yield _line(file, reading, record)  # first, since it is lost where nothing can be appended
            if records:
                append_once(records, record)
        if kept:
            kept.remove()


def _there(records: Path) -> dict[str, Json]:
    """The evaluations that a file has records of."""
    keys = ("identity", "accuracies", "labels", "seconds")
    found = lines(records, lambda record: str(record["identity"]), keys, lambda number, fault: None)
    return {str(record["identity"]): record for record in found}


def _read(files: Sequence[Path], train: ImageSet, test: ImageSet, asked: Json) -> list[Reading]:
    """The sets of all files, as classes of the data set; ``asked`` are options of ``read``."""
    found = []
    for file in files:
        own = asked if has_pairs(file) else {**asked, "pair": None}
        reading = read(file, (train.mean, train.std), classes_of(test), **own)
        found.append(_fitting(file, reading, test))
    return found


@dataclass(frozen=True)
class Judge:
    """What sets are evaluated with: real images, how networks train, and whether beside baselines."""

    real: Real
    config: TrainConfig
    device: str
    baselines: bool = False

    def record(
        self, reading: Reading, parts: Parts, curves: OnProgress, on_trained: OnTrained | None = None
    ) -> Json:
        """The record of a set, but for the name of its file.

        ``curves`` and ``on_trained`` are told of the networks that are trained on it, and of no others.
        """
        made, config = reading.set, self.config
        seen = self.real.seen_as(reading.record()["space"])
        told = telling(curves, parts.on_progress) if parts.on_progress else curves
        checkpoint = parts.checkpoint()
        told_of: Json = {"on_progress": told, "checkpoint": checkpoint, "on_trained": on_trained}
        record = evaluate_set(made, seen.test, config, self.device, **told_of)
        if self.baselines:
            record["baselines"] = seen.beside(made, record["accuracies"], config, self.device, parts)
        return {"read": reading.record(), **record}


def _identity(files: Sequence[Path], readings: Sequence[Reading], config: TrainConfig, data: str) -> Json:
    """What decides the evaluation of these sets; ``data`` is the fingerprint of the real images.

    Training images are in it: whitening and baselines are theirs.
    """
    each = [_of(file, reading) for file, reading in zip(files, readings, strict=True)]
    own = {name: [one[name] for one in each] for name in ("files", "sets", "read")}
    return {"data": data, "compiled": config.compiled} | config.identity() | own


def _of(file: Path, reading: Reading) -> Json:
    """The part of it that is a single set's."""
    return {"files": str(file), "sets": _fingerprint_of(reading.set), "read": reading.record()}


def _hash_of(file: Path) -> Json:
    """What tells a file from another of its name; nothing of a folder."""
    return {"sha256": content_hash(file)} if file.is_file() else {}


def _fingerprint_of(made: CondensedSet) -> str:
    """64 characters that differ where anything of a set does: what is stored, its classes, its recipe, ..."""
    head = {field.name: getattr(made, field.name) for field in fields(made) if field.name != "stored"}
    found = hashlib.sha256(repr(head).encode())
    for name, tensor in sorted(made.stored.items()):
        found.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        found.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


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
    on_trained: OnTrained | None = None,
) -> Json:
    """A record of the accuracies of networks trained on a set, whose training goes on from a checkpoint."""
    begun = time.perf_counter() - (checkpoint.spent if checkpoint else 0.0)
    if on_progress:  # a first epoch may take long
        on_progress(Progress("training", 0, config.epochs, unit="epochs"))
    with using_threads((checkpoint and checkpoint.threads) or torch.get_num_threads()):
        found = reached(
            made, test, config, device, on_progress=on_progress, checkpoint=checkpoint, on_trained=on_trained
        )
    return {
        "recipe": made.recipe,
        "codec": made.codec,
        "labels": "soft" if "soft" in made.stored else "hard",
        **asdict(config),
        "accuracies": [round(a, 6) for a in found.tolist()],
        "mean": float(found.double().mean()),
        "std": float(found.double().std(correction=0)),
        "seconds": round(time.perf_counter() - begun, 3),
        **peaks(device),
        **origin(device),
    }


def _line(file: Path, reading: Reading, record: Json) -> str:
    accuracy = spread(record["accuracies"])
    kind = " with soft labels" if record["labels"] == "soft" else ""
    told = f" ({reading.said()})" if reading.said() else ""
    line = f"{file}: {accuracy}{kind}, {len(reading.set)} images, {record['seconds']:.0f} s{told}"
    return line + (f"\n  {said(record['baselines'])}" if "baselines" in record else "")


def _fitting(file: Path, reading: Reading, test: ImageSet) -> Reading:
    """Raises ValueError for a set of other images than the test images."""
    if reading.set.shape != test.shape:
        sizes = f"{file} has images of {reading.set.shape}, the data set of {test.shape}"
        raise ValueError(
            f"{sizes}: name the data set it is of, with the size and channels it was condensed with"
        )
    return reading
