"""What data sets and ways to evaluate have by default, and the options that choose otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from cl_condense.common.plain import Json, Values
from cl_condense.common.suggest import choice
from cl_condense.data.domain_names import PERMUTED, base_of

EPOCHS = {"augmented": 1000, "plain": 300}
"""The published number of epochs of the ways to evaluate that papers share; held-out comparisons do both."""

EVALUATIONS = {
    **EPOCHS,
    "mixed": 1000,
    "dance": 1500,
    "dc_mnist": 1000,
    "idc_mnist": 1000,
    "cafe": 600,
    "datadam": 1800,
}
"""The published number of epochs of every way to evaluate; how each trains is in ``training.protocol``."""

_PLAIN = "color_crop_cutout_scale_rotate"  # without flip, as the authors of DSA do for digits

DEFAULTS: dict[str, Json] = {
    # Quick on a CPU, so that there is nothing to economise. Chosen on a part of the training images; see
    # REPRODUCIBILITY.md.
    "digits": {
        "ipc": 2,
        "economy": False,
        "iterations": 200,
        "real_per_class": 32,
        "epochs": 200,
        "width": 32,
        "depth": 2,
        "augment": _PLAIN,
    },
    "mnist": {"augment": _PLAIN},
    "svhn": {"augment": _PLAIN},
    "cifar100": {"steps": 10, "ipc": 20},
}
"""What a data set has other than the defaults of the configs; those are the papers' protocol."""


def defaults(dataset: str, methods: Sequence[str], economy: bool | None = None) -> Json:
    """What a data set has other than the defaults of the configs in a comparison of these methods.

    Its iterations are of condensation: where all of them select real images, these keep their own. Where
    ``economy`` is chosen, on or off, it decides how methods condense, and the data set's numbers do not.

    Raises:
        ValueError: for an unknown method.
    """
    from cl_condense.methods.hybrid import made_of  # noqa: PLC0415
    from cl_condense.methods.registry import build  # noqa: PLC0415 - names of evaluations need no torch

    condenses = any(build(made_of(name)).optimises for name in methods)
    left_out = set() if condenses else {"iterations"}
    left_out |= set() if economy is None else {"economy", "iterations", "real_per_class"}
    return {k: v for k, v in own_numbers(dataset).items() if k not in left_out}


def own_numbers(dataset: str) -> Json:
    """What a data set has other than the usual: one of several domains what each of them has.

    Pixels in another order have no neighbours, so that of augmentation colours alone make sense.
    """
    first, *others = [DEFAULTS.get(base_of(name), {}) for name in dataset.split(",")]
    shared = {k: v for k, v in first.items() if all(own.get(k) == v for own in others)}
    return shared | ({"augment": "color"} if dataset.startswith(PERMUTED) else {})


def default_epochs(dataset: str, evaluation: str) -> int:
    """Epochs where none are given: the data set's own, or the published number of this way to evaluate.

    Raises:
        ValueError: for an unknown way.
    """
    published = EVALUATIONS[choice("evaluation", evaluation, EVALUATIONS)]
    return int(own_numbers(dataset).get("epochs", published))


def economy_option(record: Values) -> str:
    """The option of the command line with which methods condense as a record says; empty where none has to.

    ``record`` has the ``methods`` of a run, or the ``method`` of a set, and how they condense.
    """
    from cl_condense.runs.run_config import RunConfig  # noqa: PLC0415 - as above

    said = RunConfig.read({"methods": [record["method"]], **record} if "method" in record else record).values()
    for economy, option in ((None, ""), (True, "--economy"), (False, "--papers")):
        own = defaults(said["dataset"], said["methods"], economy)
        own |= {} if economy is None else {"economy": economy}
        usual = RunConfig.of(said["dataset"], said["methods"], **own).values()
        # No option takes a data set's own numbers away.
        there = all(said[k] or not usual[k] for k in ("iterations", "real_per_class"))
        if there and usual["economy"] == said["economy"]:
            return option
    return "--papers"
