"""``.safetensors``: our own files, which leave nothing open."""

from __future__ import annotations

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.contract import Asked, Format, Source
from cl_condense.condensation.formats.reading import Reading, settled
from cl_condense.condensation.formats.settling import labelled, naming, no_pairs


def _read(source: Source, asked: Asked) -> Reading:
    no_pairs(source.path, asked)
    made = CondensedSet.load(source.path)
    with naming(source.path):
        space = settled("space", asked.space, "normalised", None)
        factor = settled("factor", asked.factor, made.factor, None)
        return labelled(made, (space, factor), asked.classes)


OWN = Format("our own", lambda source: not source.folder and not source.torch, _read)
