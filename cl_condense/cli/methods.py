"""``cl-condense methods``: what there is to condense with."""

from __future__ import annotations

import click

from cl_condense.cli import names
from cl_condense.cli.console import console, say


@click.command()
@click.argument("name", required=False, type=names.PRINTED_METHOD)
def methods(name: str | None) -> None:
    """List the methods, or print one in full: cl-condense methods dm+sm."""
    from cl_condense.methods import describe  # noqa: PLC0415 - it takes seconds, and --help should not

    if name is not None:
        click.echo(describe.about(name))
        return
    to = console()
    for listed in describe.tables():
        to.print(listed)
    say(to, "One in full, with its formulas, sources and settings: cl-condense methods ddm")
