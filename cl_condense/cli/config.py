"""``--config FILE``: options from a TOML file, where the command line does not say otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cl_condense.cli.types import PATH, Listed, Share, Size, Whole
from cl_condense.common.foreign import shown
from cl_condense.common.plain import Json
from cl_condense.common.suggest import choice

_KINDS: dict[type, tuple[type[object] | tuple[type[object], ...], str]] = {
    Whole: (int, "a whole number"),
    Share: ((int, float), "a number"),
    Size: ((int, str), "a whole number, or a text such as '48x64'"),
    Listed: ((list, str), "a list of texts, or one with commas"),
}
"""What options of some types are in a file, and how that is called."""


def _take(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Makes the options of a file the defaults of this call.

    Raises:
        ValueError: for a file that is no TOML, an unknown option, and a value of another kind.
    """
    if path is None or ctx.resilient_parsing:
        return
    from cl_condense.runs.config_file import read  # noqa: PLC0415 - it takes seconds, and --help should not

    known = {
        option.opts[0].removeprefix("--"): option
        for option in ctx.command.params
        if isinstance(option, click.Option) and option is not param
    }
    found: Json = {}
    for key, value in read(path).items():
        option = known[choice(f"option in {path}", key, known)]
        found[option.name or key] = _fitting(f"{path}: {key}", option, value)
    ctx.default_map = found


def _fitting(where: str, option: click.Option, value: object) -> Any:
    """A value as the option takes it: a list where it may be repeated."""
    if option.multiple:
        values = value if isinstance(value, list) else [value]
        if not values:
            raise ValueError(f"{where} is []: give at least one, or leave it out")
        return [_single(where, option, each) for each in values]
    return _single(where, option, value)


def _single(where: str, option: click.Option, value: object) -> Any:
    kind: type[object] | tuple[type[object], ...] = str
    said = "a text in quotes"
    if option.is_flag:
        kind, said = bool, "true or false"
    else:
        kind, said = next((own for of, own in _KINDS.items() if isinstance(option.type, of)), (kind, said))
    if not isinstance(value, kind) or isinstance(value, bool) is not option.is_flag:
        raise ValueError(f"{where} is {shown(repr(value))}: give {said}")
    return value


def one_of(given: Json, *names: str) -> Json:
    """``given``, where of options that exclude each other one on the command line takes the file's away.

    Raises:
        ValueError: where the file has several.
    """
    context = click.get_current_context()
    command_line = click.core.ParameterSource.COMMANDLINE
    said = [name for name in names if context.get_parameter_source(name) is command_line]
    if not said and len(several := [name for name in names if given[name] is not None]) > 1:
        options = [param.opts[0] for param in context.command.params if param.name in several]
        raise ValueError(f"{' and '.join(options)} are both in the file of --config: give one of them")
    return given | dict.fromkeys(names) | {k: given[k] for k in said} if said else given


config = click.option(
    "--config",
    type=PATH,
    is_eager=True,
    expose_value=False,
    callback=_take,
    help="TOML file of options, such as the config.toml that results have; options given beside it win.",
)
