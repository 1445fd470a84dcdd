"""The formats of condensed sets by name: a format is a file of this folder and a line here."""

from __future__ import annotations

from cl_condense.condensation.formats.arrays import NPZ
from cl_condense.condensation.formats.bare import BARE
from cl_condense.condensation.formats.contract import Format
from cl_condense.condensation.formats.folders import FOLDER
from cl_condense.condensation.formats.hub import HUB
from cl_condense.condensation.formats.listed import LISTED
from cl_condense.condensation.formats.ours import OWN
from cl_condense.condensation.formats.vico import VICO

FORMATS: dict[str, Format] = {
    "pt": VICO,
    "list": LISTED,
    "ddranking": BARE,
    "npz": NPZ,
    "hub": HUB,
    "png": FOLDER,
    "safetensors": OWN,
}
"""In the order in which a source is looked at: the first that holds it reads it."""

EXPORTS: dict[str, Format] = {name: form for name, form in FORMATS.items() if form.write}
"""Those that are written for others."""
