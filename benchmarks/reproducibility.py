"""REPRODUCIBILITY.md from docs/reproducibility.md, with tables from the records of docs/records.

    python benchmarks/reproducibility.py add digits-2 runs/digits-random-ddm-1234abcd
    python benchmarks/reproducibility.py add cifar10-held-out held_out.json
    python benchmarks/reproducibility.py campaign results
    python benchmarks/reproducibility.py

The first two make records, of a run's folder and of what held_out.py, speed.py and `cl-condense table` write
with --json; of a table it draws docs/NAME.png too. The third adds the cells that `cl-condense table --results
DIR` has filled to docs/campaign and draws docs/campaign-*.png; without a folder it only draws. The last fills
the template, where a line such as ``<!-- record: digits-2 methods -->`` stands for a table of a record,
forms.py has the forms, and ``<!-- campaign: ddm-1 -->`` for a paper's table with ours beside it, ``<!--
campaign: all -->`` for all tables. With --check it writes nothing and ends with exit code 1 where
REPRODUCIBILITY.md is not what the records give.
"""

import re
from contextlib import contextmanager
from pathlib import Path

import click
import figures
import forms
import recording
from campaign import Campaign
from merging import merge

from cl_condense.common.files import atomic

HOME = Path(__file__).parents[1]
_HEADER = "<!-- Written by benchmarks/reproducibility.py; what people write is in docs/reproducibility.md. -->"

_FORMS = {"record": (r"(\S+) (\S+)", "NAME FORM"), "campaign": (r"(\S+)", "TABLE")}
"""What stands for a table: a pattern of its words, and how people write them."""


class Mistake(click.ClickException):
    """What the user can mend: one line, exit code 2."""

    exit_code = 2


@contextmanager
def one_line():
    try:
        yield
    except (ValueError, OSError) as error:
        text = " ".join(str(error).replace(f"{HOME}/", "").split())
        raise Mistake(text) from None


def page():
    """The text of REPRODUCIBILITY.md.

    Raises:
        ValueError: for a line that names a record in another way, and for a record or form that is not there.
    """
    template = HOME / "docs" / "reproducibility.md"
    records, lines, filled = {}, [_HEADER], Campaign(HOME)
    for number, line in enumerate(template.read_text().splitlines(), 1):
        kind = next((kind for kind in _FORMS if f"<!-- {kind}" in line), None)
        if not kind:
            lines.append(line)
            continue
        found = re.fullmatch(rf"<!-- {kind}: {_FORMS[kind][0]} -->", line)
        if not found:
            usage = f"<!-- {kind}: {_FORMS[kind][1]} -->"
            raise ValueError(f"{template}, line {number}: write {usage} on a line of its own")
        if kind == "campaign":
            lines.append(filled.show(found[1]))
            continue
        name, form = found.groups()
        first = name not in records
        records.setdefault(name, recording.load(HOME / "docs" / "records", name))
        lines.append(forms.show(records[name], form, name, first))
    return "\n".join(lines) + "\n"


@click.group(invoke_without_command=True)
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where the page is not the records'.")
@click.pass_context
def main(context, check) -> None:
    """REPRODUCIBILITY.md from the records."""
    if context.invoked_subcommand:
        return
    path = HOME / "REPRODUCIBILITY.md"
    with one_line():
        text = page()
        same = path.exists() and path.read_text() == text
        if not check and not same:
            with atomic(path) as temporary:
                temporary.write_text(text)
    if check and not same:
        click.echo(
            f"{path.name} is not what the records give: run python benchmarks/reproducibility.py", err=True
        )
        context.exit(1)


@main.command()
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--commit", help="Of the code that ran, where PATH does not say it (earlier versions).")
def add(name, path, commit) -> None:
    """Make the record NAME of PATH: a run's folder, or a file that a command wrote with --json."""
    with one_line():
        record = recording.compact(path, commit)
        written = [recording.save(HOME / "docs" / "records", name, record)]
        if record["kind"] == "table":
            written.append(HOME / "docs" / f"{name}.png")
            with atomic(written[-1]) as temporary:
                temporary.write_bytes(figures.picture(record))
    told = ", ".join(str(path.relative_to(HOME)) for path in written)
    click.echo(f"wrote {told}; show it with <!-- record: {name} FORM -->")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def campaign(folder) -> None:
    """Add the cells that `cl-condense table --results FOLDER` filled to docs/campaign, and draw all of them."""
    filled = Campaign(HOME)
    with one_line():
        for line in merge(folder, filled.home) if folder else ():
            click.echo(line)
        names = [path.name for path in filled.draw()]
    click.echo(f"drew {', '.join(names) or 'nothing'}; show them with <!-- campaign: TABLE -->")


if __name__ == "__main__":
    main()
