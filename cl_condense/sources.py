"""Where the networks of a condensation come from."""

from __future__ import annotations

import torch
from torch import nn

from cl_condense.networks import Initialiser, MakeNet, make_feature_net


class RandomNets:
    """Untrained networks: every ``steps_per_net`` iterations the weights are drawn anew, in place.

    DM, arXiv:2110.04181: a new random network for every iteration (``steps_per_net=1``).
    """

    def __init__(
        self, make_net: MakeNet, classes: int, *, seed: int, device: torch.device, steps_per_net: int = 1
    ) -> None:
        self._net = make_feature_net(make_net, classes, device).requires_grad_(False)
        self._initialise = Initialiser(self._net)
        self._seed, self._steps = seed, steps_per_net
        self._current = -1

    def at(self, iteration: int) -> nn.Module:
        """The network of an iteration; the same one for the same iteration, whatever came before."""
        number = iteration // self._steps
        if number != self._current:
            self._initialise(self._seed, number)
            self._current = number
        return self._net
