"""Networks of every age that train on the synthetic images: FRePo's pool."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch

from cl_condense.common.checkpoint import State, under
from cl_condense.common.numbers import check_whole
from cl_condense.common.rng import Purpose, fold, permutation
from cl_condense.condensation.paper_settings import Tuned, settled
from cl_condense.condensation.sources.contract import Images, RunningSource, SampledNetwork, SourceContext
from cl_condense.condensation.sources.untrained import fit
from cl_condense.networks.contract import make_feature_net
from cl_condense.networks.init import Initialiser
from cl_condense.training.protocol import Training
from cl_condense.training.train import at_rest


@dataclass(frozen=True)
class RecycledNets:
    """A few networks, each trained on the synthetic images step by step, and then a new one (FRePo's pool).

    Each iteration looks through a random one. That one then takes a step on ``batch`` of the synthetic images
    of the moment, or on all where these are fewer; after ``updates`` steps a new random network takes its
    place. So that they have every age, network i of n begins as if after ``i * (updates // n)`` steps.

    With SGD at rate 0.01, momentum 0.9 and cross-entropy; the authors' (arXiv:2206.00719) train with Adam at
    0.0003 and on the squared error.

    Attributes:
        size: networks.
        updates: steps of each.
        batch: images of a step.

    Raises:
        ValueError: for a number below 1.
    """

    size: int | Tuned = 10
    updates: int | Tuned = 100
    batch: int | Tuned = 500

    def __post_init__(self) -> None:
        check_whole(self, "size", "updates", "batch")

    def start(self, context: SourceContext) -> RunningSource:
        return _Recycled(self, context)


class _Recycled:
    def __init__(self, nets: RecycledNets, context: SourceContext) -> None:
        real, self._context = context.real, context
        self._updates, self._batch = settled(nets.updates), settled(nets.batch)
        blank = make_feature_net(context.network, len(real.class_ids), real.device).requires_grad_(False)
        self._blank, self._initialise = blank, Initialiser(blank)
        size = settled(nets.size)
        self.ages = [i * (self._updates // size) for i in range(size)]
        self.members = [copy.deepcopy(blank) for _ in range(size)]
        self.momenta = [at_rest(blank) for _ in range(size)]
        self._drawn = 0
        for place in range(size):
            self._renew(place)

    def at(self, iteration: int) -> SampledNetwork:
        return SampledNetwork(self.members[self._place(iteration)])

    def advance(self, iteration: int, images: Images) -> None:
        place, context = self._place(iteration), self._context
        if self.ages[place] >= self._updates:
            self.ages[place] = 0
            self._renew(place)
            return
        self.ages[place] += 1
        x = images().detach()
        y = torch.arange(len(x), device=x.device).repeat_interleave(x.shape[1])
        if context.labels:
            y = context.labels().detach().flatten(0, 1)
        x = x.flatten(0, 1)
        if len(x) > self._batch:
            keys = Purpose.TRAIN_NET, context.seed, iteration
            some = permutation(len(x), *keys, device=x.device)[: self._batch]
            x, y = x[some], y[some]
        training = context.fast(Training(1, batch_size=self._batch, weight_decay=0.0, augment=None, decay=1.0))
        nets, momenta = [self.members[place]], [self.momenta[place]]
        fit(nets, x, y, training, context.seed, iteration, momenta=momenta, ranks=context.ranks)

    def state(self) -> State:
        state = {"drawn": torch.tensor(self._drawn), "ages": torch.tensor(self.ages)}
        for i, (net, momentum) in enumerate(zip(self.members, self.momenta, strict=True)):
            state |= {f"{i}.{name}": value for name, value in net.state_dict().items()}
            state |= {f"momentum.{i}.{j}": value for j, value in enumerate(momentum)}
        return state

    def restore(self, state: State) -> None:
        if len(state["ages"]) != len(self.members):
            raise ValueError(f"{len(state['ages'])} networks, not {len(self.members)}")
        self._drawn, self.ages = int(state["drawn"]), [int(age) for age in state["ages"]]
        for i, (net, momentum) in enumerate(zip(self.members, self.momenta, strict=True)):
            net.load_state_dict(under(f"{i}.", state))
            for j, own in enumerate(momentum):
                own.copy_(state[f"momentum.{i}.{j}"])

    def _place(self, iteration: int) -> int:
        """Of the network of an iteration."""
        return fold(Purpose.QUEUE, self._context.seed, iteration) % len(self.members)

    def _renew(self, place: int) -> None:
        """A new random network there."""
        self._initialise(Purpose.QUEUE, self._context.seed, self._drawn)
        self._drawn += 1
        self.members[place].load_state_dict(self._blank.state_dict())
        for momentum in self.momenta[place]:
            momentum.zero_()
