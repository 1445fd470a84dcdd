"""Where a measurement comes from: the commit of the code, the device, the versions, the command."""

from __future__ import annotations

import platform
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import torch

from cl_condense.common.devices import device_name

_PACKAGES = "cl-condense torch torchvision numpy avalanche-lib".split()


def origin(device: str | torch.device) -> dict[str, Any]:
    """What a record says of its making: device, threads, versions, commit, date (UTC)."""
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "commit": commit(),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def together(origins: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One origin for several: what differs is listed, dates as the first and the last.

    What one of them does not say, as in records of earlier versions, is None.
    """
    origins = list(origins)
    found: dict[str, Any] = {}
    for key in ("device", "threads", "commit", "date"):
        values: list[Any] = list(dict.fromkeys(o.get(key) for o in origins))
        found[key] = None if None in values or not values else values[0]
        if found[key] is not None and len(values) > 1:
            listed = ", ".join(map(str, values))
            found[key] = f"{min(values)} to {max(values)}" if key == "date" else listed
    said = [o.get("versions") or {} for o in origins]
    names = dict.fromkeys(name for versions in said for name in versions)
    found["versions"] = {n: ", ".join(dict.fromkeys(v[n] for v in said if n in v)) for n in names}
    return found


@cache
def commit() -> str | None:
    """The commit of the code, short, with a plus sign where code was changed since; None without git.

    It is that of the first call, since code that changes later is not what runs.
    """
    try:
        _git("ls-files", "--error-unmatch", "__init__.py")  # not of a project that we are installed in
        found = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", ".", ":/strategies", ":/benchmarks")
    except (OSError, subprocess.CalledProcessError):
        return None
    return found + "+" * bool(changed)


def command_line(program: str) -> str:
    """The running click command as one would type it anywhere, after the name of its program.

    Options that were not given, and files that it writes, are left out; the folder of data is ``DIR``.
    """
    context = click.get_current_context(silent=True)
    words = shlex.split(program)
    for parameter in context.command.params if context else []:
        value, name = context.params.get(parameter.name or ""), parameter.opts[0]  # type: ignore[union-attr]
        source = context.get_parameter_source(parameter.name or "")  # type: ignore[union-attr]
        if value is None or source is not click.core.ParameterSource.COMMANDLINE:
            continue
        if isinstance(parameter.type, click.Path):
            words += [name, "DIR"] if parameter.name == "data" else []
        elif isinstance(parameter, click.Argument):
            words += map(str, value if parameter.nargs != 1 else [value])
        elif getattr(parameter, "is_flag", False):
            words.append(name if value else parameter.secondary_opts[0])
        else:
            for each in value if parameter.multiple else [value]:
                words += [name, str(each)]
    return shlex.join(words)


def _git(*what: str) -> str:
    where = Path(__file__).parents[1]
    return subprocess.run(["git", *what], cwd=where, capture_output=True, text=True, check=True).stdout.strip()
