"""Where the networks of a condensation come from: what a source is, and the untrained ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cl_condense.common.checkpoint import State
from cl_condense.common.devices import upload
from cl_condense.common.numbers import whole
from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.common.rng import Purpose
from cl_condense.condensation.sources.contract import (
    Images,
    RunningSource,
    SampledNetwork,
    SourceContext,
)
from cl_condense.networks.contract import make_feature_net
from cl_condense.networks.init import Initialiser
from cl_condense.networks.joined import joinable
from cl_condense.training.protocol import Training
from cl_condense.training.shown import Shown, shape_of
from cl_condense.training.train import Momentum, TrainJob, train_together


class Redrawn:
    """One network whose weights are drawn anew, in place, and that may be trained in between."""

    def __init__(self, context: SourceContext) -> None:
        self.net = make_feature_net(context.network, len(context.real.class_ids), context.real.device)
        self._initialise = Initialiser(self.net.requires_grad_(False), ahead=True)
        self._seed, self._ranks, self._number, self._age = context.seed, context.ranks, -1, 0

    def draw(self, number: int) -> SampledNetwork:
        """The network of this number: drawn when the number changes."""
        self._age += 1
        if number != self._number:
            self._initialise(self._seed, number)
            self._number, self._age = number, 0
        return SampledNetwork(self.net, self._age)

    def state(self) -> State:
        numbers = {"number": torch.tensor(self._number), "age": torch.tensor(self._age)}
        return numbers | {f"net.{name}": value for name, value in self.net.state_dict().items()}

    def restore(self, state: State) -> None:
        self.net.load_state_dict({k[4:]: v for k, v in state.items() if k.startswith("net.")})
        self._number, self._age = int(state["number"]), int(state["age"])

    def fit(self, images: Tensor, training: Training, *keys: int) -> None:
        """Trains it on synthetic images ``[k, m, c, h, w]``."""
        targets = torch.arange(len(images), device=images.device).repeat_interleave(images.shape[1])
        x = images.detach().flatten(0, 1)
        fit([self.net], x, targets, training, self._seed, *keys, ranks=self._ranks)


def fit(
    nets: list[nn.Module],
    x: Shown,
    y: Tensor,
    training: Training,
    *keys: int,
    momenta: Sequence[Momentum] = (),
    ranks: Ranks = ALONE,
) -> Tensor:
    """Trains networks whose weights otherwise take no gradients; their accuracy in the last epoch, ``[r]``.

    Each network is trained by one of the ranks, and spread with its momentum.
    """
    owners = trainers(nets, x, ranks)
    job = TrainJob(nets, x, y, (Purpose.TRAIN_NET, *keys), momenta).only(own_of(owners, ranks))
    for net in job.nets:
        net.requires_grad_(True)
    accuracy = torch.zeros(len(nets), device=x.device)
    if job.nets:
        with torch.enable_grad():
            found = train_together([job], training)[0]
        accuracy = (
            found if len(found) == len(nets) else accuracy.index_copy(0, upload(job.numbers, x.device), found)
        )
    for net in job.nets:
        net.requires_grad_(False)
        net.zero_grad()  # gradients would take as much memory as the networks
    for i, (net, owner) in enumerate(zip(nets, owners, strict=True)):
        momentum = momenta[i] if momenta else ()
        ranks.spread([accuracy[i : i + 1], *net.state_dict().values(), *momentum], owner)
    return accuracy


def trainers(nets: Sequence[nn.Module], images: Shown, ranks: Ranks) -> list[int]:
    """Which of the ranks trains each network, on ``images``.

    On a CPU the leader trains those that run joined: they are small, and round otherwise in other company.
    """
    together = images.device.type == "cpu" and joinable(nets, torch.empty(1, *shape_of(images)[1:]))
    return [0 if together else number % ranks.size for number in range(len(nets))]


def own_of(owners: Sequence[int], ranks: Ranks) -> list[int]:
    """The numbers of the networks that this rank trains."""
    return [number for number, owner in enumerate(owners) if owner == ranks.rank]


@dataclass(frozen=True)
class RandomNets:
    """Untrained networks, each kept for ``steps`` iterations.

    DM, arXiv:2110.04181: a new random network for every iteration. M3D's "iterations per model" are 5.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", whole("steps", self.steps))

    def lasting(self, steps: int) -> RandomNets:
        return RandomNets(steps)

    def start(self, context: SourceContext) -> RunningSource:
        return _Random(self, Redrawn(context))


class _Random:
    def __init__(self, nets: RandomNets, redrawn: Redrawn) -> None:
        self._steps, self._redrawn = nets.steps, redrawn
        self.state, self.restore = redrawn.state, redrawn.restore

    def at(self, iteration: int) -> SampledNetwork:
        return self._redrawn.draw(iteration // self._steps)

    def advance(self, iteration: int, images: Images) -> None:
        pass
