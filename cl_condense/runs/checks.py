"""What makes no sense or does not fit the data, said in one line before any work; and what data they are."""

from __future__ import annotations

from pathlib import Path

import torch

from cl_condense.common.foreign import check_room, parse_object
from cl_condense.common.suggest import choice
from cl_condense.condensation import codecs
from cl_condense.condensation.condensed_set import SHRINK
from cl_condense.condensation.fitting import check_fits
from cl_condense.condensation.recipe import Recipe
from cl_condense.data import fingerprint as data
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.hybrid import HybridMemory
from cl_condense.memory.online import OnlineMemory
from cl_condense.methods.hybrid import Hybrid
from cl_condense.runs.build import method_for, network_for, training_for
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.runs.memories import memory_for, stream_for
from cl_condense.runs.run_config import RunConfig
from cl_condense.runs.stream import NEW_CLASSES, SCENARIOS, domains_in, labels_in
from cl_condense.training.trainers import TRAINERS

_LONGEST = 2**24  # bytes of a record


def ipc_within(max_bytes: int, images: ImageSet, codec: str) -> int:
    """Images of each class that a budget in bytes holds as the codec stores them, the same number of each.

    Raises:
        ValueError: for fewer than 1, and for more than a class has.
    """
    each = _images_within(max_bytes, images, codec) // len(images.class_ids)
    if each > (fewest := min(images.counts)):
        scarce = images.called(images.counts.index(fewest))
        most = codecs.LABEL_BYTES + fewest * codecs.image_bytes(codec, images.shape)
        raise ValueError(
            f"{max_bytes} bytes hold {each} images per class as {codec}, but class {scarce} has {fewest}: "
            f"give at most {len(images.class_ids) * most}"
        )
    return each


def _images_within(max_bytes: int, images: ImageSet, codec: str) -> int:
    """Images in all that a budget in bytes holds; raises ValueError for fewer than one of each class."""
    classes = len(images.class_ids)
    held = codecs.images_in(max_bytes, classes, codec, images.shape)
    if held < classes:
        least = classes * (codecs.LABEL_BYTES + codecs.image_bytes(codec, images.shape))
        raise ValueError(f"{max_bytes} bytes are below one image per class as {codec}: give at least {least}")
    return held


def is_records(path: Path) -> bool:
    """Whether a file has records of accuracies, by its first line."""
    with path.open("rb") as file:
        first = file.readline(_LONGEST)
    try:
        return "accuracies" in parse_object(first)
    except ValueError:
        return False


def fingerprint(*sets: ImageSet) -> str:
    """Eight characters that differ where images, labels or class names do."""
    return data.fingerprint(*sets)[:8]


def check_condensing(c: CondenseConfig, real: ImageSet, together: int | None = None) -> None:
    """Raises ValueError, in one line, for a condensation that makes no sense or does not fit the images.

    ``together`` is the fewest classes that are condensed at once, where it is not all of them.
    """
    codecs.codec(c.codec)
    method = method_for(c)
    _check_networks(c, real, 1, copies=1)
    if isinstance(method, Recipe):
        check_fits(method.settled(c.ipc or 1), network_for(c, real.shape), real, together)


def check_training(t: TrainConfig, train: ImageSet, test: ImageSet) -> None:
    """The same for an evaluation on a set of the training images."""
    training_for(t)
    _check_classes(t.dataset, train)
    if test.class_ids != train.class_ids or test.shape != train.shape:
        raise ValueError(f"training and test images of {t.dataset} differ in classes or in size")
    _check_networks(t, test, t.networks, copies=3)  # with gradients and momentum


def check_run(run: RunConfig, train: ImageSet, test: ImageSet) -> None:
    """The same for a run over a stream."""
    stream = run.stream
    _check_classes(run.dataset, train)
    choice("scenario", stream.scenario, SCENARIOS)
    _check_steps(run, train)
    choice("shrink", stream.shrink, SHRINK)
    for trainer in stream.trainers:
        choice("trainer", trainer, TRAINERS)
    _check_orders(run, train)
    _check_budget(run, train)
    check_training(run.train, train, test)
    together = min(map(len, stream_for(run, train, test, 0).steps))
    for each in run.condense:
        check_condensing(each, train, together)
        _check_memory(run, each, train)
        if together < 2 and (hybrid := Hybrid.of(each.method)) and hybrid.share is None:
            raise ValueError(
                f"{each.method}: a share is chosen by telling classes apart, and a step has 1: give fewer "
                "steps, or a share such as 0.5"
            )


