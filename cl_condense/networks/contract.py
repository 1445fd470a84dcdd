"""What condensation asks of a network: a number of classes makes it, and its features can be looked at."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from cl_condense.common.rng import Purpose, isolated
from cl_condense.networks.features import Tap

MakeNetwork = Callable[[int], nn.Module]
"""Makes an untrained network for a number of classes."""


def check_taps(network: str, taps: frozenset[Tap], known: tuple[Tap, ...] = ()) -> None:
    """Refuses what a network cannot be asked for.

    Raises:
        ValueError: for a tap that is not among the known ones.
    """
    has = f'only "{known[0]}"' if known else "nor any other"
    for tap in sorted(taps.difference(known)):
        raise ValueError(f'{network} has no tap "{tap}", {has}: an objective on "{tap}" takes ConvNet')


def make_feature_net(network: MakeNetwork, classes: int, device: torch.device) -> nn.Module:
    """A network that objectives can look into, made without touching the global generators.

    Raises:
        ValueError: for one without a ``features`` method.
    """
    with isolated(Purpose.NETWORK, device=device):  # torch's constructors draw weights
        net = network(classes).to(device).train()
    if not hasattr(net, "features"):
        raise ValueError(
            f"{type(net).__name__} has no features method: condensation looks at embeddings and maps, "
            "as ConvNet.features gives them"
        )
    return net
