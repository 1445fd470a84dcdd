"""Whether results in a folder are of the images that there are today: no cell of a table names its images."""

from __future__ import annotations

import json
from pathlib import Path

from cl_condense.common.files import atomic
from cl_condense.common.foreign import read_object
from cl_condense.common.plain import Json

_FILE = "data.json"


def check(folder: Path, dataset: str, mark: str) -> None:
    """Raises ValueError where a folder has results of a data set with another fingerprint."""
    theirs = _read(folder).get(dataset, mark)
    if theirs != mark:
        raise ValueError(
            f"{folder} holds results of other {dataset} images than these: give those as --data, or another "
            "--results"
        )


def leave(folder: Path, dataset: str, mark: str) -> None:
    """Writes down that results of a data set, begun or done, are of images with this fingerprint."""
    if (known := _read(folder)).get(dataset) != mark:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(folder / _FILE) as temporary:
            temporary.write_text(json.dumps(known | {dataset: mark}, indent=1) + "\n")


def _read(folder: Path) -> Json:
    path = folder / _FILE
    return read_object(path, "what images results are of", "take it out") if path.exists() else {}
