"""Records of measurements: what a command wrote, made compact for docs/records, and read again.

A record has every accuracy, or every time, and no figure that follows from them. They are not rounded, lest the
page round them once more than the terminal did. Its digest tells a change by hand.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from forms import FORMS

from cl_condense.common.files import atomic
from cl_condense.runs.defaults import default_epochs, defaults, economy_option
from cl_condense.runs.provenance import together
from cl_condense.runs.records import read
from cl_condense.runs.run_config import RunConfig

HEAD = "kind command commit device threads versions date seed settings".split()
SIDES = ("reference", "ours")
_COLUMNS = "step classes_seen stored_images stored_bytes condense_seconds train_seconds accuracies".split()
_JOB = (
    *("method", "classes", "ipc", "size", "width", "real", "images", "images_bytes"),
    *("networks", "epochs", "precision", "compiled", "iterations", "repeats"),
)


def compact(path, commit=None):
    """The record of a run's folder or of a file that a command wrote with --json.

    ``commit`` is for what an earlier version wrote, which does not say it.

    Raises:
        ValueError: for what is no measurement, and for one without a commit that others have.
        OSError: for a path that is not there.
    """
    if commit and not re.fullmatch("[0-9a-f]{7,40}", commit):
        raise ValueError(f"--commit {commit}: give 7 to 40 digits of its hash")
    by_hand = f"{commit} (by hand)" if commit else None
    with _whole(path):
        found = _run(path, by_hand) if path.is_dir() else _file(json.loads(path.read_text()))
    said = found["commit"]
    if by_hand and by_hand not in (said or by_hand):
        raise ValueError(f"{path} says itself that its commit is {said}: leave --commit out")
    found["commit"] = said or by_hand
    if not found["commit"]:
        raise ValueError(f"{path} does not say the commit of its code: give it with --commit")
    if "+" in found["commit"]:
        raise ValueError(f"{path} was measured with code that no commit has ({said}): commit it, measure again")
    if not found["rows"]:
        raise ValueError(f"{path} holds no result yet: let the command finish")
    return {key: found.get(key) for key in HEAD} | {"rows": found["rows"]}


def save(folder, name, record):
    """Writes ``folder/NAME.json``, a line a row, and returns its path."""
    path = _path(folder, name)
    folder.mkdir(parents=True, exist_ok=True)
    head = [f'"{key}": {json.dumps(value)}' for key, value in record.items() if key != "rows"]
    rows = ",\n".join("  " + json.dumps(row) for row in record["rows"])
    lines = [*head, f'"rows": [\n{rows}\n ]', f'"digest": "{_digest(record)}"']
    with atomic(path) as temporary:
        temporary.write_text("{\n " + ",\n ".join(lines) + "\n}\n")
    return path


def load(folder, name):
    """The record of a name.

    Raises:
        ValueError: where it is not there, damaged or changed by hand.
    """
    path = _path(folder, name)
    if not path.exists():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.json"))) or "none"
        raise ValueError(f"no record {name} in {folder} (there: {there}): make it with reproducibility.py add")
    with _whole(path):
        record = json.loads(path.read_text())
        digest = record.pop("digest")
        same = digest == _digest(record)
    if not same:
        raise ValueError(f"{path} was changed by hand: add it again from what was measured")
    return record


def _path(folder, name):
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise ValueError(f"{name!r} as a record's name: use small letters, digits, dots and dashes")
    return folder / f"{name}.json"


def _digest(record):
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def _whole(path) -> Iterator[None]:
    """Errors of reading a file of another shape, as one that names it."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} is damaged or no measurement: {what}") from None


def _run(folder, by_hand):
    """A class-incremental run: a row has the steps of a method, a trainer and a class order."""
    settings = json.loads((folder / "settings.json").read_text())
    settings.pop("threads", None)  # each line says its own
    lines = read(folder / "records.jsonl")
    rows = {}
    for line in lines:
        of = {key: line[key] for key in ("method", "trainer", "order") if key in line}
        columns = [*_COLUMNS, *(["by_step"] if "by_step" in line else [])]
        row = rows.setdefault(tuple(of.values()), of | {column: [] for column in columns})
        for column in columns:
            row[column].append(line[column])
    made = together([{**line, "commit": line.get("commit") or by_hand} for line in lines])
    head = {"kind": "run", "command": run_command(settings), **made, "seed": settings["seed"]}
    return {**head, "settings": settings, "rows": [*rows.values()]}


def run_command(settings):
    """The shortest `cl-condense run` that has these settings.

    Raises:
        ValueError: for settings that the command line does not have.
    """
    option = economy_option(settings)
    chosen = {"": None, "--economy": True, "--papers": False}[option]
    said = RunConfig.read(settings).values()
    dataset, methods = said["dataset"], said["methods"]
    usual = RunConfig.of(dataset, methods, **defaults(dataset, methods, chosen)).values()
    usual |= {"epochs": default_epochs(dataset, said["evaluation"]), "economy": said["economy"]}
    usual |= {"reuse": None if said["economy"] else 1, "device": said["device"], "data": said["data"]}
    usual |= {} if said["ipc"] else {"ipc": None}
    words = ["cl-condense", "run"]
    words += [] if dataset == "digits" else ["--dataset", dataset, "--data", "DIR"]
    words += [option] if option else []
    if "class_orders" in said:
        raise ValueError("a run with class orders of its own: records are of commands that all can give")
    for name in (name for name in said if said[name] != usual.get(name)):
        if said[name] is None:
            raise ValueError(f"a run of {dataset} with settings that no command has: records are of commands")
        option = {"max_bytes": "--bytes", "compiled": "--compile", "trainers": "--trainer"}.get(
            name, f"--{name.replace('_', '-')}"
        )
        each = said[name] if name == "trainers" else [said[name]]
        words += [option] if name == "compiled" else [w for value in each for w in (option, str(value))]
    return shlex.join(words + [w for m in methods for w in ("--method", m)])


def _file(found):
    """A file of a benchmark, or of `cl-condense table`."""
    if "ceilings" in found:
        return _speed(found)
    if found["kind"] == "table":
        made = together([row.pop("origin") for row in found["rows"]])
        found = {**found, **made}
    elif found["kind"] not in {kind for kind, _ in FORMS.values()}:
        raise ValueError(f"kind {found['kind']!r}: give a file of held_out.py, speed.py or `cl-condense table`")
    return found


def _speed(found):
    """Comparisons with a plain loop: a row has the times of both sides, which took turns."""
    rows = []
    for each in (each for part in ("condense", "evaluate", "classes") for each in found.get(part, [])):
        sides = {s: {"seconds": each[s]["all_seconds"], "peak_bytes": each[s]["peak_bytes"]} for s in SIDES}
        rows.append({k: each[k] for k in _JOB if k in each} | sides)
    settings = {k: found.get(k) for k in ("ceilings", "float32_matmul_precision", "cudnn_tf32")}
    head = {"kind": "speed", "command": found["command_line"], "settings": settings}
    return {**found, **head, "seed": 0, "rows": rows}
