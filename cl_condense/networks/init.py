"""Weights from a key: a network drawn anew, in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from cl_condense.common.devices import upload
from cl_condense.common.draws import Draws, how_many
from cl_condense.common.kinds import check_kind
from cl_condense.common.rng import Key, Purpose, bits, centred, isolated

_FAN_IN_LAYERS = (nn.modules.conv._ConvNd, nn.Linear)
_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


class _Resettable(Protocol):
    """A module that draws its own weights."""

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def reset_parameters(self) -> None: ...


class Initialiser:
    """Draws a network's weights anew, in place, from integer keys.

    The distributions are torch's defaults, which the published code uses: U(-b, b) with b = 1 / sqrt(fan in)
    for weights and biases of linear and convolution layers, 1 and 0 for norms. Unlike torch's own
    initialisation the numbers depend on the keys alone: not on the device, the global generator or what was
    drawn before. Layers of other kinds use their ``reset_parameters`` with a seed made of the keys, and so does
    a whole network that says ``draws_all``.

    Args:
        net: the network.
        ahead: the last key counts up from call to call; on a GPU weights of the next calls are drawn too.

    Raises:
        ValueError: for a layer with parameters and no ``reset_parameters``.
    """

    def __init__(self, net: nn.Module, *, ahead: bool = False) -> None:
        check_kind("network", net, nn.Module, "a torch.nn.Module")
        self._drawn: list[Tensor] = []
        self._others: list[_Resettable] = []
        bounds, norms = [], []
        whole = getattr(net, "draws_all", False)
        if whole:
            self._others.append(cast(_Resettable, net))
        for name, module in () if whole else net.named_modules():
            own = list(module.parameters(recurse=False))
            if isinstance(module, _FAN_IN_LAYERS):
                self._drawn += own
                bounds += [module.weight[0].numel() ** -0.5] * len(own)
            elif isinstance(module, _NORMS):
                norms.append(module)
            elif own and not hasattr(module, "reset_parameters"):
                raise ValueError(
                    f"cannot draw new weights for {name or 'the network'} ({type(module).__name__}): "
                    "give it a reset_parameters method"
                )
            elif own:
                self._others.append(cast(_Resettable, module))
        self._sizes = [p.numel() for p in self._drawn]
        if self._drawn:
            device = self._drawn[0].device
            sizes = torch.tensor(self._sizes, device=device)
            # Each parameter counts from 0, so that more classes change no weights but the classifier's.
            self._numbers = torch.arange(len(sizes), device=device).repeat_interleave(sizes)
            self._slots = torch.cat([torch.arange(n, device=device) for n in self._sizes])
            self._steps = (torch.tensor(bounds, device=device) * 2.0**-23).repeat_interleave(sizes)
            self._flat = Draws(self._draw, how_many(sum(self._sizes), device) if ahead else 1)
        self._constant = _reset(norms)

    @torch.no_grad()
    def __call__(self, *keys: int) -> None:
        """Overwrites every parameter with the draw of these keys."""
        parts: list[Tensor] = []
        if self._drawn:
            flat = self._flat(*keys).split(self._sizes)
            parts = [v.view_as(p) for v, p in zip(flat, self._drawn, strict=True)]
        copies = [*zip(self._drawn, parts, strict=True), *self._constant]
        for dtype in {own.dtype for own, _ in copies}:  # of one type all are one operation
            alike = [pair for pair in copies if pair[0].dtype == dtype]
            torch._foreach_copy_([own for own, _ in alike], [new for _, new in alike])
        if self._others:
            with isolated(Purpose.NETWORK, *keys, device=next(self._others[0].parameters()).device):
                for module in self._others:
                    module.reset_parameters()

    def _draw(self, *keys: Key) -> Tensor:
        """All weights one after another, a row for each of the last key ``[n, ...]``."""
        *before, numbers = keys
        starts = bits(Purpose.NETWORK, *before, cast(Tensor, numbers)[:, None], torch.arange(len(self._drawn)))
        start = upload(starts, self._numbers.device)[:, self._numbers]
        return centred(self._slots, start=start) * self._steps


@torch.no_grad()
def _reset(norms: Sequence[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    """Parameters and statistics of norms, each with what resetting makes of it; they stay what they are."""
    found = [x for norm in norms for x in (*norm.parameters(recurse=False), *norm.buffers(recurse=False))]
    before = [x.clone() for x in found]
    for norm in norms:
        cast(_Resettable, norm).reset_parameters()
    pairs = [(x, x.clone()) for x in found]
    for x, old in zip(found, before, strict=True):
        x.copy_(old)
    return pairs
