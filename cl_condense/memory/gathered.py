"""A task's images as a training loop shows them: a batch at a time, and again at every epoch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cl_condense.common.kinds import check_kind


@dataclass
class Gathered:
    """Different images of a task until it ends.

    Attributes:
        images: uint8 pixels ``[c, h, w]`` of each.
        labels: of each.
        task_of: the task of each label that came with one, of former tasks too.
    """

    images: list[Tensor] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    task_of: dict[int, int] = field(default_factory=dict)
    _marks: set[bytes] = field(default_factory=set)

    def add(self, pixels: Tensor, labels: list[int], tasks: list[int] | None = None) -> int:
        """Takes in what of a batch is new, and says how many these are.

        Raises:
            ValueError: for a label that comes with two tasks; then nothing of the batch is taken in.
        """
        if tasks is not None:
            self.task_of = _joined(self.task_of, labels, tasks)
        before = len(self.images)
        for image, label in zip(pixels, labels, strict=True):
            mark = hashlib.blake2b(image.numpy().tobytes() + b"%d" % label, digest_size=16).digest()
            if mark not in self._marks:
                self._marks.add(mark)
                self.images.append(image.clone())  # the caller may fill the batch anew
                self.labels.append(label)
        return len(self.images) - before

    def clear(self) -> None:
        """Forgets the images."""
        self.images, self.labels, self._marks = [], [], set()


def pixels_of(examples: Tensor) -> Tensor:
    """uint8 pixels of images in [0, 1]."""
    give = "give mammoth's not_aug_inputs, [n, c, h, w] in [0, 1], before Normalize"
    check_kind("examples", examples, Tensor, give.removeprefix("give "))
    if examples.ndim != 4:
        raise ValueError(f"examples of shape {tuple(examples.shape)}: {give}")
    if examples.dtype == torch.uint8:
        return examples.cpu()
    low, high = (float(value) for value in examples.aminmax()) if examples.numel() else (0.0, 0.0)
    if not 0 <= low <= high <= 1:
        raise ValueError(f"examples from {low:g} to {high:g}: {give}")
    return (examples * 255).round().to(torch.uint8).cpu()


def whole_numbers(name: str, given: Tensor | None, n: int) -> list[int]:
    """Labels as whole numbers, one an image."""
    check_kind(name, given, Tensor, "a tensor, a whole number for every image")
    if given is None or given.shape != (n,) or given.is_floating_point():
        kind = "" if given is None else f" of {given.dtype} {tuple(given.shape)}"
        raise ValueError(f"{name}{kind} for {n} images: give a whole number for every image")
    return [int(one) for one in given.tolist()]


def _joined(known: dict[int, int], labels: list[int], tasks: list[int]) -> dict[int, int]:
    """The task of each label, those of new images too."""
    found = dict(known)
    for label, task in zip(labels, tasks, strict=True):
        if found.setdefault(label, task) != task:
            both = f"{found[label]} and {task}"
            raise ValueError(f"label {label} comes with task labels {both}: leave task_labels out")
    return found
