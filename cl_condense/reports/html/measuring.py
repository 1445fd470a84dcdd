"""What a report measures on a condensed set and its real images, kept beside the set."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from cl_condense.common.devices import device_name
from cl_condense.common.files import atomic, content_hash
from cl_condense.common.foreign import read_object
from cl_condense.common.progress import Progress
from cl_condense.common.rng import Purpose, permutation
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.reports.html import tsne
from cl_condense.reports.html.consistency import NEIGHBOURS, consistency_ratio
from cl_condense.reports.html.drift import style_drift, styles
from cl_condense.reports.html.probe import SEED, Probe
from cl_condense.reports.html.results import FAULTS

_FORMAT = "cl-condense figures 1"
_STYLE = 5_000  # real images, in all, whose style is that of their classes
_REFERENCE = 1_000  # real images whose neighbours are looked at


@dataclass(frozen=True)
class Measured:
    """Numbers behind the figures of a set; lists, so that they are JSON.

    Attributes:
        real, syn: t-SNE places of images of the first classes, ``[n][2]``, with the position of the class of
            each in ``real_classes`` and ``syn_classes``.
        neighbours: values of k, with ``consistency`` of the set and of real images for each.
        drift: ``[3][layers]``, and ``real_drift`` that of as many other real images; empty where too few are
            left for it.
        network: what they were seen through, and its ``accuracy`` on the test images, 0 to 1.
        device, seconds: where, and how long it took, without the network.
    """

    real: list[list[float]]
    real_classes: list[int]
    syn: list[list[float]]
    syn_classes: list[int]
    neighbours: list[int]
    consistency: list[float]
    real_consistency: list[float]
    drift: list[list[float]]
    real_drift: list[list[float]]
    network: str
    accuracy: float
    device: str
    seconds: float


def measure(path: Path, made: CondensedSet, probe: Probe, data: str) -> Measured:
    """The numbers of a set in a file, from beside it where they are there already.

    Args:
        path: of the set.
        made: what is in it; its classes and normalisation are those of the real images.
        probe: the network to look through.
        data: fingerprint of the real images.
    """
    beside = path.with_suffix(".figures.json")
    identity = {
        "format": _FORMAT,
        "set": content_hash(path),
        "data": data,
        "network": probe.words,
        "device": probe.real.device.type,
    }
    with suppress(*FAULTS):  # absent, damaged or of another set: measured again
        found = read_object(beside, "figures", "remove it")
        if found.pop("identity") == identity:
            return Measured(**found)
    measured = _measure(made, probe)
    text = json.dumps({"identity": identity, **asdict(measured)})
    with suppress(OSError), atomic(beside) as temporary:  # a folder that cannot be written to can be read
        temporary.write_text(text, "utf-8")
    return measured


def _measure(made: CondensedSet, probe: Probe) -> Measured:
    (real, classes), accuracy = probe.seen, probe.accuracy  # all sets of the data share them
    begun, device = time.perf_counter(), probe.real.device
    images, labels = (x.to(device) for x in made.decode())
    targets = torch.searchsorted(torch.tensor(made.class_ids, device=device), labels)
    embedded = probe.embedding(images)
    probe.on_progress(Progress("measuring a set", 1, 4))
    rows = permutation(len(real), Purpose.SELECT, SEED, device=device)[:_REFERENCE]
    ratios = consistency_ratio(embedded, targets, real, classes)
    others = consistency_ratio(real[rows], classes[rows], real, classes, rows=rows)
    probe.on_progress(Progress("measuring a set", 2, 4))
    drift, real_drift = _drifts(images, made, probe)
    probe.on_progress(Progress("measuring a set", 3, 4))
    shown, behind = _first(targets, tsne.SYN), _first(classes, tsne.REAL)
    places, real_places = tsne.tsne(embedded[shown], real[behind])
    probe.on_progress(Progress("measuring a set", 4, 4))
    return Measured(
        real=real_places.tolist(),
        real_classes=classes[behind].tolist(),
        syn=places.tolist(),
        syn_classes=targets[shown].tolist(),
        neighbours=list(NEIGHBOURS),
        consistency=ratios,
        real_consistency=others,
        drift=drift,
        real_drift=real_drift,
        network=probe.words,
        accuracy=accuracy,
        device=device_name(str(device)),
        seconds=round(time.perf_counter() - begun, 3),
    )


def _drifts(images: Tensor, made: CondensedSet, probe: Probe) -> tuple[list[list[float]], list[list[float]]]:
    """Style drift of the set from real images, and that of as many other real images as its smallest class."""
    own = images.split([n * made.factor**2 for n in made.counts])
    real, fewest = probe.real, min(probe.real.counts)
    each = max(1, min(_STYLE // len(real.class_ids), fewest // 2))
    many = min(map(len, own))
    drawn = real.draw(min(each + many, fewest), Purpose.SELECT, SEED)
    target = styles(probe, map(real.take, drawn[:, :each]))
    drift = style_drift(target, styles(probe, own))
    if drawn.shape[1] < each + many:
        return drift, []
    return drift, style_drift(target, styles(probe, map(real.take, drawn[:, each:])))


def _first(targets: Tensor, most: int) -> Tensor:
    """Where the first images of the first classes are."""
    return torch.cat([(targets == i).nonzero()[:most, 0] for i in range(tsne.CLASSES)])
