"""How far the style of condensed images is from that of real ones (DDM, arXiv:2412.04748, fig. 1a)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from cl_condense.networks.contract import Tap
from cl_condense.reports.html.probe import Probe

MEASURES = ("channel means", "channel standard deviations", "Gram matrices")
_MAPS = frozenset[Tap]({"maps"})
_PART = 256


class Style(NamedTuple):
    """Of k classes in a layer of C channels: means and deviations ``[k, C]``, Gram matrices ``[k, C, C]``."""

    means: Tensor
    deviations: Tensor
    grams: Tensor


def styles(probe: Probe, images: Iterable[Tensor]) -> list[Style]:
    """The style of each class in every block of the network, on the maps after ReLU.

    Channel means and standard deviations over the positions of an image and Gram matrices F F^T / (C N) of its
    maps, each averaged over the images of the class: what DDM's losses (eq. 4 to 6) match.

    Args:
        probe: the network.
        images: of each class ``[m, c, h, w]``, normalised.
    """
    classes = []
    for own in images:
        layers = zip(*(_sums(probe, part) for part in own.split(_PART)), strict=True)
        classes.append([[sum(x) / len(own) for x in zip(*layer, strict=True)] for layer in layers])
    return [Style(*map(torch.stack, zip(*layer, strict=True))) for layer in zip(*classes, strict=True)]


def _sums(probe: Probe, images: Tensor) -> list[Style]:
    """Sums over the images of a class, for each layer."""
    sums = []
    for maps in probe.features(images, _MAPS).maps:
        f = maps.flatten(2)
        grams = f @ f.transpose(1, 2) / f[0].numel()
        sums.append(Style(f.mean(2).sum(0), f.std(2, correction=0).sum(0), grams.sum(0)))
    return sums


def style_drift(real: list[Style], syn: list[Style]) -> list[list[float]]:
    """Relative distance of the styles, ``[3][layers]``: of means, standard deviations and Gram matrices.

    The mean over classes of |s_syn - s_real| / |s_real|, so that layers compare. DDM shows the channel
    means and standard deviations of real and condensed images in a trained network (fig. 1a), which its text
    does not define further, and matches Gram matrices besides. A drift of 0 is not to be had: as many other
    real images have one too, which belongs beside it.
    """
    drift = []
    for kind in range(3):
        gaps = [
            (s[kind] - r[kind]).flatten(1).norm(dim=1) / r[kind].flatten(1).norm(dim=1).clamp_min(1e-12)
            for r, s in zip(real, syn, strict=True)
        ]
        drift.append([float(gap.double().mean()) for gap in gaps])
    return drift
