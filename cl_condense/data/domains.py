"""Data sets of several domains: what is turned or permuted, lists of data sets, a folder a domain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, functional

from cl_condense.common.foreign import one_line
from cl_condense.common.kinds import check_kind
from cl_condense.common.numbers import MOST, whole
from cl_condense.common.paths import path_of
from cl_condense.common.plain import Json
from cl_condense.common.rng import Purpose, permutation
from cl_condense.data.datasets import NAMES, check_name, load
from cl_condense.data.domain_names import PERMUTED, ROTATED, base_of, is_domains
from cl_condense.data.imageset import ImageSet
from cl_condense.data.layout import folders
from cl_condense.data.parts import of_domains
from cl_condense.data.preparation import Pair
from cl_condense.data.shaping import fitted_tensor, in_channels

DOMAINS = 5
"""How many there are of a data set that is turned or permuted."""

_MOST_TURNS = 180
_KINDS = (
    f"{ROTATED}mnist, {PERMUTED}mnist and the like, a list such as digits,mnist, or folder, a folder a domain"
)
_CHUNK = 4096  # images that are turned at once


def check_domains(name: str) -> None:
    """Raises ValueError for the name of no data set of several domains."""
    check_kind("data set", name, str, "a name such as 'rotated_mnist'")
    if not is_domains(name):
        check_name(name)
        if name != "folder":
            raise one_line(f"{name} is one domain: give {_KINDS}")
    elif "," in name:
        for own in name.split(","):
            check_name(own)
            if own == "folder":
                raise one_line(f"{name}: folder alone is a folder a domain: leave the others out")
    else:
        check_name(base_of(name))
        if base_of(name) not in NAMES or base_of(name) == "folder":
            raise one_line(f"{name}: folder has domains of its own: give {_KINDS}")


def load_domains(
    name: str, data: str | Path | None = None, *, domains: int | None = None, **preparation: Any
) -> Pair:
    """The training and the test images of several domains with the same classes.

    ``rotated_mnist`` is MNIST turned by 0 degrees and on, counter-clockwise, in equal steps below 180;
    ``permuted_mnist`` has it as it is, then with its pixels in other orders, which are the same whenever it is
    loaded. Every data set of ``load`` can be taken so. ``digits,mnist`` are those one after another,
    scaled to the largest of them, in colour if one of them is, normalised by all training images; classes of
    one name are one. ``folder`` has a folder of class folders for each domain, each as ``load`` reads it.

    Class ids are those of ``data.parts``: label and domain, named ``36 degrees/3``.

    Args:
        name: of the data set.
        data: the folder of the files.
        domains: how many, for what is turned or permuted; default 5.
        preparation: what ``load`` takes besides.

    Raises:
        ValueError: for another name, a number of domains that is not to be chosen, and as ``load``.
    """
    check_domains(name)
    made = name.startswith((ROTATED, PERMUTED))
    if not made:
        found = _folders(data, preparation) if name == "folder" else _listed(name, data, preparation)
        if domains not in (None, len(found)):
            raise one_line(f"{domains} domains: {name} has {len(found)}; leave the number out")
        return _joined(found)
    number = DOMAINS if domains is None else whole("domains", domains, 2, MOST["classes"])
    both = load(base_of(name), data, **preparation)
    turns = name.startswith(ROTATED)
    if turns and number > _MOST_TURNS:
        raise one_line(f"{number} domains: {name} is turned by whole degrees below 180; give at most 180")
    changes = [_turn(i * 180 // number) if turns else _permute(i) for i in range(number)]
    names = [f"{i * 180 // number} degrees" if turns else f"permutation {i}" for i in range(number)]
    train, test = (
        of_domains([part.with_images(change(part.images)) for change in changes], names) for part in both
    )
    return train, test


def _turn(degrees: int) -> Callable[[Tensor], Tensor]:
    def change(images: Tensor) -> Tensor:
        if not degrees:
            return images
        turned = [functional.rotate(part, degrees, InterpolationMode.BILINEAR) for part in images.split(_CHUNK)]
        return torch.cat(turned)

    return change


def _permute(number: int) -> Callable[[Tensor], Tensor]:
    def change(images: Tensor) -> Tensor:
        if not number:
            return images
        places = permutation(images[0, 0].numel(), Purpose.DOMAIN, number)
        return images.flatten(2)[..., places].view(images.shape)

    return change


def _listed(name: str, data: str | Path | None, preparation: Json) -> dict[str, Pair]:
    """Several data sets; those that are built in read no files."""
    names = name.split(",")
    if len({*names}) < len(names):
        raise one_line(f"{name}: name each of them once")
    files = {"data": data, "download": preparation.pop("download", False)}
    # digits is built in and reads no files
    return {own: load(own, **preparation, **({} if own == "digits" else files)) for own in names}


def _folders(data: str | Path | None, preparation: Json) -> dict[str, Pair]:
    if data is None:
        raise one_line("folder is read from files: name the folder of the domains' folders with --data DIR")
    root = path_of("data", data).expanduser()
    if not root.is_dir():
        raise one_line(f"{root} is not a folder: name the one of the domains' folders with --data DIR")
    inner = folders(root)
    if len(inner) < 2:
        raise one_line(
            f"{root} has {len(inner)} folders: a domain is a folder of class folders; give 2 or more"
        )
    preparation.pop("download", None)
    return {one.name: load("folder", one, **preparation) for one in inner}


def _joined(found: dict[str, Pair]) -> Pair:
    """Domains alike in size, channels, labels and normalisation."""
    classes = list(dict.fromkeys(own for train, _ in found.values() for own in train.names))
    size = max((train.shape[1:] for train, _ in found.values()), key=lambda s: (s[0] * s[1], s))
    channels = max(train.shape[0] for train, _ in found.values())

    def alike(part: ImageSet) -> ImageSet:
        images = fitted_tensor(in_channels(part.images, channels), size)
        labels = torch.tensor([classes.index(own) for own in part.names])[part.targets]
        return ImageSet.of(images, labels, names=classes, normalisation=([0] * channels, [1] * channels))

    pairs = [[alike(part) for part in both] for both in found.values()]
    every = torch.cat([train.images for train, _ in pairs])
    constants = ImageSet.of(every, [0] * len(every))
    train, test = (
        of_domains([replace(own, mean=constants.mean, std=constants.std) for own in side], [*found])
        for side in zip(*pairs, strict=True)
    )
    return train, test
