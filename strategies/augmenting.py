"""Memory images augmented as the stream's own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from torch import Tensor, nn
from torchvision import transforms as v1
from torchvision.transforms import v2

from cl_condense.common.kinds import check_kind
from cl_condense.common.rng import isolated
from cl_condense.data.image_checks import Constants
from cl_condense.strategies.tensors import Items, Theirs

Transform = Callable[[Theirs], Theirs]

_TO_TENSOR = (v1.ToTensor, v1.PILToTensor, v2.ToImage, v2.PILToTensor)
_COMPOSED = (v1.Compose, v2.Compose, nn.Sequential)


@dataclass(frozen=True)
class AsStream:
    """The stream's training transform for images that have been through its evaluation transform.

    Attributes:
        steps: the training transform's parts, but for those that make tensors of pictures.
        normalisation: (mean, std) of the evaluation transform, which is undone first, or None.
    """

    steps: tuple[Transform, ...]
    normalisation: Constants | None

    def __call__(self, image: Tensor) -> Tensor:
        """The image ``[c, h, w]`` augmented, and normalised as the stream's training images are."""
        if self.normalisation:
            mean, std = (torch.tensor(part).view(-1, 1, 1) for part in self.normalisation)
            image = image * std + mean
        for step in self.steps:
            image = step(image)
        return image


def as_stream(stream: Theirs) -> AsStream:
    """The stream's own augmentation as the ``transform`` of a CondensedBuffer; Avalanche's buffers do the same.

    Each part of the training transform is called with the float tensor that ``ToTensor`` would have given,
    values of condensed images beyond [0, 1] included. The ``Normalize`` of the evaluation transform, through
    which memory images have gone, is undone before. Whatever else that does, such as resizing, stays done.

    Args:
        stream: a training stream, an experience of it, or its AvalancheDataset.

    Raises:
        ValueError: for a part that takes no tensor or gives an image of another size, and for an evaluation
            transform that normalises twice.
    """
    dataset = _dataset_of(stream)
    check_kind("stream", dataset, AvalancheDataset, "a training stream, an experience or an AvalancheDataset")
    undone = [step for step in _steps(dataset, "eval") if isinstance(step, v1.Normalize | v2.Normalize)]
    if len(undone) > 1:
        raise ValueError("the stream's eval_transform normalises twice: give a transform of your own")
    constants = [(tuple(map(float, step.mean)), tuple(map(float, step.std))) for step in undone]
    steps = tuple(step for step in _steps(dataset, "train") if not isinstance(step, _TO_TENSOR))
    made = AsStream(steps, constants[0] if constants else None)
    _try(made, dataset)
    return made


def _dataset_of(stream: Theirs) -> Theirs:
    """The data set of an experience, of a stream's first one, or itself."""
    if isinstance(stream, AvalancheDataset) or hasattr(stream, "dataset") or not isinstance(stream, Iterable):
        return getattr(stream, "dataset", stream)
    return getattr(next(iter(stream), None), "dataset", stream)


def _steps(dataset: Items, group: str) -> list[Transform]:
    """The parts of a group's transform of images, in their order.

    Avalanche shows what it was given nowhere, so its own fields are read.
    """
    found: list[Transform] = []
    data = dataset._flat_data
    while hasattr(data, "_transform_groups"):
        parts: list[Transform] = []
        for groups in (data._frozen_transform_groups, data._transform_groups):
            transform = groups.transform_groups[group]
            parts += [] if transform is None else transform.flat_transforms(0)
        found = [*_flat(parts), *found]
        data = data._datasets[0] if data._datasets else None
    return found


def _flat(parts: list[Transform]) -> Iterator[Transform]:
    for part in parts:
        if isinstance(part, _COMPOSED):
            yield from _flat(list(part if isinstance(part, nn.Sequential) else part.transforms))
        else:
            yield part


def _try(made: AsStream, dataset: Items) -> None:
    """Raises ValueError where the transform does not make an image of an image."""
    image, state = dataset.eval()[0][0], random.getstate()
    give = "give transform a function of an image tensor [c, h, w] instead"
    if not isinstance(image, Tensor) or not image.is_floating_point():
        return  # the buffer says what there is to say of such a stream
    try:
        with isolated(0):
            found = made(image.clone())  # which may be a view of the stream's own images
    except Exception as error:
        text = " ".join(str(error).split())[:120]
        raise ValueError(f"the stream's train_transform takes no tensors ({text}): {give}") from error
    finally:
        random.setstate(state)
    if not isinstance(found, Tensor) or (found.shape, found.dtype) != (image.shape, image.dtype):
        kind = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(
            f"the stream's train_transform gives {kind}, its eval_transform {image.dtype} "
            f"{tuple(image.shape)}: {give}"
        )
