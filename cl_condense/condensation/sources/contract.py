"""What a source of networks is: its settings, what it may use, and the network that it gives an iteration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from cl_condense.common.checkpoint import State
from cl_condense.common.progress import OnProgress
from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.condensation.view import Unroll
from cl_condense.data.imageset import ImageSet
from cl_condense.networks.contract import MakeNetwork, Precision
from cl_condense.training.augment import DSA
from cl_condense.training.protocol import Training

Images = Callable[[], Tensor]
"""The synthetic images ``[k, m, c, h, w]`` of the moment, decoded; or their labels ``[k, m, classes]``."""


class SourceContext(NamedTuple):
    """What networks may be made from and trained on, and how; in the folder ``pools`` trained ones are kept.

    All of the ``ranks`` have all networks; each that trains is trained by one of them, and then spread. What
    trains on the synthetic images takes their ``labels`` where these are learned.
    """

    real: ImageSet
    network: MakeNetwork
    augment: DSA
    seed: int
    precision: Precision = "float32"
    compiled: bool = False
    pools: Path | None = None
    ranks: Ranks = ALONE
    labels: Images | None = None

    def fast(self, training: Training) -> Training:
        """A protocol at the precision of the context, compiled where it is."""
        return replace(training, precision=self.precision, compiled=self.compiled)


class SampledNetwork(NamedTuple):
    """The network of an iteration.

    Attributes:
        net: its weights take no gradients.
        age: iterations since this network came; 0 where networks take turns.
        accuracy: on real images, 0 to 1; None where the source does not know it.
        trained: the same network, or what it became, at the end of its training; None where it has none.
        unroll: how an objective trains it on the synthetic images; None where none does.
    """

    net: nn.Module
    age: int = 0
    accuracy: Tensor | None = None
    trained: nn.Module | None = None
    unroll: Unroll | None = None


class RunningSource(Protocol):
    """The networks of one condensation."""

    def at(self, iteration: int) -> SampledNetwork:
        """The network of an iteration; iterations come one after another."""
        ...

    def advance(self, iteration: int, images: Images) -> None:
        """What happens to the networks after the step on the synthetic images."""
        ...

    def state(self) -> State:
        """What the next iterations depend on; the tensors may change with them."""
        ...

    def restore(self, state: State) -> None:
        """Goes on where another source of the same settings was."""
        ...


@runtime_checkable
class Preparing(RunningSource, Protocol):
    """One that has much to do before its first network is there."""

    def prepare(self, on_progress: OnProgress) -> None:
        """Does it, or what is left of it; ``on_progress`` is told where the state is one to go on from."""
        ...


class NetworkSource(Protocol):
    """A kind of source, as settings."""

    def start(self, context: SourceContext) -> RunningSource:
        """The source of one condensation."""
        ...


@runtime_checkable
class Checked(Protocol):
    """Settings whose numbers have to fit one another."""

    def check(self) -> None:
        """Raises ValueError where they do not, once they are settled."""
        ...


@runtime_checkable
class Lasting(NetworkSource, Protocol):
    """One whose networks each stay for some iterations, as many as wanted, and do not change in them."""

    @property
    def steps(self) -> int: ...

    def lasting(self, steps: int) -> NetworkSource:
        """The same with each network kept for so many iterations."""
        ...
