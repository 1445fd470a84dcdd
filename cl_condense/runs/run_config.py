"""What decides a class-incremental run: its condensations, how networks train on memories, and the stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from cl_condense.common import numbers
from cl_condense.common.plain import Json, Values
from cl_condense.runs.config import CondenseConfig, StreamConfig, TrainConfig, digest

METHODS = ("random", "ddm")
"""What a run compares where nothing is said."""

_AT_FIRST = ("steps", "orders", "budget", "max_bytes", "shrink")
LATER = {f.name: f.default for f in fields(StreamConfig) if f.name not in _AT_FIRST}
LATER |= {"training_precision": TrainConfig.training_precision}
"""What runs did not have at first, with its usual values."""

_FIELDS = {f.name for part in (CondenseConfig, TrainConfig, StreamConfig) for f in fields(part)}
_FIELDS -= {"dataset", "method"}


@dataclass(frozen=True)
class RunConfig:
    """A class-incremental run: condensations that differ in their method, one way to train, one stream.

    ``RunConfig.of`` makes it of flat values, by which the command line, records and files know it.

    Attributes:
        condense: one for each method that is compared.
        device: where it is computed.

    Raises:
        ValueError: without a method, for one that occurs twice, and where the last class order has no seed.
    """

    condense: tuple[CondenseConfig, ...]
    train: TrainConfig
    stream: StreamConfig = field(default_factory=StreamConfig)
    device: str = "auto"

    def __post_init__(self) -> None:
        if not self.condense:
            raise ValueError("no method: give at least one, such as ddm")
        if len(set(self.methods)) < len(self.methods):
            raise ValueError(f"methods {', '.join(self.methods)}: give each of them once")
        highest, own = numbers.SEED_MAX - self.stream.orders + 1, self.stream.order_seed
        first = self.seed if own is None else max(own, self.seed)
        if first > highest:  # the last class order's seed would be too large
            said = f"seed {first} with {self.stream.orders} orders"
            raise ValueError(f"{said}: give a seed of at most {highest}")

    @classmethod
    def of(
        cls, dataset: str, methods: Sequence[str] = METHODS, device: str = "auto", **values: Any
    ) -> RunConfig:
        """Of flat values: fields of the three, each once; those that several have go to all of them.

        Where a method that optimises images is compared with ones that select, ``iterations`` are its own, but
        for online streams, in which all methods look many times.

        Raises:
            ValueError: for an unknown method, and as the three.
            TypeError: for a field that none of them has.
        """
        unknown = values.keys() - _FIELDS
        if unknown:
            raise TypeError(f"no field of a run: {', '.join(sorted(unknown))}")
        values["dataset"] = dataset
        every = [CondenseConfig.of({**values, "method": name}) for name in methods]
        if any(each.optimises for each in every) and values.get("scenario") != "online":
            every = [each if each.optimises else replace(each, iterations=None) for each in every]
        return cls(tuple(every), TrainConfig.of(values), StreamConfig.of(values), device)

    @classmethod
    def read(cls, record: Values) -> RunConfig:
        """Of what ``values`` gave, beside which a record may say more.

        Raises:
            KeyError: without a data set or methods.
        """
        head = {"dataset": record["dataset"], "methods": record["methods"]}
        return cls.of(**head, **{k: v for k, v in record.items() if k in {*_FIELDS, "device"}})

    @property
    def main(self) -> CondenseConfig:
        """Of the condensations one that optimises images, if there is any: all numbers are in it."""
        return next((each for each in self.condense if each.optimises), self.condense[0])

    def flat(self) -> Json:
        """What ``of`` takes."""
        condense = {k: v for k, v in asdict(self.main).items() if k not in ("dataset", "method")}
        head = {"dataset": self.dataset, "methods": self.methods}
        return {**head, **asdict(self.stream), **condense, **asdict(self.train), "device": self.device}

    def values(self) -> Json:
        """The same for records: ``economy`` where a method has one, else off and the papers' ``reuse``.

        What runs did not have at first is said where it is not the usual, so that they are what they were.
        """
        economy = any(each.economical for each in self.condense)
        reuse = self.main.reuse if economy or self.main.reuse else 1
        said = {k: v for k, v in self.flat().items() if k not in LATER or v != LATER[k]}
        return said | {"methods": [*self.methods], "economy": economy, "reuse": reuse}

    def changed(self, **values: Any) -> RunConfig:
        """With other flat values; errors as ``of``."""
        return RunConfig.of(**(self.flat() | values))

    def digest(self) -> str:
        """Eight characters that differ where values do."""
        return digest(self.values())

    def of_method(self, name: str) -> CondenseConfig:
        """How a method of the run condenses."""
        return next(each for each in self.condense if each.method == name)

    @property
    def dataset(self) -> str:
        return self.condense[0].dataset

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(each.method for each in self.condense)

    @property
    def seed(self) -> int:
        return self.condense[0].seed
