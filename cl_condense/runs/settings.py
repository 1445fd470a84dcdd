"""What decides a class-incremental run, the defaults of each data set, and what makes no sense."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

from cl_condense.common import numbers
from cl_condense.common.numbers import MOST, whole
from cl_condense.condensation import codecs
from cl_condense.condensation.condensed_set import SHRINK
from cl_condense.condensation.recipe import Recipe
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.economy import why_not
from cl_condense.methods.registry import build
from cl_condense.networks.contract import MakeNetwork
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.registry import architecture
from cl_condense.training.augment import DSA

_WHOLE = (
    *("steps", "ipc", "budget", "max_bytes", "orders", "networks", "iterations", "real_per_class"),
    *("epochs", "width", "depth", "reuse"),
)
_MAY_BE_NONE = ("ipc", "budget", "max_bytes", "iterations", "real_per_class", "depth", "reuse")


@dataclass(frozen=True)
class Settings:
    """All that decides what a run's records say.

    Attributes:
        dataset: its name, for the records.
        methods: names for ``build``, compared in one run.
        steps: experiences; classes that do not divide evenly go to the first ones.
        ipc: images per class; or None with ``budget``, images in all, or ``max_bytes``, bytes in all, which are
            shared by the classes seen.
        codec: how images are stored, see ``condensation.codecs``.
        shrink: how images become fewer under a budget, see CondensedBuffer.
        orders: class orders; order i is numpy's RandomState(seed + i).permutation, as in the published runs.
        networks: how many are trained on each memory.
        economy: methods that have one (``economical``) condense by it, the others as
            in their papers; False: all as in their papers.
        iterations, real_per_class: of condensation, in all and in every step; None takes each method's own.
            Where no method condenses, ``iterations`` are of the networks that select; beside one that does,
            these keep their own.
        epochs: of each network.
        width, depth: of the ConvNets that condense and that are evaluated.
        network: name of another architecture in their place, see ``networks.registry``.
        precision: of the networks that condense; ``bfloat16`` is faster where the hardware has it.
        compiled: they go through torch.compile.
        reuse: iterations of condensation that share a network and a real batch, see Recipe.reusing; None takes
            each method's own, which is 1 in the papers.
        augment: strategy of the augmentation that networks train with; a method leaves out of its own what is
            not in it.
        evaluation: ``augmented``, the protocol of DSA, DM and their successors; ``plain``, DC's, by which the
            papers' coresets are measured; ``mixed``, that of IDC and M3D; ``dc_mnist`` and ``idc_mnist``,
            those of DC and IDC for MNIST; ``cafe`` and ``datadam``, of these papers.
        data: fingerprint of the images, so that a run does not go on with others.

    Raises:
        ValueError: for a number that is none, or out of its range.
    """

    dataset: str
    methods: tuple[str, ...] = ("random", "ddm")
    steps: int = 5
    ipc: int | None = 10
    budget: int | None = None
    max_bytes: int | None = None
    codec: str = codecs.DEFAULT
    shrink: str = "recondense"
    orders: int = 5
    networks: int = 3
    economy: bool = True
    iterations: int | None = None
    real_per_class: int | None = None
    epochs: int = 1000
    width: int = 128
    depth: int | None = None
    network: str = "convnet"
    precision: str = "float32"
    compiled: bool = False
    reuse: int | None = None
    augment: str = DSA.strategy
    evaluation: str = "augmented"
    seed: int = 0
    device: str = "auto"
    data: str = ""

    def __post_init__(self) -> None:
        for name in _WHOLE:
            if getattr(self, name) is not None or name not in _MAY_BE_NONE:
                object.__setattr__(self, name, whole(name, getattr(self, name), at_most=MOST.get(name)))
        object.__setattr__(self, "seed", numbers.seed(self.seed))
        if self.seed + self.orders - 1 > numbers.SEED_MAX:  # the last class order's
            highest = numbers.SEED_MAX - self.orders + 1
            raise ValueError(f"seed {self.seed} with {self.orders} orders: give a seed of at most {highest}")

    @staticmethod
    def of(values: Mapping[str, Any]) -> Settings:
        """Settings from what a record says; one from before there was economy is of the papers' settings.

        Raises:
            KeyError: without a data set or methods.
        """
        known = {f.name: values[f.name] for f in fields(Settings) if f.name in values}
        return Settings(**{"economy": False} | known | {"methods": tuple(values["methods"])})

    def values(self) -> dict[str, Any]:
        """As records have them: ``economy`` where a method has one, else off and the papers' ``reuse``."""
        economy = any(map(self.economy_of, self.methods))
        reuse = self.reuse if economy or self.reuse else 1
        return asdict(self) | {"economy": economy, "reuse": reuse}

    def economy_of(self, method: str) -> bool:
        """Whether one of the methods condenses by economy.

        Raises:
            ValueError: for an unknown method.
        """
        return self.economy and has_economy(method)

    def digest(self) -> str:
        """Eight characters that differ where settings do."""
        return key(self.values())


def key(values: Mapping[str, Any]) -> str:
    """Eight characters that differ where values of settings do.

    What was made with the papers' settings before there was economy keeps its name: that it is off is no value.
    """
    said = {k: v for k, v in values.items() if k != "economy" or v}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8]


