"""The reasons for which an option of the command line has no effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from cl_condense.common.plain import Json, Values

if TYPE_CHECKING:
    from cl_condense.condensation.recipe import Method

_CONDENSING = ("--real-per-class", "--precision", "--reuse", "--from", "--keep-state", "--papers")

Reasons = dict[str, str]
"""Why an option, as it is written, has no effect here; empty where it has one."""


def written() -> Json:
    """The options of the current command that were written, with their values."""
    context = click.get_current_context()
    default = (click.core.ParameterSource.DEFAULT, click.core.ParameterSource.DEFAULT_MAP)
    found: Json = {}
    for param in context.command.params:
        name = param.name or ""
        given = name in context.params and context.get_parameter_source(name) not in default
        if isinstance(param, click.Option) and given:
            off = context.params[name] is False and bool(param.secondary_opts)
            found |= {param.secondary_opts[0]: True} if off else {param.opts[0]: context.params[name]}
    return found


def refuse(options: Values, reasons: Mapping[str, str]) -> None:
    """Raises ValueError for the first of the options that has no effect."""
    for option, value in options.items():
        if reasons.get(option):
            values = value if isinstance(value, tuple) else () if value is True else (value,)
            raise ValueError(f"{' '.join([option, *map(str, values)])}: {reasons[option]}")


def of_data(dataset: str) -> Reasons:
    """Of the options on where a data set's files are; an unknown one is left to its reader to refuse."""
    from cl_condense.data.datasets import NAMES, SOURCES  # noqa: PLC0415 - it takes seconds, and --help should not

    if dataset == "digits":
        why = "digits is built in and reads no files: leave it out, or name another data set with --dataset"
        return {"--data": why, "--download": why, "--skip-damaged": why}
    if dataset not in NAMES:
        return {}
    local = f"{dataset} is not fetched: leave it out, and name its files with --data"
    found = {"--download": "" if dataset in SOURCES else local}
    if dataset == "folder":
        return found
    found["--test-share"] = f"{dataset} has a test part of its own: leave it out"
    return found | {"--skip-damaged": f"{dataset} is its official files or none: leave it out"}


def of_methods(methods: Sequence[str]) -> Reasons:
    """Of the options on how methods condense.

    Raises:
        ValueError: for an unknown method.
    """
    from cl_condense.condensation.recipe import Recipe  # noqa: PLC0415
    from cl_condense.condensation.sources.pooled import pools_of  # noqa: PLC0415
    from cl_condense.methods.economy import lacking, why_not  # noqa: PLC0415
    from cl_condense.methods.hybrid import made_of  # noqa: PLC0415
    from cl_condense.methods.registry import build  # noqa: PLC0415

    built = [build(made_of(name)) for name in methods]
    selected = not any(method.optimises for method in built)
    unseen = selected and not any(method.settings().get("iterations") for method in built)
    only = f"with {', '.join(methods)} real images are only selected"
    take = "leave it out, or take a method that condenses, such as dm"
    recipes = [method for method in built if isinstance(method, Recipe)]
    dear = f"{'; '.join(lacking(recipes))}: leave it out, or take a method that has one, such as dm"
    pooled = pools_of(source for own in recipes for source in own.sources())
    poolless = (
        f"{', '.join(methods)} {'has' if len(methods) == 1 else 'have'} no pool of networks: leave it out"
    )
    found = dict.fromkeys((*_CONDENSING, "--economy"), f"{only}: {take}" if selected else "")
    for option, setting in (("--real-per-class", "real_per_class"), ("--reuse", "reuse")):
        found[option] = found[option] or _said(recipes, setting)
    if recipes and all(map(why_not, recipes)):
        found["--economy"] = dear
    return {
        **found,
        "--pools": "" if pooled else f"{poolless}, or take a method that has one, such as dance",
        "--shrink": f"{only}, of which a smaller memory keeps the first: {take}" if selected else "",
        "--iterations": f"{only}, without a network: {take}" if unseen else _said(built, "iterations"),
    }


def _said(methods: Sequence[Method], setting: str) -> str:
    """Where all that have a setting say it themselves, as ``dm@iterations=500`` does."""
    having = [method for method in methods if method.settings().get(setting)]
    if not having or any(setting not in getattr(method, "chosen", ()) for method in having):
        return ""
    names = ", ".join(method.name for method in having)
    return f"{names} {'says' if len(having) == 1 else 'say'} it: leave it out"


