"""Class orders of one's own, from a file."""

from __future__ import annotations

import json
from pathlib import Path

from cl_condense.common.foreign import MOST_TEXT, reading, shown
from cl_condense.data.imageset import ImageSet


def read_orders(path: Path, images: ImageSet) -> tuple[tuple[int, ...], ...]:
    """The class ids in the orders of a JSON file: a list of all classes, or a list of such lists.

    A class is said by its id or by its name.

    Raises:
        ValueError: for a file that is not there or no such lists, and for an order that lacks a class or has
            one twice or one that the images do not have.
    """
    with reading(path, "class orders", "give a JSON list of all classes, or a list of such lists", MOST_TEXT):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, list) or not found:
            raise ValueError(f"it is {shown(found)}")
        lists = found if isinstance(found[0], list) else [found]
        return tuple(_order(each, images) for each in lists)


def _order(said: object, images: ImageSet) -> tuple[int, ...]:
    if not isinstance(said, list):
        raise ValueError(f"beside lists it has {shown(said)}")
    names = dict(zip(images.names, images.class_ids, strict=True)) if images.names else {}
    order = []
    for each in said:
        known = names.get(each) if isinstance(each, str) else each
        if type(known) is not int or known not in images.class_ids:
            raise ValueError(f"{shown(each)} is no class of the images")
        if known in order:
            raise ValueError(f"{shown(each)} is there twice in an order")
        order.append(known)
    if missing := [c for c in images.class_ids if c not in order]:
        lack = images.names[images.class_ids.index(missing[0])] if images.names else missing[0]
        raise ValueError(f"an order of {len(order)} classes lacks {shown(lack)}")
    return tuple(order)
