"""Do networks that train in bfloat16 score as those in float32? On condensed sets, from the same weights.

    python benchmarks/precision.py --data ~/data --json precision.json sets/*ddm-ipc10*.safetensors

Each set is evaluated at both precisions by `cl-condense evaluate`, whose records lie beside the file of --json:
the same command goes on, and does nothing again. Network i has the same weights at first, and the same
mini-batches and augmentation, at both. Training is compiled.
"""

import json
import shlex
from pathlib import Path

import click

from cl_condense.cli.main import cli
from cl_condense.common.files import content_hash
from cl_condense.runs.provenance import command_line, together

PRECISIONS = ("float32", "bfloat16")
_CHOSEN = "dataset networks epochs seed".split()
_OF_TRAINING = "dataset networks epochs evaluation network width augment compiled".split()


def evaluated(files, precision, records, options):
    """Records of the sets at a precision; what is there is not done again."""
    wanted = {k: options[k] for k in _CHOSEN} | {"training_precision": precision}
    own = [content_hash(file) for file in files]
    there = written(records, wanted)
    if missing := [file for file, key in zip(files, own, strict=True) if key not in there]:
        words = ["evaluate", *map(str, missing), "--training-precision", precision, "--records", str(records)]
        for name, value in options.items():
            words += [f"--{name}", str(value)]
        cli([*words, "--compile"], standalone_mode=False)
    there = written(records, wanted)
    return [there[key] for key in own]


def written(records, wanted):
    """The records in a file that have the values that are wanted, by the hash of their set's file."""
    lines = records.read_text().splitlines() if records.exists() else []
    found = map(json.loads, lines)
    return {each.get("sha256"): each for each in found if all(each[k] == v for k, v in wanted.items())}


def beside(full, reduced):
    """A row: what both evaluations of a set gave."""
    sides = zip(PRECISIONS, (full, reduced), strict=True)
    each = {p: {k: own[k] for k in ("accuracies", "seconds")} for p, own in sides}
    return {"set": Path(full["file"]).stem, **each}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--dataset", default="cifar10", show_default=True)
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--networks", default=10, show_default=True)
@click.option("--epochs", default=300, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--json", "json_file", required=True, type=click.Path(path_type=Path), help="A file for all.")
def main(files, json_file, **options) -> None:
    """Evaluates sets at both precisions."""
    given = {name: value for name, value in options.items() if value is not None}
    full, reduced = (evaluated(files, p, json_file.with_suffix(f".{p}.jsonl"), given) for p in PRECISIONS)
    record = {
        "kind": "precision",
        "command": shlex.join([*shlex.split(command_line("python benchmarks/precision.py")), *map(str, files)]),
        **together([*full, *reduced]),
        "seed": options["seed"],
        "settings": {name: full[0][name] for name in _OF_TRAINING},
        "rows": [beside(*pair) for pair in zip(full, reduced, strict=True)],
    }
    json_file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