def of_run(
    methods: Sequence[str], dataset: str, network: str | None, options: Values, scenario: str = "class"
) -> Reasons:
    """Of all options of ``run``: the other ones have an effect always."""
    from cl_condense.runs.stream import NEW_CLASSES  # noqa: PLC0415

    found = of_data(_read(dataset)) | of_methods(methods) | of_convnet(network) | of_budgets(options)
    found |= of_trainers(options) | of_ray(options)
    if scenario != "online":
        why = "it is of online streams: leave it out, or give --scenario online"
        found |= dict.fromkeys(("--batch", "--staging", "--enough", "--boundaries", "--no-boundaries"), why)
    if scenario == "domain" or _read(dataset) != dataset:
        found["--order-file"] = "it has class orders, and what comes here are domains: leave it out"
    if scenario in NEW_CLASSES and not {"--budget", "--bytes"} & options.keys():
        why = "a memory that grows does not shrink: leave it out, or give --budget or --bytes"
        return found | {"--shrink": why}
    return found


def _read(dataset: str) -> str:
    """The data set whose files are read; of several one that reads some, if any does."""
    from cl_condense.data.domain_names import base_of  # noqa: PLC0415

    names = [base_of(name) for name in dataset.split(",")]
    return next((name for name in names if name != "digits"), names[0])


def of_trainers(options: Values) -> Reasons:
    """Of the options on class orders and on how networks are trained."""
    found = {}
    if "--order-file" in options:
        found["--order-seed"] = "--order-file has the class orders: give one of them"
    if set(options.get("--trainer", ())) == {"idc"}:
        found["--evaluation"] = "idc trains in its own way: leave it out, or give --trainer gdumb too"
    return found


def of_budgets(options: Values) -> Reasons:
    """Of the options that say how much is stored, of which the last counts."""
    given = [option for option in ("--ipc", "--budget", "--bytes") if option in options]
    why = f"{given[-1]} is given too: give one of them" if given else ""
    return dict.fromkeys(given[:-1], why)


def of_condense(method: str, dataset: str, network: str | None, options: Values) -> Reasons:
    """Of all options of ``condense``: the other ones have an effect always."""
    from cl_condense.methods.registry import build  # noqa: PLC0415
    from cl_condense.runs.build import augments  # noqa: PLC0415

    found = of_data(dataset) | of_methods([method]) | of_convnet(network) | of_budgets(options)
    found["--checkpoints"] = found["--precision"]
    if "--from" not in options:
        found["--only-new"] = "there are no images beside new ones: leave it out, or give --from too"
    built = build(method)
    unseen = "" if built.settings().get("iterations") else found["--iterations"]
    plain = f"with {method} nothing is augmented: leave it out, or take a method that augments, such as dm"
    found["--augment"] = "" if augments(built) else plain
    found["--compile"] = found["--precision"] if unseen else ""  # nothing is trained on the set
    return found | (dict.fromkeys(("--network", "--width", "--depth", "--augment"), unseen) if unseen else {})


def of_ray(options: Values) -> Reasons:
    """Of the options on units of a cluster."""
    why = "it is for units on a cluster: leave it out, or give --ray too"
    return {"--gpu-share": "" if "--ray" in options else why}


def of_convnet(network: str | None) -> Reasons:
    """Of the options of ConvNets, where another network is taken."""
    if network in (None, "convnet"):
        return {}
    what = {"--width": "a width", "--depth": "a depth"}
    return {
        k: f"{network} has {own} of its own: leave it out, or take --network convnet" for k, own in what.items()
    }


def of_evaluation(evaluation: str | None) -> Reasons:
    """Of the augmentation, where a way to evaluate has its own or none."""
    from cl_condense.training.protocol import TRAININGS  # noqa: PLC0415

    way = TRAININGS.get(evaluation or "augmented")
    fixed = way is not None and way(1, "none") == way(1, "crop")
    return {
        "--augment": f"{evaluation} has its own: leave it out, or take another --evaluation" if fixed else ""
    }


def of_report(figures: bool) -> Reasons:
    """Of all options of ``report``."""
    why = "" if figures else "it is for the figures that need real images: leave it out, or give --figures too"
    return {"--data": why, "--device": why}


def of_table(names: Sequence[str], dry_run: bool, options: Values) -> Reasons:
    """Of the options of ``table`` before its cells are looked at."""
    if not names:
        return dict.fromkeys(options, "without the NAME of a table there is only a list of them: give the NAME")
    why = "a dry run measures nothing: leave one of them out" if dry_run else ""
    return {"--json": why, "--log": why, "--ray": why, **of_ray(options)}
