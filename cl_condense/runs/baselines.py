"""What a condensed set is worth: beside the whole training set and beside random real images.

The two numbers of DD-Ranking (Li et al., arXiv:2505.13300) for hard labels. Theirs are of the best test epoch
and the rate that is best on the test set; ours are after the last epoch, at the rate of the protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from cl_condense.common.checkpoint import Checkpoint
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress
from cl_condense.common.rng import Purpose
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.imageset import ImageSet
from cl_condense.runs.build import network_for, training_for
from cl_condense.runs.config import TrainConfig
from cl_condense.training.evaluate import count_right, fresh_networks, score
from cl_condense.training.train import TrainJob, train_together

WHOLE_EPOCHS = 200
"""Epochs over the whole training set, at most; those of DD-Ranking for CIFAR."""


def hard_label_recovery(whole: Sequence[float], own: Sequence[float]) -> float:
    """HLR: mean accuracy of networks trained on the whole set, less that of those on the condensed one."""
    return _mean(whole) - _mean(own)


def improvement_over_random(own: Sequence[float], random: Sequence[float]) -> float:
    """IOR: mean accuracy of networks trained on the condensed set, less that on as many random real images."""
    return _mean(own) - _mean(random)


def whole_set(
    train: ImageSet,
    test: ImageSet,
    config: TrainConfig,
    *,
    on_progress: OnProgress | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[float]:
    """Accuracies of networks trained on all training images, in at most ``WHOLE_EPOCHS`` epochs."""
    config = replace(config, epochs=min(config.epochs, WHOLE_EPOCHS))
    train = train.to(test.device)
    found = score(
        train.take(torch.arange(len(train), device=train.device)),
        train.labels,
        replace(test, mean=train.mean, std=train.std),
        network=network_for(config, test.shape),
        training=training_for(config),
        networks=config.networks,
        keys=(config.seed,),
        on_progress=on_progress,
        checkpoint=checkpoint,
    )
    return [round(a, 6) for a in found.tolist()]


def random_images(
    made: CondensedSet,
    train: ImageSet,
    test: ImageSet,
    config: TrainConfig,
    *,
    on_progress: OnProgress | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[float]:
    """Accuracies of networks, each trained on its own draw of as many real images a class as are stored."""
    test = replace(test, mean=train.mean, std=train.std)
    network, ids = network_for(config, test.shape), torch.tensor(test.class_ids)
    nets = fresh_networks(lambda: network(len(ids)), config.networks, keys=(config.seed,), device=test.device)
    jobs = []
    for number, net in enumerate(nets):
        rows = drawn(made, train, config.seed, number)
        images = train.take(rows).to(test.device)
        targets = torch.searchsorted(ids, train.labels[rows].cpu()).to(test.device)
        jobs.append(TrainJob([net], images, targets, (config.seed, number)))
    train_together(jobs, training_for(config), on_progress, checkpoint)
    rows = torch.arange(len(test), device=test.device)
    right = count_right(nets, test, rows, compiled=config.compiled, on_progress=on_progress)
    return [round(a, 6) for a in (right / len(test)).tolist()]


def drawn(made: CondensedSet, train: ImageSet, seed: int, number: int) -> Tensor:
    """Rows of random training images, of each class as many as the set stores."""
    rows = train.draw(max(made.counts), Purpose.SELECT, seed, number, 1)
    place = {label: i for i, label in enumerate(train.class_ids)}
    return torch.cat([rows[place[c], :n] for c, n in zip(made.class_ids, made.counts, strict=True)])


def beside(own: Sequence[float], random: Sequence[float], whole: Sequence[float], epochs: int) -> Json:
    """What a record says of them; accuracies are shares, as its own."""
    return {
        "hlr": round(hard_label_recovery(whole, own), 6),
        "ior": round(improvement_over_random(own, random), 6),
        "random": list(random),
        "whole": list(whole),
        "whole_epochs": min(epochs, WHOLE_EPOCHS),
    }


def said(found: Json) -> str:
    """The same for people."""
    whole, random = (spread(found[key]) for key in ("whole", "random"))
    hard = f"; by hard labels {spread(found['hard'])}" if "hard" in found else ""
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
