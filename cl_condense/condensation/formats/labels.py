"""Labels of files of others: hard, one-hot, soft, or none where images go by class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cl_condense.condensation.formats.reading import Note
from cl_condense.data.class_names import Classes

_CLOSE = 1e-3  # of sums of probabilities that were rounded


@dataclass(frozen=True)
class Labels:
    """The class of each image, ``[n]`` int64, and where it has one its probabilities ``[n, k]`` float32."""

    hard: Tensor
    soft: Tensor | None = None


def told(labels: Tensor | None, n: int, classes: Classes | None) -> tuple[Labels, tuple[Note, ...]]:
    """What the labels of a file say; ``classes`` are those of the data set, if it is known.

    Raises:
        ValueError: for what are no labels of n images, or of other classes.
    """
    if labels is None:
        return Labels(_class_major(n, classes)), (Note("labels", "class-major", "assumed"),)
    if labels.is_complex():
        raise ValueError(f"labels of type {labels.dtype}: give whole numbers from 0")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 2:
        return Labels(_whole(labels)), ()
    if labels.shape[0] != n or not labels.shape[1] or not bool(torch.isfinite(labels).all()):
        raise ValueError(f"soft labels {list(labels.shape)} for {n} images: give a finite row for each")
    if classes is not None and list(classes) != [*range(labels.shape[1])]:
        raise ValueError(
            f"soft labels of {labels.shape[1]} classes, the data set has {len(classes)}: name the one it is of"
        )
    return _of_rows(labels.double())


def by_class(soft: Tensor, hard: Tensor) -> Tensor:
    """Soft labels in the order of a set, which is sorted by class."""
    return soft[torch.argsort(hard, stable=True)]


def _of_rows(rows: Tensor) -> tuple[Labels, tuple[Note, ...]]:
    hard = rows.argmax(1)
    one_hot = torch.nn.functional.one_hot(hard, rows.shape[1]).double()
    # KIP's are one-hot less their mean.
    if torch.equal(rows, one_hot) or bool((rows - (one_hot - 1 / rows.shape[1])).abs().max() < _CLOSE):
        return Labels(hard), (Note("labels", "one-hot", "known"),)
    if bool((rows >= 0).all()) and bool(((rows.sum(1) - 1).abs() < _CLOSE).all()):
        return Labels(hard, rows.float()), (Note("labels", "soft", "chosen"),)
    return Labels(hard, rows.softmax(1).float()), (Note("labels", "logits", "assumed"),)


def _class_major(n: int, classes: Classes | None) -> Tensor:
    if not classes:
        raise ValueError("no labels beside the images: name the data set, whose classes they go by")
    if not n or n % len(classes):
        raise ValueError(
            f"no labels beside {n} images, which do not go by {len(classes)} classes: put labels beside them"
        )
    return torch.tensor(sorted(classes)).repeat_interleave(n // len(classes))


def _whole(labels: Tensor) -> Tensor:
    """Labels that are whole numbers of another type, as int64; what they are not is for others to say."""
    whole = labels.is_floating_point() and bool((labels == labels.round()).all()) and labels.abs().max() < 2**53
    return labels.long() if labels.numel() and whole else labels
