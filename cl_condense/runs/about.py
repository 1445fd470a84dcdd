"""What is known of the making of a condensed set: from its record, its options, records of evaluations."""

from __future__ import annotations

import hashlib
import json
import shlex
from contextlib import suppress
from pathlib import Path

from cl_condense.common.foreign import check_file, one_line
from cl_condense.common.plain import Json
from cl_condense.data.licences import LICENCES
from cl_condense.runs import config_file
from cl_condense.runs.baselines import spread
from cl_condense.runs.records import lines, read_one

_REMEDY = "give the file that evaluate --records wrote"


def about_set(file: Path, records: Path | None = None) -> Json:
    """For the card of a set: data set, licence, command, commit, bytes, hash, and accuracies.

    The files that ``condense`` left beside the set say the first of them; what is not there is left out.

    Args:
        file: the set.
        records: of evaluations; those of this file are listed, whatever its name was then. Records of before
            they had a hash go by name.

    Raises:
        ValueError: for records that are absent or damaged, and where none is of the set.
    """
    data, record = file.read_bytes(), {}
    with suppress(ValueError, OSError):
        record = read_one(file.with_suffix(".json"), "remove it")
    dataset = str(record.get("dataset") or "")
    about: Json = {
        "dataset": dataset,
        "commit": record.get("commit"),
        "command": _command(file.with_suffix(".toml")),
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
    }
    about["accuracies"] = _accuracies(file, about["sha256"], records) if records else []
    if dataset in LICENCES:
        about |= dict(zip(("licence_id", "licence"), LICENCES[dataset], strict=True))
    elif dataset:
        about["licence"] = "that of the images it was made from: say it here"
    return about


def _command(options: Path) -> str:
    """The command that repeats a condensation; nothing where its options are not there."""
    try:
        found = config_file.read(options)
    except ValueError:
        return ""
    words = ["cl-condense", "condense"]
    for key, value in found.items():
        if key == "economy":
            words.append("--economy" if value else "--papers")
        elif value is True:
            words.append(f"--{key}")
        elif value is not False and key not in ("device", "data"):
            words += [f"--{key}", str(value)]
    return shlex.join(words) + (" --data DIR" if "data" in found else "")


def _accuracies(file: Path, own_hash: str, records: Path) -> list[str]:
    check_file(records, _REMEDY)
    found = lines(records, lambda r: json.dumps(r, sort_keys=True), ("accuracies",), lambda *_: None)
    named = [r for r in found if Path(str(r.get("file", ""))).name == file.name]
    own = [r for r in found if r.get("sha256", own_hash if r in named else "") == own_hash]
    if named and not own:
        raise one_line(f"{records} has records of another {file.name}: evaluate this one, with --records")
    if not own:
        raise one_line(f"{records} has no record of {file.name}: {_REMEDY}")
    return [
        f"{spread(r['accuracies'])}, {r.get('network', 'a network')}, {r.get('evaluation', 'augmented')}, "
        f"{_epochs(r.get('epochs', '?'))}" + (", soft labels" if r.get("labels") == "soft" else "")
        for r in own
    ]


def _epochs(n: object) -> str:
    return f"{n} epoch" if n == 1 else f"{n} epochs"
