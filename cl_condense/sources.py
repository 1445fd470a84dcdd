"""Where the networks of a condensation come from: what a source is, and the untrained ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from cl_condense.augment import DSA
from cl_condense.draws import Purpose
from cl_condense.features import Precision
from cl_condense.imageset import ImageSet
from cl_condense.networks import Initialiser, MakeNet, make_feature_net
from cl_condense.numbers import whole
from cl_condense.protocols import Training
from cl_condense.training import Momentum, train

Images = Callable[[], Tensor]
"""The synthetic images ``[k, m, c, h, w]`` of the moment, decoded."""


State = dict[str, Tensor]
"""What a condensation, or the networks of one, depend on from here on, by name."""


class Scene(NamedTuple):
    """What networks may be made from and trained on, and how."""

    real: ImageSet
    make_net: MakeNet
    augment: DSA
    seed: int
    precision: Precision = "float32"
    compiled: bool = False

    def fast(self, training: Training) -> Training:
        """A protocol at the precision of the scene, compiled where it is."""
        return replace(training, precision=self.precision, compiled=self.compiled)


class Look(NamedTuple):
    """The network of an iteration.

    Attributes:
        net: its weights take no gradients.
        age: iterations since this network came; 0 where networks take turns.
        accuracy: on real images, 0 to 1; None where the source does not know it.
    """

    net: nn.Module
    age: int = 0
    accuracy: Tensor | None = None


class Source(Protocol):
    """The networks of one condensation."""

    def at(self, iteration: int) -> Look:
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


class Nets(Protocol):
    """A kind of source, as settings."""

    def start(self, scene: Scene) -> Source:
        """The source of one condensation."""
        ...


class Redrawn:
    """One network whose weights are drawn anew, in place, and that may be trained in between."""

    def __init__(self, scene: Scene) -> None:
        self.net = make_feature_net(scene.make_net, len(scene.real.class_ids), scene.real.device)
        self._initialise = Initialiser(self.net.requires_grad_(False))
        self._seed, self._number, self._age = scene.seed, -1, 0

    def draw(self, number: int) -> Look:
        """The network of this number: drawn when the number changes."""
        self._age += 1
        if number != self._number:
            self._initialise(self._seed, number)
            self._number, self._age = number, 0
        return Look(self.net, self._age)

    def state(self) -> State:
        numbers = {"number": torch.tensor(self._number), "age": torch.tensor(self._age)}
        return numbers | {f"net.{name}": value for name, value in self.net.state_dict().items()}

    def restore(self, state: State) -> None:
        self.net.load_state_dict({k[4:]: v for k, v in state.items() if k.startswith("net.")})
        self._number, self._age = int(state["number"]), int(state["age"])

    def fit(self, images: Tensor, training: Training, *keys: int) -> None:
        """Trains it on synthetic images ``[k, m, c, h, w]``."""
        targets = torch.arange(len(images), device=images.device).repeat_interleave(images.shape[1])
        fit([self.net], images.detach().flatten(0, 1), targets, training, self._seed, *keys)


def fit(
    nets: list[nn.Module],
    x: Tensor,
    y: Tensor,
    training: Training,
    *keys: int,
    momenta: Sequence[Momentum] = (),
) -> Tensor:
    """Trains networks whose weights otherwise take no gradients; their accuracy in the last epoch, ``[r]``."""
    for net in nets:
        net.requires_grad_(True)
    with torch.enable_grad():
        accuracy = train(nets, x, y, training, keys=(Purpose.TRAIN_NET, *keys), momenta=momenta)
    for net in nets:
        net.requires_grad_(False)
        net.zero_grad()  # gradients would take as much memory as the networks
    return accuracy


@dataclass(frozen=True)
class RandomNets:
    """Untrained networks, each kept for ``steps`` iterations.

    DM, arXiv:2110.04181: a new random network for every iteration. M3D's "iterations per model" are 5.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", whole("steps", self.steps))

    def start(self, scene: Scene) -> Source:
        return _Random(self, Redrawn(scene))


class _Random:
    def __init__(self, nets: RandomNets, redrawn: Redrawn) -> None:
        self._steps, self._redrawn = nets.steps, redrawn
        self.state, self.restore = redrawn.state, redrawn.restore

    def at(self, iteration: int) -> Look:
        return self._redrawn.draw(iteration // self._steps)

    def advance(self, iteration: int, images: Images) -> None:
        pass