@cache
def has_economy(method: str) -> bool:
    """Whether there is an economy for a method.

    Raises:
        ValueError: for an unknown one.
    """
    return not why_not(build(method))


OF_A_SET = (
    *("dataset", "methods", "ipc", "codec", "economy", "iterations", "real_per_class"),
    *("precision", "compiled", "reuse", "width", "depth", "network", "augment", "seed", "data"),
)
"""The settings that a standalone condensation depends on."""

EPOCHS = {"augmented": 1000, "plain": 300}
"""The published number of epochs of the ways to evaluate that papers share; held-out comparisons do both."""

EVALUATIONS = {**EPOCHS, "mixed": 1000, "dc_mnist": 1000, "idc_mnist": 1000, "cafe": 600, "datadam": 1800}
"""The published number of epochs of every way to evaluate; how each trains is in ``protocols.TRAININGS``."""

_PLAIN = "color_crop_cutout_scale_rotate"  # without flip, as the authors of DSA do for digits

DEFAULTS: dict[str, dict[str, Any]] = {
    # Quick on a CPU, so that there is nothing to economise. Chosen on a part of the training images; see
    # REPRODUCIBILITY.md.
    "digits": {
        "ipc": 2,
        "economy": False,
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
"""What a data set has other than the defaults of ``Settings``; those are the papers' protocol."""


def defaults(dataset: str, methods: Sequence[str], economy: bool | None = None) -> dict[str, Any]:
    """What a data set has other than the defaults of ``Settings`` in a comparison of these methods.

    Its iterations are of condensation: where all of them select real images, these keep their own. Where
    ``economy`` is chosen, on or off, it decides how methods condense, and the data set's numbers do not.

    Raises:
        ValueError: for an unknown method.
    """
    condenses = any(isinstance(build(name), Recipe) for name in methods)
    left_out = set() if condenses else {"iterations"}
    left_out |= set() if economy is None else {"economy", "iterations", "real_per_class"}
    return {k: v for k, v in DEFAULTS.get(dataset, {}).items() if k not in left_out}


def economy_option(values: Mapping[str, Any]) -> str:
    """The option of the command line with which methods condense as a record says; empty where none has to."""
    s = Settings.of(values)
    for economy, option in ((None, ""), (True, "--economy"), (False, "--papers")):
        own = {} if economy is None else {"economy": economy}
        usual = Settings(s.dataset, s.methods, **defaults(s.dataset, s.methods, economy) | own)
        # No option takes a data set's own numbers away.
        there = all(getattr(s, k) or not getattr(usual, k) for k in ("iterations", "real_per_class"))
        if there and usual.values()["economy"] == s.values()["economy"]:
            return option
    return "--papers"


def default_epochs(dataset: str, evaluation: str) -> int:
    """Epochs where none are given: the data set's own, or the published number of this way to evaluate.

    Raises:
        ValueError: for an unknown way.
    """
    if evaluation not in EVALUATIONS:
        raise ValueError(f"evaluation {evaluation!r}: use {' or '.join(EVALUATIONS)}")
    return int(DEFAULTS.get(dataset, {}).get("epochs", EVALUATIONS[evaluation]))


def network_for(s: Settings, shape: tuple[int, int, int]) -> MakeNetwork:
    """Makes the networks of these settings for images of a shape; errors as those of the network."""
    return MakeConvNet(shape, s.width, s.depth) if s.network == "convnet" else architecture(s.network, shape)


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


def _check_budget(s: Settings, train: ImageSet) -> None:
    classes = len(train.class_ids)
    if [s.ipc, s.budget, s.max_bytes].count(None) != 2:
        raise ValueError("give one of ipc (images per class), budget (images in all), max_bytes (bytes in all)")
    codecs.codec(s.codec)
    if s.max_bytes is not None:
        ipc_within(s.max_bytes, train, s.codec)
    if s.budget is not None and s.budget < classes:
        raise ValueError(f"budget {s.budget} is below one image per class: give at least {classes}")


def check(s: Settings, train: ImageSet, test: ImageSet) -> None:
    """Raises ValueError, in one line, for settings that make no sense or do not fit the data."""
    classes = len(train.class_ids)
    if not s.methods:
        raise ValueError("no method: give at least one, such as ddm")
    if len(set(s.methods)) < len(s.methods):
        raise ValueError(f"methods {', '.join(s.methods)}: give each of them once")
    if s.steps > classes:
        raise ValueError(f"{s.steps} steps for {classes} classes of {s.dataset}: give at most {classes}")
    _check_budget(s, train)
    if test.class_ids != train.class_ids or test.shape != train.shape:
        raise ValueError(f"training and test images of {s.dataset} differ in classes or in size")
    if s.evaluation not in EVALUATIONS:
        raise ValueError(f"evaluation {s.evaluation!r}: use {' or '.join(EVALUATIONS)}")
    if s.shrink not in SHRINK:
        raise ValueError(f"shrink {s.shrink!r}: use {' or '.join(SHRINK)}")
    network_for(s, train.shape)(classes)
