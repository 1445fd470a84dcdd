"""Trainings on real images, epoch by epoch: MTT's experts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from cl_condense.common.checkpoint import State
from cl_condense.common.numbers import check_whole
from cl_condense.common.numbers import seed as checked_seed
from cl_condense.common.progress import OnProgress
from cl_condense.common.rng import Purpose, fold
from cl_condense.condensation.paper_settings import Tuned, settled
from cl_condense.condensation.sources.contract import Images, RunningSource, SampledNetwork, SourceContext
from cl_condense.condensation.sources.pooled import Pooled
from cl_condense.networks.contract import MakeNetwork
from cl_condense.training.augment import DSA
from cl_condense.training.protocol import Training


@dataclass(frozen=True)
class Trajectories:
    """Networks after each epoch of their training on the real classes (MTT, arXiv:2203.11932).

    Each iteration looks through one of them after a random number of epochs below ``starts``; its ``trained``
    is the same ``ahead`` epochs later. They train by plain SGD at rate 0.01 with augmentation, as in the
    authors' script, which trains 100 for 50 epochs. All are in memory: a ConvNet of 128 filters takes 1.3 MB
    an epoch.

    Attributes:
        size: networks.
        epochs, batch: that each trains, and images of its mini-batches.
        starts: epochs to begin at.
        ahead: epochs to the end; ``starts`` and it fit into the epochs.
        seed: of their weights and training: condensations with other seeds share them.

    Raises:
        ValueError: for a number out of its range.
    """

    size: int | Tuned = 10
    epochs: int | Tuned = 20
    starts: int | Tuned = 15
    ahead: int | Tuned = 3
    batch: int | Tuned = 256
    augment: DSA = field(default_factory=DSA)
    seed: int = 0

    every_epoch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole(self, "size", "epochs", "starts", "ahead", "batch")
        object.__setattr__(self, "seed", checked_seed(self.seed))

    def check(self) -> None:
        """Raises ValueError for epochs that are too few, once all is settled."""
        epochs, starts, ahead = map(settled, (self.epochs, self.starts, self.ahead))
        if starts + ahead > epochs + 1:
            raise ValueError(
                f"starts {starts} and ahead {ahead} in trainings of {epochs} epochs: give at least "
                f"{starts + ahead - 1} epochs, or fewer starts"
            )

    def pool(self) -> Trajectories:
        return self

    def training(self) -> Training:
        return Training(
            settled(self.epochs),
            momentum=0.0,
            weight_decay=0.0,
            batch_size=settled(self.batch),
            augment=self.augment,
            decay=1.0,
        )

    def network(self, context: SourceContext) -> MakeNetwork:
        return context.network

    def start(self, context: SourceContext) -> RunningSource:
        return _Running(self, context)


class _Running:
    def __init__(self, nets: Trajectories, context: SourceContext) -> None:
        nets.check()
        self._epochs, self._starts, self._ahead = map(settled, (nets.epochs, nets.starts, nets.ahead))
        self._seed, self._size = context.seed, settled(nets.size)
        self._pooled = Pooled(nets, context, blended=False)

    def prepare(self, on_progress: OnProgress) -> None:
        self._pooled.prepare(on_progress)

    def at(self, iteration: int) -> SampledNetwork:
        self.prepare(lambda progress: None)
        expert = fold(Purpose.POOL, self._seed, iteration, 0) % self._size
        begin = fold(Purpose.POOL, self._seed, iteration, 1) % self._starts
        trained = self._pooled.members[begin + self._ahead :: self._epochs + 1][expert]
        return SampledNetwork(self._pooled.members[begin :: self._epochs + 1][expert], trained=trained)

    def advance(self, iteration: int, images: Images) -> None:
        pass

    def state(self) -> State:
        return self._pooled.state()

    def restore(self, state: State) -> None:
        self._pooled.restore(state)
