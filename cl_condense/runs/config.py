"""What decides a result: how a set is condensed, how networks train on it, and how classes arrive.

A result is known by what it depends on: a set by its ``CondenseConfig``, accuracies by a set and a
``TrainConfig``, a class-incremental run by all three.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

from cl_condense.common import numbers
from cl_condense.common.numbers import whole
from cl_condense.common.plain import Json, Values
from cl_condense.condensation import codecs
from cl_condense.condensation.recipe import Method
from cl_condense.methods.economy import why_not
from cl_condense.methods.hybrid import made_of
from cl_condense.methods.registry import build
from cl_condense.networks.contract import Precision
from cl_condense.training.augment import DSA
from cl_condense.training.trainers.contract import DEFAULT

ONLINE_ITERATIONS = 100
"""Iterations of each condensation of an online stream, and of networks that coresets look through."""


@dataclass(frozen=True)
class CondenseConfig:
    """All that the images of a condensed set depend on.

    Attributes:
        dataset: its name, which chooses among a method's published settings.
        method: a name for ``build``, or of a ``Hybrid`` memory of a stream.
        ipc: images per class; None where a budget that is shared decides.
        codec: how images are stored, see ``condensation.codecs``.
        economy: by economy, where the method has one; False: as in its paper.
        iterations, real_per_class: in all, and in every iteration; None takes the method's own. Of a method
            that selects, ``iterations`` are of the network that it looks through.
        precision: of the networks; ``bfloat16`` is faster where the hardware has it.
        compiled: they go through torch.compile.
        reuse: iterations that share a network and a real batch, see ``Recipe.reusing``; None takes the method's
            own, which is 1 in the papers.
        network: of ``networks.registry``, by name.
        width, depth: of a ConvNet.
        augment: the words of augmentation that fit the data; a method leaves out of its own what is not in it.
        seed: of all that is random.
        data: fingerprint of the real images, so that nothing goes on with others.

    Raises:
        ValueError: for a number that is none, or out of its range.
    """

    dataset: str
    method: str = "ddm"
    ipc: int | None = 10
    codec: str = codecs.DEFAULT
    economy: bool = True
    iterations: int | None = None
    real_per_class: int | None = None
    precision: str = "float32"
    compiled: bool = False
    reuse: int | None = None
    network: str = "convnet"
    width: int = 128
    depth: int | None = None
    augment: str = DSA.strategy
    seed: int = 0
    data: str = ""

    def __post_init__(self) -> None:
        _numbers(self, "width", optional="ipc iterations real_per_class depth reuse")

    @classmethod
    def of(cls, values: Values) -> CondenseConfig:
        """Of flat values, such as a record's; what else they say is left out."""
        return cls(**_fields_of(cls, values))

    @property
    def optimises(self) -> bool:
        """Whether its method makes images; False: it selects real ones.

        Raises:
            ValueError: for an unknown method.
        """
        return _of(self.method).optimises

    @property
    def economical(self) -> bool:
        """Whether it condenses by economy: where that is wanted and the method has one; errors as above."""
        return self.economy and not why_not(_of(self.method))

    def identity(self) -> Json:
        """What two condensations of the same images have in common: without economy its papers' ``reuse``."""
        reuse = self.reuse if self.economical or self.reuse else 1
        return asdict(self) | {"economy": self.economical, "reuse": reuse}


