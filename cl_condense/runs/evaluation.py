"""The verb to find out what condensed sets are worth, for people who have them at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cl_condense.common.devices import pick_device
from cl_condense.common.kinds import check_call, check_kind
from cl_condense.common.progress import OnProgress, within
from cl_condense.common.suggest import choice
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.imageset import ImageSet
from cl_condense.runs.checks import check_training
from cl_condense.runs.config import TrainConfig
from cl_condense.runs.evaluate_sets import evaluate_set, training_config
from cl_condense.runs.shown import Records

_SETTINGS = tuple(field.name for field in fields(TrainConfig) if field.name != "dataset")


def evaluate(
    sets: CondensedSet | Mapping[str, CondensedSet],
    test: ImageSet,
    *,
    dataset: str = "",
    device: str = "auto",
    on_progress: OnProgress | None = None,
    **settings: Any,
) -> Records:
    """Trains fresh networks on each set and tests them on real images, as the command ``evaluate`` does.

    Args:
        sets: one, or several by their names.
        test: real images of the same classes.
        dataset: a name such as ``cifar10``, for settings of its own.
        device: where to compute.
        on_progress: told of the training and the test, for example ``ProgressBar()``.
        settings: of a ``TrainConfig``: ``networks``, ``epochs``, ``evaluation``, ``network``, ``width``, ...

    Returns:
        a record for each set, which show themselves as a table.

    Raises:
        ValueError: for settings out of range, and sets of other images or classes than those of ``test``.
    """
    named = {str(sets.recipe.get("name", "set")): sets} if isinstance(sets, CondensedSet) else sets
    check_kind("sets", named, Mapping, "a CondensedSet, or several by their names in a dict")
    check_kind("test", test, ImageSet, "an ImageSet, such as load(name)[1]")
    check_call("on_progress", on_progress)
    for name in settings:
        choice("setting", name, _SETTINGS)
    config, device = training_config(dataset, **settings), str(pick_device(device))
    check_training(config, test, test)
    for name, made in named.items():
        _check(name, made, test)
    records = Records()
    for name, made in named.items():
        tell = within(name, on_progress)
        records.append({"file": name, **evaluate_set(made, test, config, device, on_progress=tell)})
    return records


def _check(name: str, made: CondensedSet, test: ImageSet) -> None:
    check_kind(f"set {name}", made, CondensedSet, "a CondensedSet, such as condense makes")
    if made.shape != test.shape:
        raise ValueError(f"set {name} has images of {made.shape}, the test images are of {test.shape}")
    if other := sorted(set(made.class_ids) - set(test.class_ids)):
        raise ValueError(f"set {name} has class {other[0]}, of which there are no test images: leave it out")
