"""``cl-condense report``: results as pages."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from cl_condense.cli import names, shared
from cl_condense.cli.useless import of_report, refuse, written

_EXAMPLES = """
\b
Examples:
  cl-condense report results
  cl-condense report runs --out pages/runs.html
  cl-condense report condensed --figures --data ~/data
"""


@click.command(epilog=_EXAMPLES)
@click.argument("folder", metavar="DIR", type=shared.PATH)
@shared.out("HTML file.  [default: report.html in DIR]")
@click.option(
    "--figures",
    is_flag=True,
    help="Condensed sets beside their real images: where they started, t-SNE, style drift, consistency ratio.",
)
@click.option("--data", type=shared.PATH, help="With --figures: folder of the data sets' files.")
@click.option(
    "--device",
    type=names.DEVICE,
    default="auto",
    show_default=True,
    help="For --figures: auto, cpu, cuda, cuda:1, ...",
)
def report(folder: Path, out: Path | None, figures: bool, data: Path | None, device: str) -> None:
    """What is in a folder of results, as one HTML page that loads nothing, and as Markdown.

    DIR holds, at any depth, what `table`, `run` and `condense` wrote. With --figures it takes a minute or more
    for each data set; what was measured is kept beside the sets.
    """
    from cl_condense.common.progress_bar import ProgressBar  # noqa: PLC0415
    from cl_condense.reports.html import write  # noqa: PLC0415 - it takes seconds, and --help should not
    from cl_condense.reports.html.realdata import RealData  # noqa: PLC0415

    refuse(written(), of_report(figures))
    look = partial(RealData.of, data=data, device=device, watch=ProgressBar) if figures else None
    for path in write(folder, out, look):
        click.echo(f"wrote {path}")
