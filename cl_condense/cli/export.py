"""``cl-condense export``: condensed sets for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from cl_condense.cli import shared, types

_EXAMPLES = """
\b
Examples:
  cl-condense export ddm.safetensors --format pt --out ddm.pt
  cl-condense export ddm.safetensors --format png --out ddm-images
"""


@click.command(epilog=_EXAMPLES)
@click.argument("file", type=shared.PATH)
@click.option(
    "--format", "kind", type=types.FORMAT, required=True, help="pt (the published layout), npz or png."
)
@click.option("--out", required=True, type=shared.PATH, help="File, or folder for png.")
def export(file: Path, kind: str, out: Path) -> None:
    """Write a condensed set for other programs: .pt, .npz, or a folder of PNG files."""
    from cl_condense.condensation.condensed_set import CondensedSet  # noqa: PLC0415
    from cl_condense.condensation.formats.export import check_out  # noqa: PLC0415
    from cl_condense.condensation.formats.export import export as write  # noqa: PLC0415

    check_out(out, kind)
    click.echo(f"wrote {write(CondensedSet.load(file), out, kind)}")
