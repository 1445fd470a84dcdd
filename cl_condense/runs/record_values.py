"""What the values of records may be."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from cl_condense.common.foreign import shown
from cl_condense.common.numbers import finite, whole
from cl_condense.common.plain import Json


def checked(record: Json, keys: Collection[str]) -> Json:
    """A record whose numbers are numbers.

    Raises:
        KeyError: for one of the keys that it has not.
        ValueError: for a value of another kind, of any key that records of ours have.
    """
    for key in keys:
        if key not in record:
            raise KeyError(key)
    for key, check in _CHECKS.items():
        if record.get(key) is not None or key in keys:
            check(key, record.get(key))
    own: Json = {}
    if "accuracies" in record:
        own["accuracies"] = _shares("accuracies", record["accuracies"])
    if "by_step" in record:
        own["by_step"] = _matrix(record["by_step"], len(own.get("accuracies", ())))
    return record | own


def _shares(name: str, values: object) -> list[float]:
    if not isinstance(values, list) or not values:
        raise ValueError(f"{name} {shown(values)}: give a list of numbers")
    return [_share("accuracy", a) for a in values]


def _matrix(rows: object, networks: int) -> list[list[float]]:
    """Of each step's classes the accuracy of each network."""
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == networks for row in rows):
        raise ValueError(f"by_step {shown(rows)}: give a list for each step, of a number for each network")
    return [_shares("by_step", row) for row in rows]


def _share(name: str, value: object) -> float:
    return finite(name, value, at_least=0, at_most=1)


def _kind(kind: type, said: str) -> Callable[[str, object], None]:
    def check(name: str, value: object) -> None:
        if type(value) is not kind:
            raise ValueError(f"{name} {shown(value)}: give {said}")

    return check


_amount = partial(finite, at_least=0)
_count = partial(whole, at_least=0, at_most=2**53)
_CHECKS: dict[str, Callable[[str, object], object]] = {
    **dict.fromkeys("method trainer dataset device commit date codec data".split(), _kind(str, "a text")),
    "images_lay": _kind(str, "a text"),
    **dict.fromkeys("recipe versions work preparation".split(), _kind(dict, "an object")),
    **dict.fromkeys("condense_seconds train_seconds seconds".split(), _amount),
    **dict.fromkeys("order seed stored_images stored_bytes images bytes".split(), _count),
    **dict.fromkeys(("peak_bytes", "device_peak_bytes"), _count),
    **dict.fromkeys("step classes_seen domains_seen".split(), partial(_count, at_least=1)),
    "accuracy": _share,
    **dict.fromkeys(("losses", "skipped"), _kind(list, "a list")),
}
"""Of what records of ours may have, beside ``accuracies``."""
