"""``cl-condense export``: condensed sets for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from cl_condense.cli import names, shared

_EXAMPLES = """
\b
Examples:
  cl-condense export ddm.safetensors --format pt --out ddm.pt
  cl-condense export ddm.safetensors --format png --out ddm-images
  cl-condense export ddm.safetensors --format hub \\
      --records scores.jsonl --out ddm-hub
"""


@click.command(epilog=_EXAMPLES)
@click.argument("file", type=shared.PATH)
@click.option(
    "--format",
    "kind",
    type=names.FORMAT,
    required=True,
    help="pt (DC's published layout), list (IDC's), ddranking, npz, png, or hub (Hugging Face's, with a card).",
)
@click.option("--out", required=True, type=shared.PATH, help="File, or folder for ddranking, png and hub.")
@click.option(
    "--records", type=shared.PATH, help="Accuracies for the card of hub, as evaluate --records wrote them."
)
def export(file: Path, kind: str, out: Path, records: Path | None) -> None:
    """Write a condensed set for other programs: .pt, .npz, a folder of images, or one for Hugging Face."""
    from cl_condense.condensation.condensed_set import CondensedSet  # noqa: PLC0415
    from cl_condense.condensation.formats.export import check_out  # noqa: PLC0415
    from cl_condense.condensation.formats.export import export as write  # noqa: PLC0415
    from cl_condense.runs.about import about_set  # noqa: PLC0415

    if records and kind != "hub":
        raise ValueError(f"--records {records}: hub alone has a card for accuracies: leave it out")
    check_out(out, kind)
    made = CondensedSet.load(file)
    click.echo(f"wrote {write(made, out, kind, about_set(file, records) if kind == 'hub' else None)}")
