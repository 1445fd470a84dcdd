"""The command line: the group of commands, warnings and exit codes."""

from __future__ import annotations

import atexit
import os
import re
import signal
import sys
import warnings
from importlib import import_module

import click

from cl_condense.cli.condense import condense
from cl_condense.cli.evaluate import evaluate
from cl_condense.cli.export import export
from cl_condense.cli.methods import methods
from cl_condense.cli.report import report
from cl_condense.cli.run import run
from cl_condense.cli.streams import Streams, broken_pipe
from cl_condense.cli.table import table
from cl_condense.cli.types import Bad
from cl_condense.common.foreign import out_of_memory, reason
from cl_condense.common.ranks import ALONE, Lost, Ranks
from cl_condense.common.suggest import hint

_LESS = "take fewer or smaller images, narrower networks or a machine with more; the same command goes on"
_COMPLETION = """
\b
Names are completed in bash, and likewise in zsh and fish, after:
  eval "$(_CL_CONDENSE_COMPLETE=bash_source cl-condense)"
"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True, epilog=_COMPLETION
)
@click.version_option(package_name="cl-condense")
@click.pass_context
def cli(context: click.Context) -> None:
    """Dataset condensation as memory for continual learning."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for each in (run, methods, condense, evaluate, export, report, table):
    cli.add_command(each)


def _warn(message: Warning | str, *where: object) -> None:
    """One line: where in the code a warning comes from is no matter of the user's."""
    click.echo("Warning: " + " ".join(str(message).split()), err=True)


def main(args: list[str] | None = None) -> None:
    """Entry point: whatever the user can mend is one line on stderr and exit code 2.

    Where nobody reads the standard output any more the work is done all the same, and the exit code is 1, as
    Python and click have it.
    """
    streams = Streams()
    with warnings.catch_warnings():
        warnings.showwarning = _warn  # type: ignore[assignment] # one that takes any arguments
        code = _code(args, streams)
    if _ranked():
        from cl_condense.common.distributed import leave  # noqa: PLC0415 - it takes seconds

        leave(code)
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C now would change the exit code
    sys.exit(code)


def _code(args: list[str] | None, streams: Streams) -> int:
    """Does the command; the exit code."""
    try:
        with streams.kept():
            code = _as_rank(args)
    except ValueError as error:
        return _fail(str(error))
    lost = streams.fault()
    if lost is None or code:
        return code
    return 1 if broken_pipe(lost) else _fail(f"the standard output did not take all ({lost.strerror})")


def _as_rank(args: list[str] | None) -> int:
    """Does the command, or, of the ranks that torchrun started, follows the one that does; the exit code."""
    if not _ranked():
        return _done(args, ALONE)
    from cl_condense.common.distributed import distributed  # noqa: PLC0415 - it takes seconds

    ranks = distributed()
    try:
        if ranks and not ranks.leads:
            import_module("cl_condense.methods.condense")  # while the leader reads the data
            return ranks.follow()
        code = _done(args, ranks or ALONE)
    except Lost as error:
        return _fail(str(error), error.code)
    if ranks:
        ranks.end(code)
    return code


def _ranked() -> bool:
    """Whether torchrun started this process."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys()


def _done(args: list[str] | None, ranks: Ranks) -> int:
    try:
        code = cli.main(args=args, prog_name="cl-condense", standalone_mode=False, obj=ranks)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)  # what keeps its state says how to go on
        return 130
    except click.ClickException as error:
        return _fail(_clicked(error))
    except OSError as error:
        return _fail(_said(error))
    except ValueError as error:
        return _fail(str(error))
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return _fail(f"the memory ran out ({reason(error)}): {_LESS}")
    return code if isinstance(code, int) else 0


def _said(error: OSError) -> str:
    """An error of the system with the file that it is of."""
    return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)


def _clicked(error: click.ClickException) -> str:
    """What to say of an error of click, which knows no remedy."""
    if not isinstance(error, click.UsageError) or isinstance(error, Bad) or error.ctx is None:
        return error.format_message()
    message, remedy = error.format_message().rstrip("."), f"{error.ctx.command_path} --help lists what there is"
    if isinstance(error, click.NoSuchOption):
        known = [name for param in error.ctx.command.params for name in (*param.opts, *param.secondary_opts)]
        bare = {name.lstrip("-"): name for name in known if name.startswith("--")}
        near = hint(error.option_name.lstrip("-"), bare).replace("'", "'--", 1)
        message = f"unknown option {error.option_name!r}"
        return f"{message}: {near}{remedy}"
    if name := re.match("No such command '(.*?)'", message, re.DOTALL):
        return f"unknown command {name[1]!r}: {hint(name[1], cli.commands)}{remedy}"
    return f"{message}: {remedy}"


def _fail(message: str, code: int = 2) -> int:
    if message:
        click.echo("Error: " + " ".join(message.split()), err=True)
    return code
