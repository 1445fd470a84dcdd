"""Commands that are ended cleanly: what was computed is kept, and they say how to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cl_condense.common.stopping import Limit


@contextmanager
def stoppable(how: Callable[[], str]) -> Iterator[Limit]:
    """Inside, SIGTERM and SIGINT end the work where ``check`` of the limit is called, a second one at once.

    Args:
        how: says how to go on, when the work has ended.

    Raises:
        click.exceptions.Exit: after a signal, with the code that a shell gives it.
    """
    from cl_condense.common.stopping import Limit, Stop, exit_code  # noqa: PLC0415

    limit = Limit()
    try:
        with limit.watching():
            yield limit
    except Stop as stop:
        click.echo(f"Stopped: {how()}", err=True)
        raise click.exceptions.Exit(exit_code(stop.signal)) from None