@dataclass(frozen=True)
class TrainConfig:
    """All that accuracies on a set of images depend on.

    Attributes:
        dataset: whose test images.
        networks: how many are trained.
        epochs: of each.
        evaluation: how they train, a name of ``defaults.EVALUATIONS``.
        network: of ``networks.registry``, by name.
        width, depth: of a ConvNet.
        augment: strategy of their augmentation.
        training_precision: of their convolutions, see ``Training``; they are tested in float32.
        compiled: they go through torch.compile.
        seed: of their weights and batches.

    Raises:
        ValueError: for a number that is none, or out of its range.
    """

    dataset: str
    networks: int = 3
    epochs: int = 1000
    evaluation: str = "augmented"
    network: str = "convnet"
    width: int = 128
    depth: int | None = None
    augment: str = DSA.strategy
    training_precision: Precision = "float32"
    compiled: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _numbers(self, "networks epochs width", optional="depth")

    @classmethod
    def of(cls, values: Values) -> TrainConfig:
        """Of flat values; what else they say is left out."""
        return cls(**_fields_of(cls, values))

    def identity(self) -> Json:
        """What two evaluations have in common; compiling changes rounding alone.

        The precision, which evaluations did not have at first, is said where it is not the usual.
        """
        usual = {"training_precision"} if self.training_precision == "float32" else set()
        return {k: v for k, v in asdict(self).items() if k not in usual | {"compiled"}}


@dataclass(frozen=True)
class StreamConfig:
    """How classes and domains arrive, and what a memory of them holds.

    Attributes:
        scenario: of ``stream.SCENARIOS``: new classes at each step, or all classes of a new domain.
            In mini-batches where it is online, of either.
        steps: experiences; classes that do not divide evenly go to the first ones, and a domain is a step.
        orders: of classes, or domains; order i is numpy's RandomState(order_seed + i).permutation, as in the
            published runs.
        order_seed: of the first order; None takes the seed of everything else.
        class_orders: class orders of one's own, each of all class ids; empty where they are drawn.
        trainers: how networks are trained on each memory, names of ``training.trainers``.
        budget, max_bytes: images or bytes in all, shared by the classes seen, in the place of images per class.
        blur: by how many steps images come early or late, see ``ClassStream.in_order``.
        batch, boundaries: of an online stream, the images of a mini-batch, and whether the memory is told where
            steps end.
        staging, enough: of the memory of an online stream, see ``OnlineMemory``.
        shrink: how images become fewer under a budget, see CondensedBuffer.

    Raises:
        ValueError: for a number that is none, or out of its range.
    """

    steps: int = 5
    orders: int = 5
    budget: int | None = None
    max_bytes: int | None = None
    shrink: str = "recondense"
    trainers: tuple[str, ...] = (DEFAULT,)
    scenario: str = "class"
    blur: float = 0.0
    batch: int = 10
    boundaries: bool = True
    staging: float = 0.25
    enough: int = 500
    order_seed: int | None = None
    class_orders: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, values: Values) -> StreamConfig:
        """Of flat values; what else they say is left out."""
        return cls(**_fields_of(cls, values))

    def __post_init__(self) -> None:
        _numbers(self, "steps orders batch enough", optional="budget max_bytes")
        object.__setattr__(self, "blur", numbers.finite("blur", self.blur, at_least=0))
        object.__setattr__(self, "staging", numbers.finite("staging", self.staging, above=0, below=1))
        if self.order_seed is not None:
            object.__setattr__(self, "order_seed", numbers.seed(self.order_seed, "order_seed"))
        object.__setattr__(self, "trainers", tuple(self.trainers))
        object.__setattr__(self, "class_orders", tuple(map(tuple, self.class_orders)))
        if not self.trainers or len({*self.trainers}) < len(self.trainers):
            raise ValueError(f"trainers {', '.join(self.trainers) or '()'}: give one or more, each once")


def digest(values: Values) -> str:
    """Eight characters that differ where values do."""
    return hashlib.sha256(json.dumps(dict(values), sort_keys=True).encode()).hexdigest()[:8]


@cache
def _of(method: str) -> Method:
    return build(made_of(method))


def _fields_of(config: type[Any], values: Values) -> Json:
    return {f.name: values[f.name] for f in fields(config) if f.name in values}


def _numbers(config: object, needed: str, optional: str) -> None:
    """Makes fields whole numbers in their range; those that are optional may be None."""
    for name in (*needed.split(), *optional.split()):
        value = getattr(config, name)
        if value is not None or name in needed.split():
            object.__setattr__(config, name, whole(name, value))
    if "seed" in vars(config):
        object.__setattr__(config, "seed", numbers.seed(vars(config)["seed"]))
