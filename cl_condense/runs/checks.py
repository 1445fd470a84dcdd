"""What makes no sense or does not fit the data, said in one line before any work; and what data they are."""

from __future__ import annotations

import hashlib

from cl_condense.common.suggest import choice
from cl_condense.condensation import codecs
from cl_condense.condensation.condensed_set import SHRINK
from cl_condense.data.imageset import ImageSet
from cl_condense.runs.build import method_for, network_for, training_for
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.runs.run_config import RunConfig


def ipc_within(max_bytes: int, images: ImageSet, codec: str) -> int:
    """Images of each class that a budget in bytes holds as the codec stores them, the same number of each.

    Raises:
        ValueError: for fewer than 1.
    """
    classes = len(images.class_ids)
    each = codecs.images_in(max_bytes, classes, codec, images.shape) // classes
    if each < 1:
        least = classes * (codecs.image_bytes(codec, images.shape) + codecs.LABEL_BYTES)
        raise ValueError(f"{max_bytes} bytes are below one image per class as {codec}: give at least {least}")
    return each


def fingerprint(*sets: ImageSet) -> str:
    """Eight characters that differ where images, labels or class names do."""
    digest = hashlib.sha256()
    for images in sets:
        digest.update(repr((images.shape, images.class_ids, images.counts, images.names)).encode())
        digest.update(images.images.cpu().contiguous().numpy().data)
    return digest.hexdigest()[:8]


def check_condensing(c: CondenseConfig, real: ImageSet) -> None:
    """Raises ValueError, in one line, for a condensation that makes no sense or does not fit the images."""
    codecs.codec(c.codec)
    method_for(c)
    network_for(c, real.shape)(len(real.class_ids))


def check_training(t: TrainConfig, train: ImageSet, test: ImageSet) -> None:
    """The same for an evaluation on a set of the training images."""
    training_for(t)
    if test.class_ids != train.class_ids or test.shape != train.shape:
        raise ValueError(f"training and test images of {t.dataset} differ in classes or in size")
    network_for(t, test.shape)(len(test.class_ids))


def check_run(run: RunConfig, train: ImageSet, test: ImageSet) -> None:
    """The same for a class-incremental run."""
    classes, stream = len(train.class_ids), run.stream
    if stream.steps > classes:
        raise ValueError(f"{stream.steps} steps for {classes} classes of {run.dataset}: give at most {classes}")
    choice("shrink", stream.shrink, SHRINK)
    _check_budget(run, train)
    check_training(run.train, train, test)
    for each in run.condense:
        check_condensing(each, train)


def _check_budget(run: RunConfig, train: ImageSet) -> None:
    classes, stream = len(train.class_ids), run.stream
    if [run.main.ipc, stream.budget, stream.max_bytes].count(None) != 2:
        raise ValueError("give one of ipc (images per class), budget (images in all), max_bytes (bytes in all)")
    if stream.max_bytes is not None:
        ipc_within(stream.max_bytes, train, run.main.codec)
    if stream.budget is not None and stream.budget < classes:
        raise ValueError(f"budget {stream.budget} is below one image per class: give at least {classes}")
