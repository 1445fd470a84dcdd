"""What networks trained on condensed sets reach: the sets of files, one protocol."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cl_condense import datasets
from cl_condense.condensed import CondensedSet
from cl_condense.devices import pick_device
from cl_condense.evaluate import score
from cl_condense.experiment import training_for
from cl_condense.imageset import ImageSet
from cl_condense.interchange import read
from cl_condense.origin import origin
from cl_condense.records import append
from cl_condense.settings import DEFAULTS, Settings, default_epochs, make_net


def evaluate_files(
    files: Sequence[Path],
    dataset: str,
    data: Path | None,
    download: bool,
    *,
    records: Path | None,
    **given: Any,
) -> Iterator[str]:
    """Evaluates every file, after all have been read, and yields a line for each: mean ± std (n).

    Raises:
        ValueError: for a file that is no condensed set, or does not fit the data set, before any is evaluated.
    """
    train, test = datasets.load(dataset, data, download=download)
    chosen = DEFAULTS.get(dataset, {}) | {k: v for k, v in given.items() if v is not None}
    s = replace(Settings(dataset), **{k: v for k, v in chosen.items() if k != "networks"})
    usual = default_epochs(dataset, s.evaluation)
    s = replace(s, epochs=usual if given["epochs"] is None else given["epochs"])
    training_for(s)  # raises for epochs without sense, and the next for a network that does not fit
    if given["networks"] < 1:
        raise ValueError(f"{given['networks']} networks: give at least 1")
    s = replace(s, nets=given["networks"], device=str(pick_device(s.device)))
    make_net(s, test.shape)(len(test.class_ids))
    sets = [_fitting(file, read(file, (train.mean, train.std)), test) for file in files]
    for file, made in zip(files, sets, strict=True):
        record = evaluate_set(made, test, s)
        if records:
            append(records, {"file": str(file), **record})
        mean, std = 100 * record["mean"], 100 * record["std"]
        yield f"{file}: {mean:.1f} ± {std:.1f} % (n = {s.nets}), {len(made)} images, {record['seconds']:.0f} s"


def evaluate_set(made: CondensedSet, test: ImageSet, s: Settings) -> dict[str, Any]:
    """A record of the accuracies of ``s.nets`` networks trained on a set, by the protocol of ``s``."""
    begun = time.perf_counter()
    images, labels = (x.to(s.device) for x in made.decode())
    # Test images as the set's own were normalised, which a published set may do in another way.
    test = replace(test.to(s.device), mean=made.mean, std=made.std)
    make = make_net(s, test.shape)
    found = score(
        images, labels, test, make_net=make, training=training_for(s), networks=s.nets, keys=(s.seed,)
    )
    return {
        "recipe": made.recipe,
        "codec": made.codec,
        "dataset": s.dataset,
        "accuracies": [round(a, 6) for a in found.tolist()],
        "mean": float(found.double().mean()),
        "std": float(found.double().std(correction=0)),
        "evaluation": s.evaluation,
        "epochs": s.epochs,
        "net": s.net,
        "width": s.width,
        "seed": s.seed,
        "seconds": round(time.perf_counter() - begun, 3),
        **origin(s.device),
    }


def _fitting(file: Path, made: CondensedSet, test: ImageSet) -> CondensedSet:
    """Raises ValueError for a set of other images than the test images."""
    if made.shape != test.shape:
        raise ValueError(f"{file} has images of {made.shape}, the data set of {test.shape}")
    absent = sorted(set(made.class_ids) - set(test.class_ids))
    if absent:
        raise ValueError(
            f"{file} has class {absent[0]}, which the data set has not: name its own with --dataset"
        )
    return made
