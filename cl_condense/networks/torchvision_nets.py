"""torchvision's classifiers by name, untrained, such as ``torchvision:resnet18``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision import models

from cl_condense.common.foreign import reason
from cl_condense.common.plain import Json
from cl_condense.common.suggest import hint
from cl_condense.networks.contract import Features, MakeNetwork, Tap, check_taps

PREFIX = "torchvision:"
_WITHOUT_AUX: Json = {"aux_logits": False, "init_weights": True}
_OPTIONS: dict[str, Json] = {
    "googlenet": _WITHOUT_AUX,
    "inception_v3": _WITHOUT_AUX,
}  # else they answer with several logits


def names() -> Sequence[str]:
    """What there is, with the prefix."""
    return [PREFIX + name for name in models.list_models(module=models)]


def check_name(name: str) -> None:
    """Raises ValueError for what torchvision does not have, with the nearest."""
    own, known = name.removeprefix(PREFIX), models.list_models(module=models)
    if own not in known:
        listed = "torchvision.models.list_models(module=torchvision.models) lists them"
        raise ValueError(f"unknown network of torchvision {own[:80]!r}: {hint(own, known)}{listed}")


class TorchvisionNet(nn.Module):
    """A classifier of torchvision, in ``net``, for images ``[n, c, h, w]`` of one channel or three.

    Grey images go in three times, since its first layer wants colour. Its weights are its own distributions,
    which ``reset_parameters`` draws from torch's generator. The embedding is what the last linear layer sees.
    """

    draws_all = True  # for ``Initialiser``

    def __init__(self, name: str, classes: int) -> None:
        super().__init__()
        self._name, self._classes = name, classes
        self.net = self._made()

    def reset_parameters(self) -> None:
        """Draws all weights anew, in place."""
        self.net.load_state_dict(self._made().state_dict())

    def features(self, x: Tensor, taps: frozenset[Tap] = frozenset()) -> Features:
        """Features of images; no maps.

        Raises:
            ValueError: for a tap, and for a network without a linear layer.
        """
        check_taps(f"{PREFIX}{self._name}", taps)
        last = [module for module in self.net.modules() if isinstance(module, nn.Linear)][-1:]
        if not last:
            raise ValueError(
                f"{PREFIX}{self._name} has no linear layer that sees an embedding: take another network"
            )
        seen: list[Tensor] = []
        with _watching(last[0], seen):
            logits = self(x)
        return Features(seen[-1].flatten(1), logits)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[n, classes]``."""
        out: Tensor = self.net(x.expand(-1, 3, -1, -1))
        return out

    def _made(self) -> nn.Module:
        def make() -> nn.Module:
            options = _OPTIONS.get(self._name, {})
            made: nn.Module = models.get_model(self._name, weights=None, num_classes=self._classes, **options)
            return made

        try:
            return make()
        except (RuntimeError, NotImplementedError):
            if torch.get_default_device().type != "meta":
                raise
        with torch.device("cpu"):  # a RegNet counts its channels with tensors, which have to have values
            return make().to("meta")


@dataclass(frozen=True)
class MakeTorchvision:
    """A classifier of torchvision for images of one shape, as a ``MakeNetwork`` that can be pickled."""

    shape: tuple[int, int, int]
    name: str

    def __call__(self, classes: int) -> TorchvisionNet:
        return TorchvisionNet(self.name, classes)


def torchvision_network(name: str, shape: tuple[int, int, int]) -> MakeNetwork:
    """The maker of a network ``torchvision:NAME``.

    Raises:
        ValueError: for a name that torchvision does not have, and images that do not go through it.
    """
    check_name(name)
    make = MakeTorchvision(shape, name.removeprefix(PREFIX))
    channels, high, wide = shape
    fault = "it takes 1 or 3 channels" if channels not in (1, 3) else ""
    if not fault:
        try:
            with torch.device("meta"), torch.no_grad():  # no weights are drawn, and nothing is computed
                make(2).eval()(torch.empty(1, *shape))
        except (RuntimeError, ValueError, AssertionError) as error:
            fault = reason(error)
    if fault:
        of = f"{name} does not fit images of {channels} x {high} x {wide}"
        raise ValueError(f"{of} ({fault}): bring them to another size, such as 224, or take another network")
    return make


@contextmanager
def _watching(module: nn.Module, seen: list[Tensor]) -> Iterator[None]:
    """Inside, what goes into a module is noted."""
    hook = module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield
    finally:
        hook.remove()
