"""Networks of every age: IDM's model queue."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from cl_condense.common.checkpoint import State, under
from cl_condense.common.devices import upload
from cl_condense.common.numbers import check_whole, finite, whole
from cl_condense.common.progress import OnProgress
from cl_condense.common.rng import Purpose, fold
from cl_condense.condensation.paper_settings import Tuned, settled
from cl_condense.condensation.sources.contract import (
    Images,
    RunningSource,
    SampledNetwork,
    SourceContext,
)
from cl_condense.condensation.sources.pool import TrainedPool
from cl_condense.condensation.sources.pretrained import Pretrained
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

    With ``pretrained`` it starts as in the supplement (section 3), for larger data: what is pushed is a random
    one of so many networks that trained on all real images before, for ``pretraining`` epochs. From there each
    goes on at a rate of its own, up to a tenth above or below 0.01, on real images of some classes of its own:
    a share ``subset`` of them, at least 2 where there are so many. The paper gives none of the three numbers.

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
    pretrained: int = 0
    pretraining: int = 5
    subset: float = 0.5

    def __post_init__(self) -> None:
        check_whole(self, "push_every", "train_steps", "size", "batch", "trained", "steps", "pretraining")
        check_whole(self, "start_with", "pretrained", at_least=0)
        object.__setattr__(self, "subset", finite("subset", self.subset, above=0, at_most=1))
        if self.meter is not None:
            check_whole(self, "meter")

    def lasting(self, steps: int) -> ModelQueue:
        return replace(self, steps=steps)

    def pool(self) -> TrainedPool | None:
        """Of the networks that it starts from, where these are trained before."""
        if not self.pretrained:
            return None
        return TrainedPool(self.pretrained, self.pretraining, architecture="own")

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
        self._pool = Pretrained(own, nets.subset, context) if (own := nets.pool()) else None
        self.members: list[nn.Module] = []
        self.momenta: list[Momentum] = []
        self.births: list[int] = []
        self.accuracies = torch.zeros(self._size, device=real.device)
        self.visits = torch.zeros(self._size, device=real.device)
        if not self._pool:
            self._fill()

    def prepare(self, on_progress: OnProgress) -> None:
        """Trains the networks that are pushed, where they are trained before."""
        if self._pool:
            self._pool.prepare(on_progress)
            if not self.members:
                self._fill()

    def at(self, iteration: int) -> SampledNetwork:
        self.prepare(lambda progress: None)
        turn, age = divmod(iteration, self._nets.steps)
        if age == 0 and self._meter and turn % self._meter == 0:
            self.accuracies.zero_()
            self.visits.zero_()
        if age == 0 and turn % settled(self._nets.push_every) == 0:
            self._push()
        chosen = self._choice(turn, 0)[0]
        return SampledNetwork(self.members[chosen], age, accuracy=self.accuracies[chosen])

    def advance(self, iteration: int, images: Images) -> None:
        turn, age = divmod(iteration, self._nets.steps)
        if age < self._nets.steps - 1:
            return
        chosen = self._choice(turn, 1)[: self._nets.trained]
        for i, accuracy in zip(chosen, self._fitted(chosen, turn), strict=True):
            self.visits[i].mul_(bool(self._meter)).add_(1)  # a number put in a place would wait for the device
            self.accuracies[i] = self.accuracies[i].lerp(accuracy, 1 / self.visits[i])

    def _fitted(self, chosen: list[int], turn: int) -> Sequence[Tensor]:
        """Trains the members at some places; the accuracy of each."""
        nets, seed = self._nets, self._scene.seed
        count, keys = settled(nets.train_steps) * self._batch, (seed, turn)
        training = self._scene.fast(Training(1, batch_size=self._batch, augment=None, decay=1.0))
        if not self._pool:
            index, targets = self._scene.real.sample(count, Purpose.TRAIN_NET, *keys)
            return [*self._fit(chosen, index, targets, training, *keys)]
        found = []
        for place in chosen:
            number = place + (len(self.births) - 1 - place) // self._size * self._size
            at = replace(training, lr=training.lr * self._pool.rate(number))
            index, targets = self._of_classes(self._pool.rows(number), count, *keys, number)
            found += [*self._fit([place], index, targets, at, *keys, number)]
        return found

    def _of_classes(self, rows: Tensor, count: int, *keys: int) -> tuple[Tensor, Tensor]:
        """Indices ``[count]`` of random real images of classes, as many of each, and their positions."""
        real = self._scene.real
        index = real.draw(-(-count // len(rows)), Purpose.TRAIN_NET, *keys, rows=rows)
        return index.T.flatten()[:count], upload(rows, real.device).repeat(len(index.T))[:count]

    def _fit(self, places: list[int], index: Tensor, y: Tensor, training: Training, *keys: int) -> Tensor:
        nets, momenta = [self.members[i] for i in places], [self.momenta[i] for i in places]
        x = Some(self._scene.real, index)
        return fit(nets, x, y, training, *keys, momenta=momenta, ranks=self._scene.ranks)

    def state(self) -> State:
        state = {"pushed": torch.tensor(len(self.births)), "accuracies": self.accuracies, "visits": self.visits}
        for i, (net, momentum) in enumerate(zip(self.members, self.momenta, strict=True)):
            state |= {f"{i}.{name}": value for name, value in net.state_dict().items()}
            state |= {f"momentum.{i}.{j}": value for j, value in enumerate(momentum)}
        if self._pool:
            state |= {f"pool.{name}": value for name, value in self._pool.state().items()}
        return state

    def restore(self, state: State) -> None:
        if self._pool:
            self._pool.restore(under("pool.", state))
        pushed = whole("pushed", state["pushed"].item(), 0, _MOST_PUSHED)
        while len(self.members) < min(pushed, self._size):
            self._place()
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

    def _fill(self) -> None:
        for _ in range(self._nets.start_with):
            self._push()

    def _push(self) -> None:
        """A new network, in the place of the oldest where the queue is full."""
        number = len(self.births)
        if self._pool:
            self._blank.load_state_dict(self._pool.drawn(number).state_dict())
        else:
            self._initialise(Purpose.QUEUE, self._scene.seed, number)
        place = number % self._size
        if place == len(self.members):
            self._place()
        self.members[place].load_state_dict(self._blank.state_dict())
        self.accuracies[place].zero_()
        self.visits[place].zero_()
        for momentum in self.momenta[place]:
            momentum.zero_()
        self.births.append(number)

    def _place(self) -> None:
        self.members.append(copy.deepcopy(self._blank))
        self.momenta.append(at_rest(self._blank))
