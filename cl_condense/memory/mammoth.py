"""MammothBuffer: a ClassMemory where mammoth's models have their buffer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from cl_condense.common.kinds import check_kind
from cl_condense.common.numbers import whole
from cl_condense.common.rng import Purpose, permutation
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.image_checks import Constants, check_constants
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.memory.gathered import Gathered, pixels_of, whole_numbers

Transform = Callable[[Tensor], Tensor]
Items = tuple[Tensor, ...]


class MammothBuffer:
    """What mammoth's ``utils.buffer.Buffer`` is to its models, with condensed images in it.

    In a model, ``self.buffer = MammothBuffer(ClassMemory(self.args.buffer_size))`` takes the place of
    ``Buffer(self.args.buffer_size)``, and a line in its ``end_task`` calls ``self.buffer.condense()``. Until
    then what ``add_data`` gets is gathered, an image once however many epochs show it, and ``get_data`` gives
    images of the tasks before. As there, images are float tensors in [0, 1] without augmentation, and
    ``transform`` augments and normalises them as they are given out.

    Args:
        memory: the memory.
        device: where images are given out.
        normalisation: (mean, std) per channel, for condensation. Default: those of the first task's pixels.

    Attributes:
        num_seen_examples: how many different images were added.
    """

    attributes = ("examples", "labels", "task_labels")

    def __init__(
        self, memory: ClassMemory, device: str | torch.device = "cpu", normalisation: Constants | None = None
    ) -> None:
        check_kind("memory", memory, ClassMemory, "a ClassMemory, such as ClassMemory(200)")
        self.memory, self.device = memory, device
        self.normalisation = None if normalisation is None else check_constants(normalisation)
        self.num_seen_examples = self._calls = 0
        self._gathered = Gathered()
        self._decoded: tuple[CondensedSet, Tensor, Tensor] | None = None

    def add_data(
        self,
        examples: Tensor,
        labels: Tensor | None = None,
        *,
        task_labels: Tensor | None = None,
        **others: object,
    ) -> None:
        """Gathers images ``[n, c, h, w]`` in [0, 1] with their labels for the next ``condense``.

        Raises:
            ValueError: for logits and whatever else models of mammoth store beside, for a label that comes with
                two task labels, for task labels where images before had none, or none where they had some, and
                for images that are normalised already.
        """
        if wanted := [name for name, value in others.items() if value is not None]:
            raise ValueError(
                f"{wanted[0]} given: a condensed memory has images and labels alone; use it in a model that "
                "stores no more, such as er"
            )
        pixels, numbers = pixels_of(examples), whole_numbers("labels", labels, len(examples))
        tasks = None if task_labels is None else whole_numbers("task_labels", task_labels, len(examples))
        self._check_tasks(tasks, len(numbers))
        self.num_seen_examples += self._gathered.add(pixels, numbers, tasks)

    def condense(self) -> None:
        """Condenses what was gathered into the memory, and forgets it; to be called at the end of a task."""
        if not self._gathered.images:
            return
        made = self.memory.condensed
        constants = (made.mean, made.std) if made else self.normalisation
        images, labels = torch.stack(self._gathered.images), self._gathered.labels
        self.memory.update(ImageSet.of(images, labels, normalisation=constants))
        self._gathered.clear()

    def get_data(
        self,
        size: int,
        transform: Transform | None = None,
        return_index: bool = False,
        device: str | torch.device | None = None,
        *,
        mask_task_out: int | None = None,
        cpt: int | None = None,
        return_not_aug: bool = False,
        not_aug_transform: Transform | None = None,
        force_indexes: Sequence[int] | np.ndarray | None = None,
    ) -> Items:
        """Random items, at most as many as there are: images, labels, and task labels where there are some.

        Args:
            size: how many.
            transform: augments and normalises, a function of one image.
            return_index: whether their places come first.
            device: where to; default the buffer's.
            mask_task_out: a task whose images are left out.
            cpt: classes of a task, by which images without task labels are told apart.
            return_not_aug: whether images come without ``transform`` as well, before those with it.
            not_aug_transform: what these go through instead.
            force_indexes: the places to take, instead of random ones.
        """
        there = torch.arange(len(self))
        if mask_task_out is not None:
            there = there[(self._tasks(cpt) != mask_task_out).cpu()]
        if force_indexes is None:
            self._calls += 1
            order = permutation(len(there), Purpose.REPLAY, self.memory.seed, self._calls)
            chosen = there[order[: whole("size", size, 0)]]
        else:
            chosen = there[torch.as_tensor(force_indexes)]
        items = self.get_data_by_index(chosen, transform, device)
        if return_not_aug:
            items = (self.get_data_by_index(chosen, not_aug_transform, device)[0], *items)
        return (chosen.to(items[0].device), *items) if return_index else items

    def get_balanced_data(self, size: int, transform: Transform | None = None, n_classes: int = -1) -> Items:
        """Random items of ``n_classes`` random classes (-1: all), as many of each as goes, ``size`` in all."""
        self._calls += 1
        keys = (Purpose.REPLAY, self.memory.seed, self._calls)
        classes = self.labels.unique().cpu()
        classes = classes[permutation(len(classes), *keys)][: n_classes if n_classes > 0 else None]
        turns = [turn for c in classes for turn in enumerate(self._of_class(int(c), *keys).tolist())]
        places = [place for _, place in sorted(turns, key=lambda turn: turn[0])]  # first ones first
        return self.get_data_by_index(torch.tensor(places[:size], dtype=torch.int64), transform)

    def get_data_by_index(
        self, indexes: Tensor, transform: Transform | None = None, device: str | torch.device | None = None
    ) -> Items:
        """The items at some places."""
        to = self.device if device is None else device
        images = self.examples[indexes]
        if transform is not None and len(images):
            images = torch.stack([_one(transform(image)) for image in images.cpu()])
        others = [getattr(self, name)[indexes].to(to) for name in self.used_attributes[1:]]
        return (images.to(to), *others)

    def get_all_data(
        self, transform: Transform | None = None, device: str | torch.device | None = None
    ) -> Items:
        """All items."""
        return self.get_data_by_index(torch.arange(len(self)), transform, device)

    def get_dataloader(
        self,
        args: object,
        batch_size: int,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        transform: Transform | None = None,
        sampler: Any = None,
    ) -> DataLoader[Any]:
        """A DataLoader of all items as they are now; ``args``, mammoth's arguments, are not looked at."""
        own = torch.Generator().manual_seed(self.memory.seed)
        items = TensorDataset(*self.get_all_data(transform))
        return DataLoader(
            items, batch_size, shuffle=shuffle, drop_last=drop_last, sampler=sampler, generator=own
        )

    @property
    def examples(self) -> Tensor:
        """Images ``[n, c, h, w]`` in [0, 1]; there once a task was condensed, as in mammoth."""
        return self._images()[0]

    @property
    def labels(self) -> Tensor:
        """Their labels ``[n]``."""
        return self._images()[1]

    @property
    def task_labels(self) -> Tensor:
        """Their task labels ``[n]``, where ``add_data`` got some."""
        if not self._gathered.task_of:
            raise AttributeError("add_data got no task_labels")
        return torch.tensor([self._gathered.task_of[int(y)] for y in self.labels], device=self.device)

    @property
    def used_attributes(self) -> list[str]:
        """Those of ``attributes`` that items have."""
        return [name for name in self.attributes if hasattr(self, name)]

    @property
    def buffer_size(self) -> int:
        """How many images it may hold; what it holds, where the budget is another than a number of images."""
        return self.memory.max_size or len(self)

    @buffer_size.setter
    def buffer_size(self, value: int) -> None:
        if value != self.buffer_size:
            self.memory.resize(value)

    def __len__(self) -> int:
        return len(self._images()[0]) if self.memory.condensed else 0

    def __bool__(self) -> bool:
        return True  # as one of mammoth's that is asked ``is_empty``

    def __getitem__(self, index: int, transform: Transform | None = None) -> list[Tensor]:
        return [part.squeeze(0) for part in self.get_data_by_index(torch.tensor([index]), transform)]

    def __iter__(self) -> Iterator[list[Tensor]]:
        return (self[index] for index in range(len(self)))

    def is_empty(self) -> bool:
        """Whether there is nothing to replay yet."""
        return len(self) == 0

    def is_full(self) -> bool:
        """Whether it holds as many images as it may."""
        return not self.is_empty() and len(self) >= self.buffer_size

    def empty(self) -> None:
        """Forgets all images, those gathered too."""
        self.memory.condensed, self.memory.seen, self.num_seen_examples = None, {}, 0
        self._gathered = Gathered()

    def serialize(self, out_device: str | torch.device = "cpu") -> dict[str, Tensor]:
        """The items by the names of their attributes."""
        return {name: getattr(self, name).to(out_device, copy=True) for name in self.used_attributes}

    def to(self, device: str | torch.device) -> MammothBuffer:
        """The same buffer, which gives its items out on another device."""
        self.device, self._decoded = device, None
        return self

    def _check_tasks(self, tasks: list[int] | None, n: int) -> None:
        """Refuses task labels of some images only: what is given out has them all or none."""
        before = bool(self.num_seen_examples or self.memory.seen)
        known = bool(self._gathered.task_of)
        if n and before and known != (tasks is not None):
            had, have = ("task_labels", "none") if known else ("no task_labels", "some")
            raise ValueError(
                f"images before came with {had}, these {n} with {have}: give task_labels with every add_data, "
                "or never"
            )

    def _tasks(self, cpt: int | None) -> Tensor:
        """The task of each image, by the classes of a task where there are no task labels."""
        if self._gathered.task_of:
            return self.task_labels
        if cpt is None:
            raise ValueError("mask_task_out without task labels: give cpt, the number of classes of a task")
        return self.labels // whole("cpt", cpt)

    def _of_class(self, label: int, *keys: int) -> Tensor:
        """The places of a class's images, in random order."""
        places = (self.labels == label).nonzero()[:, 0].cpu()
        return places[permutation(len(places), *keys, label)]

    def _images(self) -> tuple[Tensor, Tensor]:
        """Images and labels, decoded once for each state of the memory."""
        made = self.memory.condensed
        if made is None:
            raise AttributeError("the buffer is empty: call condense() at the end of a task")
        if self._decoded is None or self._decoded[0] is not made:
            images, labels = made.to_pixels(decoded=True) / 255, made.decode()[1]
            self._decoded = (made, images.to(self.device), labels.to(self.device))
        return self._decoded[1:]


def _one(image: Tensor) -> Tensor:
    """An image, where transforms of whole batches (kornia's) give a batch of one."""
    return image[0] if image.ndim == 4 else image
