"""What makes a command shorter where it will take more than an hour on a CPU, and the line that says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cl_condense.common.progress import OnProgress
    from cl_condense.runs.config import CondenseConfig
    from cl_condense.runs.run_config import RunConfig

_GPU = "or a GPU, where there is one"


def foreseeing(device: str, remedy: str) -> OnProgress:
    """What is told how far a command is, and says once where it will take long."""
    from cl_condense.common.foresight import Foresight  # noqa: PLC0415

    if device != "cpu":
        return lambda progress: None
    return Foresight(f"{remedy}, {_GPU}", lambda line: click.echo(line, err=True))


def of_condensing(configs: Sequence[CondenseConfig]) -> str:
    """Fewer iterations: economy's, where a method has one and is not at it, or as many as are wanted."""
    from cl_condense.methods.economy import why_not  # noqa: PLC0415
    from cl_condense.methods.hybrid import made_of  # noqa: PLC0415
    from cl_condense.methods.registry import build  # noqa: PLC0415

    dear = [each for each in configs if each.optimises and not each.economy and not each.iterations]
    if any(not why_not(build(made_of(each.method), each.dataset)) for each in dear):
        return "without --papers it condenses by economy, in fewer iterations"
    return f"shorter with fewer --iterations (now {max(map(_iterations, configs)):,})"


def _iterations(config: CondenseConfig) -> int:
    from cl_condense.condensation.recipe import Recipe  # noqa: PLC0415
    from cl_condense.runs.build import method_for  # noqa: PLC0415

    method = method_for(config)
    made = method.settled(config.ipc or 1) if isinstance(method, Recipe) else method
    return int(getattr(made, "iterations", 0))


def of_run(settings: RunConfig) -> str:
    """Of both."""
    orders = f"--orders (now {settings.stream.orders}), --epochs (now {settings.train.epochs:,})"
    return f"{of_condensing(settings.condense)}; fewer {orders} help too"
