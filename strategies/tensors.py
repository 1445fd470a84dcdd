"""From an experience to tensors, and from a memory to a dataset that mixes with the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import torch
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute, TransformGroups
from avalanche.benchmarks.utils.classification_dataset import (
    ClassificationDataset,
    TaskAwareSupervisedClassificationDataset,
)
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cl_condense.data.parts import label_and_domain, part_of

Theirs: TypeAlias = Any
"""What Avalanche gives: a strategy, an experience, an item; it types them in part only."""

Items: TypeAlias = AvalancheDataset[Any]
"""A dataset of Avalanche."""


class ItemFormat(NamedTuple):
    """What an item of the stream looks like, so that memory items can be collated with them."""

    tensor_labels: bool
    task_labels: bool


def class_id(label: object, task: object = 0) -> int:
    """The memory's number for a label of a task; the label itself where there are no tasks.

    Raises:
        ValueError: for labels and tasks that are no whole numbers, and out of range.
    """
    return part_of(label, task, "task label")


def pair_names(class_ids: Iterable[int]) -> tuple[str, ...]:
    """``(task, label)`` of each class where there are tasks, for people and in files; else nothing."""
    pairs = [label_and_domain(i)[::-1] for i in class_ids]
    return tuple(map(str, pairs)) if any(task for task, _ in pairs) else ()


def read_items(dataset: Items, num_workers: int = 0) -> tuple[Tensor, Tensor, ItemFormat]:
    """Images ``[n, c, h, w]`` float32 and class ids ``[n]`` of a dataset, with its evaluation transforms.

    Raises:
        ValueError: where items are not float tensors of one shape, or their labels no whole numbers from 0.
    """
    dataset = dataset.eval()
    first = dataset[0]
    # With a generator of its own a loader leaves the global one alone.
    own = torch.Generator()
    loader = DataLoader(dataset, batch_size=512, num_workers=num_workers, collate_fn=_collate, generator=own)
    try:
        images, ids = zip(*loader, strict=True)
    except ValueError as error:  # from a worker it comes with a traceback in its text
        raise ValueError(str(error).strip().splitlines()[-1].removeprefix("ValueError: ")) from None
    shapes = {tuple(part.shape[1:]) for part in images}
    if len(shapes) > 1:
        raise ValueError(_unequal(shapes))
    return torch.cat(images), torch.cat(ids), ItemFormat(isinstance(first[1], Tensor), len(first) > 2)


def _collate(items: list[tuple[Theirs, ...]]) -> tuple[Tensor, Tensor]:
    for x, *_ in items:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = f"a {x.dtype} tensor" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise ValueError(
                f"an image of the stream is {kind}: give the benchmark an eval_transform that ends in float "
                "tensors, for example ToTensor and Normalize"
            )
    shapes = {tuple(x.shape) for x, *_ in items}
    if len(shapes) > 1:
        raise ValueError(_unequal(shapes))
    ids = [class_id(y, task[0] if task else 0) for _, y, *task in items]
    return torch.stack([x for x, *_ in items]).float(), torch.tensor(ids)


def _unequal(shapes: set[tuple[int, ...]]) -> str:
    listed = ", ".join("x".join(map(str, s)) for s in sorted(shapes)[:3])
    return f"images of unequal size ({listed}): resize them in the benchmark's eval_transform"


class _Images(Dataset[tuple[Theirs, ...]]):
    """Tensors as (image, label) items, labels in the stream's type."""

    def __init__(self, images: Tensor, labels: list[int], tensor_labels: bool) -> None:
        self._images, self._labels, self._tensor_labels = images, labels, tensor_labels

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Theirs, ...]:
        label = self._labels[index]
        image = self._images[index].clone()  # transforms may work in place
        return image, torch.tensor(label) if self._tensor_labels else label


def memory_dataset(
    images: Tensor, class_ids: Tensor, form: ItemFormat, transform: Callable[[Tensor], Tensor] | None = None
) -> Items:
    """Images of the memory as a dataset whose items look like the stream's.

    ``transform`` augments them in training; in evaluation they are what they are.
    """
    pairs = [label_and_domain(int(i)) for i in class_ids]
    labels, tasks = [y for y, _ in pairs], [t for _, t in pairs]
    # Without a transform there must be no groups at all: the stream may use names of its own.
    groups = TransformGroups({"train": (transform, None), "eval": (None, None)}) if transform else None
    attributes = [DataAttribute(labels, "targets")]
    kind: type[Items] = ClassificationDataset
    if form.task_labels:
        kind = TaskAwareSupervisedClassificationDataset
        attributes.append(DataAttribute(tasks, "targets_task_labels", use_in_getitem=True))
    return kind(
        [_Images(images, labels, form.tensor_labels)], data_attributes=attributes, transform_groups=groups
    )