def _check_memory(run: RunConfig, c: CondenseConfig, train: ImageSet) -> None:
    """Whether a method's memory holds all classes, in every part and beside what waits."""
    memory, classes = memory_for(run, c, 0, network_for(c, train.shape), Path()), len(train.class_ids)
    within = memory.memory if isinstance(memory, OnlineMemory) else memory
    if isinstance(memory, OnlineMemory):
        memory.check_share(train.shape)
    for part in within.parts if isinstance(within, HybridMemory) else (within,):
        if (held := part.budget.images(classes, c.codec, train.shape)) < classes:
            raise ValueError(
                f"{c.method}: a part of the memory has room for {held} images of {classes} classes: give a "
                "larger budget, or other shares of real and waiting images"
            )


def _check_steps(run: RunConfig, train: ImageSet) -> None:
    classes, stream, domains = len(train.class_ids), run.stream, len(domains_in(train))
    if stream.scenario not in NEW_CLASSES and run.main.ipc is not None:
        raise ValueError(
            f"{run.main.ipc} images per class (ipc) with scenario {stream.scenario}: give budget or max_bytes, "
            "which all that comes shares"
        )
    if stream.scenario in NEW_CLASSES or (stream.scenario == "online" and domains < 2):
        if domains > 1:
            raise ValueError(
                f"{run.dataset} has {domains} domains: give scenario domain, or a set of one domain"
            )
        if stream.steps > classes:
            raise ValueError(
                f"{stream.steps} steps for {classes} classes of {run.dataset}: give at most {classes}"
            )
        return
    if domains < 2:
        raise ValueError(f"{run.dataset} is one domain: scenario domain wants 2 or more, as load_domains gives")
    if stream.steps != domains:
        raise ValueError(f"{stream.steps} steps for {domains} domains of {run.dataset}: a domain is a step")
    if stream.class_orders:
        raise ValueError("class orders of a stream of domains, which have an order themselves: leave them out")


def _check_orders(run: RunConfig, train: ImageSet) -> None:
    orders = run.stream.class_orders
    if orders and run.stream.orders > len(orders):
        raise ValueError(
            f"{run.stream.orders} class orders, but {len(orders)} are given: ask for so many at most"
        )
    for order in orders:
        if sorted(order) != [*train.class_ids]:
            raise ValueError(
                f"a class order of {len(order)} classes is not of the {len(train.class_ids)} there are"
            )


def _check_classes(dataset: str, images: ImageSet) -> None:
    if len(labels_in(images)) < 2:
        raise ValueError(f"{dataset} has 1 class: give 2 or more, since networks tell classes apart")


def _check_networks(c: CondenseConfig | TrainConfig, images: ImageSet, number: int, copies: int) -> None:
    """Makes one without memory for it, and looks whether the memory holds so many."""
    with torch.device("meta"):
        net = network_for(c, images.shape)(len(images.class_ids))
    weights = sum(each.numel() for each in net.parameters())
    several = "a network" if number == 1 else f"{number:,} networks"
    drawn = 20  # bytes for each weight of the one whose weights are being drawn
    check_room((drawn + 4 * copies * number) * weights, f"{several} of {weights:,} weights")


def _check_budget(run: RunConfig, train: ImageSet) -> None:
    classes, stream = len(train.class_ids), run.stream
    if [run.main.ipc, stream.budget, stream.max_bytes].count(None) != 2:
        raise ValueError("give one of ipc (images per class), budget (images in all), max_bytes (bytes in all)")
    if stream.max_bytes is not None:
        codec, n = run.main.codec, len(train)
        if (held := _images_within(stream.max_bytes, train, codec)) > n:
            most = classes * codecs.LABEL_BYTES + n * codecs.image_bytes(codec, train.shape)
            raise ValueError(
                f"{stream.max_bytes} bytes hold {held} images as {codec}, more than the {n} there are: give at "
                f"most {most}"
            )
    if stream.budget is not None and not classes <= stream.budget <= len(train):
        each = "class" if len(domains_in(train)) == 1 else "class of each domain"
        why = f"below one image per {each}" if stream.budget < classes else "more than there are"
        raise ValueError(f"budget {stream.budget} is {why}: give {classes} to {len(train)}")
    if run.main.ipc is not None and run.main.ipc > (most := max(train.counts)):
        raise ValueError(
            f"{run.main.ipc} images per class, but no class has more than {most}: give at most {most}"
        )
