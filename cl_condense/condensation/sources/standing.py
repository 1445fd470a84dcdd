"""Networks of every age: IDM's model queue."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import nn

from cl_condense.common.checkpoint import State
from cl_condense.common.numbers import check_whole, whole
from cl_condense.common.rng import Purpose, fold
from cl_condense.condensation.paper_settings import Tuned, settled
from cl_condense.condensation.sources.contract import (
    Images,
    RunningSource,
    SampledNetwork,
    SourceContext,
)
from cl_condense.condensation.sources.untrained import fit
from cl_condense.networks.contract import make_feature_net
from cl_condense.networks.init import Initialiser
from cl_condense.training.protocol import Training
from cl_condense.training.shown import Some
from cl_condense.training.train import Momentum, at_rest

_MOST_PUSHED = 10**6  # networks that a state may say were drawn; the published runs draw 700


@dataclass(frozen=True)
class ModelQueue:
    """IDM's queue of networks of every age (CVPR 2023, section 4.2, algorithm 1).

    It starts with ``start_with`` random networks. Before every ``push_every``-th iteration one is pushed,
    and once there are ``size`` the oldest is popped. Each iteration looks through one of them, and then trains
    ``trained`` of them for ``train_steps`` steps of ``batch`` real images. As in the authors' code: the paper
    trains the network that was looked through, and pushes at every iteration. Ranks train one of them each.

    Each keeps its momentum from one visit to the next, until it is popped.

    With ``steps`` above 1 as many iterations look through the same network, and count as one for all that is
    said here: networks are pushed and train once in as many iterations, and have the ages that they have at 1.

    ``accuracy`` is that of the network's training batches when it was last trained, 0 before. With ``meter``
    it is the authors': the mean over all visits since iterations that ``meter`` divides, at which they evaluate
    and empty their meters, so that it is 0 from there until the network trains again.
    """

    push_every: int | Tuned = 30
    train_steps: int | Tuned = 10
    size: int | Tuned = 100
    batch: int | Tuned = 256
    start_with: int = 3
    trained: int = 2
    meter: int | Tuned | None = None
    steps: int = 1

    def __post_init__(self) -> None:
        check_whole(self, "push_every", "train_steps", "size", "batch", "trained", "steps")
        check_whole(self, "start_with", at_least=0)
        if self.meter is not None:
            check_whole(self, "meter")

    def lasting(self, steps: int) -> ModelQueue:
        return replace(self, steps=steps)

    def start(self, context: SourceContext) -> RunningSource:
        return _Queue(self, context)


class _Queue:
    def __init__(self, nets: ModelQueue, context: SourceContext) -> None:
        real = context.real
        self._scene, self._nets = context, nets
        self._size, self._batch = settled(nets.size), settled(nets.batch)
        self._meter = None if nets.meter is None else settled(nets.meter)
        self._blank = make_feature_net(context.network, len(real.class_ids), real.device).requires_grad_(False)
        self._initialise = Initialiser(self._blank)
        self.members: list[nn.Module] = []
        self.momenta: list[Momentum] = []
        self.births: list[int] = []
        self.accuracies = torch.zeros(self._size, device=real.device)
        self.visits = torch.zeros(self._size, device=real.device)
        for _ in range(nets.start_with):
            self._push()

    def at(self, iteration: int) -> SampledNetwork:
        turn, age = divmod(iteration, self._nets.steps)
        if age == 0 and self._meter and turn % self._meter == 0:
            self.accuracies.zero_()
            self.visits.zero_()
        if age == 0 and turn % settled(self._nets.push_every) == 0:
            self._push()
        chosen = self._choice(turn, 0)[0]
        return SampledNetwork(self.members[chosen], age, accuracy=self.accuracies[chosen])

    def advance(self, iteration: int, images: Images) -> None:
        nets, real, seed = self._nets, self._scene.real, self._scene.seed
        turn, age = divmod(iteration, nets.steps)
        if age < nets.steps - 1:
            return
        chosen = self._choice(turn, 1)[: nets.trained]
        count = settled(nets.train_steps) * self._batch
        index, targets = real.sample(count, Purpose.TRAIN_NET, seed, turn)
        training = self._scene.fast(Training(1, batch_size=self._batch, augment=None, decay=1.0))
        members, momenta = [self.members[i] for i in chosen], [self.momenta[i] for i in chosen]
        x, ranks = Some(real, index), self._scene.ranks
        found = fit(members, x, targets, training, seed, turn, momenta=momenta, ranks=ranks)
        for i, accuracy in zip(chosen, found, strict=True):
            self.visits[i] = self.visits[i] + 1 if self._meter else 1
            self.accuracies[i] = self.accuracies[i].lerp(accuracy, 1 / self.visits[i])

    def state(self) -> State:
        state = {"pushed": torch.tensor(len(self.births)), "accuracies": self.accuracies, "visits": self.visits}
        for i, (net, momentum) in enumerate(zip(self.members, self.momenta, strict=True)):
            state |= {f"{i}.{name}": value for name, value in net.state_dict().items()}
            state |= {f"momentum.{i}.{j}": value for j, value in enumerate(momentum)}
        return state

    def restore(self, state: State) -> None:
        pushed = whole("pushed", state["pushed"].item(), 0, _MOST_PUSHED)
        while len(self.births) < min(pushed, self._size):
            self._push()
        self.births = [*range(pushed)]
        for i, net in enumerate(self.members):
            own = f"{i}."
            net.load_state_dict({k[len(own) :]: v for k, v in state.items() if k.startswith(own)})
            for j, momentum in enumerate(self.momenta[i]):
                momentum.copy_(state[f"momentum.{i}.{j}"])
        self.accuracies.copy_(state["accuracies"])
        self.visits.copy_(state["visits"])

    def _choice(self, *keys: int) -> list[int]:
        """The members in random order."""
        seed = self._scene.seed
        return sorted(range(len(self.members)), key=lambda i: fold(Purpose.QUEUE, seed, *keys, i))

    def _push(self) -> None:
        """A new random network, in the place of the oldest where the queue is full."""
        self._initialise(Purpose.QUEUE, self._scene.seed, len(self.births))
        place = len(self.births) % self._size
        if place == len(self.members):
            self.members.append(copy.deepcopy(self._blank))
            self.momenta.append(at_rest(self._blank))
        else:
            self.members[place].load_state_dict(self._blank.state_dict())
            self.accuracies[place] = self.visits[place] = 0
            for momentum in self.momenta[place]:
                momentum.zero_()
        self.births.append(len(self.births))
