"""Condensed sets written for other programs, in any format of the table."""

from __future__ import annotations

import os
from pathlib import Path

from cl_condense.common.files import atomic, atomic_folder, writable
from cl_condense.common.plain import Json
from cl_condense.common.suggest import choice
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.registry import EXPORTS


def export(condensed: CondensedSet, path: Path, kind: str, about: Json | None = None) -> Path:
    """Writes a set for others, of a kind in ``formats.registry.EXPORTS``.

    ``pt`` and ``ddranking`` have decoded images with the values of a network's input, ``list`` undecoded ones
    from black 0 to white 1, the others decoded pixels, cut to 0 to 255. ``about`` is what is known of the
    making of the set; ``hub`` writes it on its card.

    Raises:
        ValueError: as ``check_out``, and for what the kind cannot hold.
    """
    check_out(path, kind)
    form = EXPORTS[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    assert form.write
    with atomic(path) if form.suffix else atomic_folder(path) as temporary:
        form.write(condensed, temporary, about or {})
    return path


def check_out(path: Path, kind: str) -> None:
    """Whether a set can be exported there.

    Raises:
        ValueError: for another kind, a name that says another kind, where there is something already, and
            where nothing can be written.
    """
    suffix = EXPORTS[choice("format", kind, EXPORTS)].suffix
    if not suffix and path.suffix.lower() in (".png", ".pt", ".npz", ".parquet"):
        raise ValueError(f"--out {path}: {kind} is a folder: name one")
    if suffix and path.suffix != suffix:
        raise ValueError(f"--out {path}: name a {suffix} file, or give another --format")
    if os.path.lexists(path):
        raise ValueError(f"{path} is there already: give another --out")
    writable(path, "--out", folder=not suffix)
