"""The networks of a pool at work: their training, which can be interrupted, their file, and the draws."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from cl_condense.common.checkpoint import State, under
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.rng import Purpose, fold, uniform
from cl_condense.condensation.paper_settings import Tuned, settled
from cl_condense.condensation.sources.contract import Images, SampledNetwork, SourceContext
from cl_condense.condensation.sources.pool_file import PoolFile
from cl_condense.condensation.sources.untrained import own_of, trainers
from cl_condense.networks.contract import MakeNetwork, make_feature_net
from cl_condense.networks.init import Initialiser
from cl_condense.training.protocol import Training
from cl_condense.training.train import Together, TrainJob

STAGE = "training a pool of networks"
"""The stage of its progress."""


class Pool(Protocol):
    """What pools have in common, as settings."""

    @property
    def size(self) -> int | Tuned: ...

    @property
    def seed(self) -> int: ...

    every_epoch: ClassVar[bool]
    """Whether networks are kept before their first epoch and after every one."""

    def training(self) -> Training:
        """How its networks train; settled."""
        ...

    def network(self, context: SourceContext) -> MakeNetwork:
        """What they are."""
        ...


@runtime_checkable
class Pooling(Protocol):
    """Settings of a source that may have a pool, which is kept in a file."""

    def pool(self) -> Pool | None:
        """The pool; None where it has none."""
        ...


def pools_of(sources: Iterable[object]) -> list[Pool]:
    """The pools of some sources of networks."""
    found = [source.pool() for source in sources if isinstance(source, Pooling)]
    return [pool for pool in found if pool]


def file_of(pool: Pool, context: SourceContext) -> PoolFile | None:
    """Where a pool is kept; None where it is not."""
    size, training = settled(pool.size), context.fast(pool.training())
    return PoolFile.of(context, pool.network(context), training, size, pool.seed, every_epoch=pool.every_epoch)


class Idle:
    """What ``Together`` is for a rank that has no network to train: it keeps step."""

    def __init__(self, epochs: int, batches: int) -> None:
        self._epochs, self._batches, self._done = epochs, batches, 0

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None:
        """Goes on in step with the ranks whose training it is."""
        self._done = int(state["0.done"])

    def run(self) -> Iterator[Progress]:
        """As often as the others."""
        while self._done < self._epochs * self._batches:
            self._done += 1
            yield Progress("training", self._done / self._batches, self._epochs, unit="epochs")


class Pooled:
    """The networks of a pool: trained side by side before the first is wanted, or taken from a file.

    Ranks train some of them each, in step.

    Attributes:
        members: the trained ends; empty before they are there. With ``every_epoch`` all that is kept of each
            network, network by network.
    """

    def __init__(self, pool: Pool, context: SourceContext, *, blended: bool, steps: int = 1) -> None:
        self._pool, self._scene, self._size, self._steps = pool, context, settled(pool.size), steps
        self._ranks = context.ranks
        self._training, self._make = context.fast(pool.training()), pool.network(context)
        self._blank = self._net()
        self._blend = copy.deepcopy(self._blank) if blended else None
        self._initialise = Initialiser(self._blank)
        self._starts: dict[int, list[Tensor]] = {}
        self.members: list[nn.Module] = []
        self._nets: list[nn.Module] = []  # in training
        self._every = self._training.epochs if pool.every_epoch else 0
        self._past: list[list[nn.Module]] = []  # what these were, epoch by epoch
        self._owners = [0] * self._size  # the ranks that train them
        self._work: Together | Idle | None = None
        self._file: PoolFile | None = None  # where the members are kept, so that the state does without them

    def prepare(self, on_progress: OnProgress) -> None:
        if self.members:
            return
        file = self._ranks.leads and file_of(self._pool, self._scene)
        found = self._blanks()
        if self._ranks.once(lambda: bool(file and file.load(found))):
            self.members, self._work, self._file = found, None, file or None
            self._spread([0] * self._size)
            return
        self._work = self._work or self._begin()
        with torch.enable_grad():
            for progress in self._work.run():
                if self._every and float(progress.done).is_integer() and progress.done < self._every:
                    self._past.append(self._copies())
                on_progress(progress._replace(stage=STAGE))
        self._end()
        self._spread(self._owners)
        if file:
            file.keep(self.members)
            self._file = file

    def at(self, iteration: int) -> SampledNetwork:
        self.prepare(lambda progress: None)
        turn, age = divmod(iteration, self._steps)
        number = fold(Purpose.POOL, self._scene.seed, turn) % self._size
        trained = self.members[number]
        if self._blend is None:
            return SampledNetwork(trained, age, trained=trained)
        share = float(uniform(Purpose.POOL, self._scene.seed, turn, 1))
        between = torch._foreach_lerp(list(trained.parameters()), self._start(number), share)
        torch._foreach_copy_(list(self._blend.parameters()), between)
        return SampledNetwork(self._blend, age, trained=trained)

    def advance(self, iteration: int, images: Images) -> None:
        pass

    def state(self) -> State:
        """Of the training, while it goes on; then the networks, unless a file has them."""
        if self._work:
            whole = self._ranks.union({**self._work.state(), **self._epochs_before()})
            return {f"training.{name}": value for name, value in whole.items()}
        kept = [] if self._file else self.members
        return {f"{i}.{k}": value for i, net in enumerate(kept) for k, value in net.state_dict().items()}

    def restore(self, state: State) -> None:
        self.members, self._work, self._file = [], None, None
        if training := under("training.", state):
            self._work = self._begin()
            self._work.restore(training)
            while own := under(f"past.{len(self._past)}.", training):
                self._past.append(self._copies())
                for i, net in enumerate(self._past[-1]):
                    net.load_state_dict(under(f"{i}.", own))
        elif state:
            self.members = self._blanks()
            for i, net in enumerate(self.members):
                net.load_state_dict(under(f"{i}.", state))

    def _net(self) -> nn.Module:
        real = self._scene.real
        return make_feature_net(self._make, len(real.class_ids), real.device).requires_grad_(False)

    def _blanks(self) -> list[nn.Module]:
        return [copy.deepcopy(self._blank) for _ in range(self._size * (self._every + 1))]

    def _copies(self) -> list[nn.Module]:
        """Of the networks in training as they are."""
        found = [copy.deepcopy(self._blank) for _ in self._nets]
        for own, net in zip(found, self._nets, strict=True):
            own.load_state_dict(net.state_dict())
        return found

    def _epochs_before(self) -> State:
        """What the networks that this rank trains were."""
        own = own_of(self._owners, self._ranks)
        each = ((e, i, nets[i].state_dict()) for e, nets in enumerate(self._past) for i in own)
        return {f"past.{e}.{i}.{name}": value for e, i, net in each for name, value in net.items()}

    def _begin(self) -> Together | Idle:
        """Training from the start."""
        real, self._nets = self._scene.real, []
        for number in range(self._size):
            self._initialise(Purpose.POOL, self._pool.seed, number)
            self._nets.append(copy.deepcopy(self._blank).requires_grad_(True))
        self._past = [self._copies()] if self._every else []
        keys = (Purpose.TRAIN_NET, Purpose.POOL, self._pool.seed)
        self._owners = trainers(self._nets, real, self._ranks)
        own = own_of(self._owners, self._ranks)
        if not own:
            return Idle(self._training.epochs, -(-len(real) // self._training.batch_size))
        return Together([TrainJob(self._nets, real, real.targets, keys).only(own)], self._training)

    def _spread(self, owners: list[int]) -> None:
        for number, net in enumerate(self.members):
            owner = owners[number // (self._every + 1)]
            self._ranks.spread([*net.state_dict().values()], owner)

    def _end(self) -> None:
        each = [*zip(*self._past, self._nets, strict=True)]
        self.members = [net for own in each for net in own]
        for net in self.members:
            net.requires_grad_(False)
            net.zero_grad()  # gradients would take as much memory as the networks
        self._nets, self._past, self._work = [], [], None

    def _start(self, number: int) -> list[Tensor]:
        """The initial end of a network."""
        if number not in self._starts:
            self._initialise(Purpose.POOL, self._pool.seed, number)
            self._starts[number] = [p.detach().clone() for p in self._blank.parameters()]
        return self._starts[number]
