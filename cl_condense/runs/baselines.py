"""What a condensed set is worth: beside the whole training set and beside random real images.

The two numbers of DD-Ranking (Li et al., arXiv:2505.13300) for hard labels. Theirs are of the best test epoch
and the rate that is best on the test set; ours are after the last epoch, at the rate of the protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from cl_condense.common.checkpoint import Checkpoint, Checkpoints
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress
from cl_condense.common.rng import Purpose
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.imageset import ImageSet
from cl_condense.data.placing import placed
from cl_condense.data.whitening import Whitening
from cl_condense.runs.build import network_for, training_for
from cl_condense.runs.config import TrainConfig
from cl_condense.training.evaluate import OnTrained, count_right, fresh_networks, score
from cl_condense.training.shown import Shown
from cl_condense.training.train import TrainJob, train_together

WHOLE_EPOCHS = 200
"""Epochs over the whole training set, at most; those of DD-Ranking for CIFAR."""


def hard_label_recovery(whole: Sequence[float], own: Sequence[float]) -> float:
    """HLR: mean accuracy of networks trained on the whole set, less that of those on the condensed one."""
    return _mean(whole) - _mean(own)


def improvement_over_random(own: Sequence[float], random: Sequence[float]) -> float:
    """IOR: mean accuracy of networks trained on the condensed set, less that on as many random real images."""
    return _mean(own) - _mean(random)


class Parts(NamedTuple):
    """Where the parts of an evaluation go on, if anywhere, and what is told how far they are."""

    kept: Checkpoints | None = None
    name: str = ""
    on_progress: OnProgress | None = None

    def checkpoint(self, part: str = "") -> Checkpoint | None:
        """That of a part of this set's evaluation."""
        return self.kept.part(f"{self.name}{part and '-'}{part}") if self.kept else None

    def of(self, part: str) -> Json:
        """Both, for a part."""
        return {"on_progress": self.on_progress, "checkpoint": self.checkpoint(part)}


class Real:
    """The real images of a data set as sets see them: normalised, or whitened.

    Attributes:
        train, test: uint8; where they are whitened, each image is when it is taken.
    """

    def __init__(self, train: ImageSet, test: ImageSet) -> None:
        self.train, self.test = train, test
        self._whole: list[float] = []

    def seen_as(self, space: str) -> Real:
        """Those that go with the values of a set, of ``reading.SPACES``."""
        return self._whitened if space == "whitened" else self

    @cached_property
    def _whitened(self) -> Real:
        whitening = Whitening.of(self.train)
        return Real(whitening.of_set(self.train), whitening.of_set(self.test))

    def beside(
        self, made: CondensedSet, own: Sequence[float], config: TrainConfig, device: str, parts: Parts
    ) -> Json:
        """What a record says: HLR, IOR and the accuracies that they come from, as shares.

        Those of a set of soft labels go by its hard ones, as DD-Ranking's do, for which networks train again.
        """
        more: Json = {}
        if "soft" in made.stored:
            hard = replace(made, stored={k: v for k, v in made.stored.items() if k != "soft"})
            own = more["hard"] = _listed(reached(hard, self.test, config, device, **parts.of("hard")))
        random = _listed(on_random_images(made, self.train, self.test, config, device, **parts.of("random")))
        epochs = min(config.epochs, WHOLE_EPOCHS)
        if not self._whole:  # once for all sets
            whole, shared = replace(config, epochs=epochs), parts._replace(name="all")
            self._whole = _listed(reached(self.train, self.test, whole, device, **shared.of("whole")))
        return {
            "hlr": round(hard_label_recovery(self._whole, own), 6),
            "ior": round(improvement_over_random(own, random), 6),
            "random": random,
            "whole": self._whole,
            "whole_epochs": epochs,
            **more,
        }


def reached(
    made: CondensedSet | ImageSet,
    test: ImageSet,
    config: TrainConfig,
    device: str,
    *,
    on_progress: OnProgress | None = None,
    checkpoint: Checkpoint | None = None,
    on_trained: OnTrained | None = None,
) -> Tensor:
    """Accuracies of networks trained on a set, with its soft labels where it has some, or on real images.

    Test images are normalised as those of the set are: a published one may do it in another way.
    """
    images: Shown
    if isinstance(made, ImageSet):
        images, labels = placed(made, device), made.labels
    else:
        decoded, labels = made.to_train()
        images = decoded.to(device)
    return score(
        images,
        labels.to(device),
        replace(placed(test, device), mean=made.mean, std=made.std),
        network=network_for(config, test.shape),
        training=training_for(config),
        networks=config.networks,
        keys=(config.seed,),
        on_progress=on_progress,
        checkpoint=checkpoint,
        on_trained=on_trained,
    )


def on_random_images(
    made: CondensedSet,
    train: ImageSet,
    test: ImageSet,
    config: TrainConfig,
    device: str,
    *,
    on_progress: OnProgress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Tensor:
    """Accuracies of networks, each trained on its own draw of as many real images a class as are stored."""
    test = replace(placed(test, device), mean=train.mean, std=train.std)
    network, ids = network_for(config, test.shape), torch.tensor(test.class_ids)
    nets = fresh_networks(lambda: network(len(ids)), config.networks, keys=(config.seed,), device=device)
    jobs = []
    for number, net in enumerate(nets):
        rows = drawn(made, train, config.seed, number)
        targets = torch.searchsorted(ids, train.labels[rows].cpu()).to(device)
        jobs.append(TrainJob([net], train.take(rows).to(device), targets, (config.seed, number)))
    train_together(jobs, training_for(config), on_progress, checkpoint)
    return count_right(nets, test, test.every(), compiled=config.compiled, on_progress=on_progress) / len(test)


def drawn(made: CondensedSet, train: ImageSet, seed: int, number: int) -> Tensor:
    """Rows of random training images, of each class as many as the set stores."""
    rows = train.draw(max(made.counts), Purpose.SELECT, seed, number, 1)
    place = {label: i for i, label in enumerate(train.class_ids)}
    return torch.cat([rows[place[c], :n] for c, n in zip(made.class_ids, made.counts, strict=True)])


def said(found: Json) -> str:
    """What ``Real.beside`` found, for people."""
    whole, random = (spread(found[key]).replace(" (", ", ").rstrip(")") for key in ("whole", "random"))
    hard = f", by hard labels, which give {spread(found['hard'])}" if "hard" in found else ""
    return (
        f"HLR {100 * found['hlr']:.1f} points (whole set {whole}), "
        f"IOR {100 * found['ior']:.1f} points (random images {random}){hard}"
    )


def spread(accuracies: Sequence[float]) -> str:
    """Mean ± std (n) in percent."""
    found = torch.tensor(accuracies, dtype=torch.float64)
    return f"{100 * found.mean():.1f} ± {100 * found.std(correction=0):.1f} % (n = {len(found)})"


def _mean(accuracies: Sequence[float]) -> float:
    return sum(accuracies) / len(accuracies)


def _listed(accuracies: Tensor) -> list[float]:
    return [round(a, 6) for a in accuracies.tolist()]
