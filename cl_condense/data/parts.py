"""Classes of several domains in one set: a label of a domain is a class of its own, by its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from cl_condense.common.numbers import whole
from cl_condense.data.imageset import ImageSet
from cl_condense.data.store import Store

_BITS = 32
_LAST_LABEL, _LAST_DOMAIN = 2**_BITS - 1, 2**31 - 1


def part_of(label: object, domain: object = 0, of: str = "domain") -> int:
    """The class id of a label in a domain, which a message calls ``of``; in domain 0 the label itself.

    Raises:
        ValueError: for a label or a domain that is no whole number, or out of range.
    """
    y, d = whole("label", label, 0, _LAST_LABEL), whole(of, domain, 0, _LAST_DOMAIN)
    return (d << _BITS) + y


def label_and_domain(class_id: int) -> tuple[int, int]:
    """The inverse of ``part_of``."""
    return class_id & _LAST_LABEL, class_id >> _BITS


def labels_of(class_ids: Tensor) -> Tensor:
    """The label of each class id ``[n]``, whatever its domain."""
    return class_ids & _LAST_LABEL


def in_domain(images: ImageSet, domain: int) -> ImageSet:
    """The same images as classes of a domain.

    Raises:
        ValueError: for labels that are out of range, or have a domain.
    """
    return replace(images, class_ids=tuple(part_of(c, domain) for c in images.class_ids))


def of_domains(domains: Sequence[ImageSet], names: Sequence[str]) -> ImageSet:
    """Images of some domains in one set, in the normalisation of the first; its classes are ``domain/class``.

    Images are of one size, each domain's labels its own.
    """
    parts = [in_domain(images, i) for i, images in enumerate(domains)]
    called = [f"{name}/{own}" for name, one in zip(names, domains, strict=True) for own in one.names]
    return ImageSet(
        Store(torch.cat([part.images for part in parts])),
        tuple(c for part in parts for c in part.class_ids),
        tuple(n for part in parts for n in part.counts),
        domains[0].mean,
        domains[0].std,
        tuple(called),
    )
