"""Commands, citations and numbers as a page says them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import cache

from cl_condense.common.plain import Json, Values
from cl_condense.data.preparation import in_one
from cl_condense.methods import describe
from cl_condense.methods.expressions import names_of
from cl_condense.runs.defaults import economy_option, own_numbers
from cl_condense.runs.run_config import RunConfig

USUAL: Json = RunConfig.of("").flat()
"""What a command takes where nothing is said."""


def own(values: Json) -> Json:
    """Of the fields that a data set chooses, those that are other than its own."""
    usual = USUAL | own_numbers(str(values["dataset"]))
    return {k: values[k] for k in ("depth", "augment") if values.get(k) not in (None, usual[k])}


def economy_words(record: Values) -> list[str]:
    """The option with which methods condense as a record says; none for a record that no command would take."""
    try:
        option = economy_option(record)
    except ValueError:
        return []
    return [option] if option else []


def options(values: Values) -> list[object]:
    """Options of fields of configs; those at rest are left out, and economy, which has words of its own."""
    rest = {k: USUAL[k] for k in "precision training_precision compiled network evaluation".split()}
    rest["reuse"] = None if values.get("economy") else 1
    given = {k: v for k, v in values.items() if v is not None and (k not in rest or v != rest[k])}
    flags = ["--compile"] if given.get("compiled") else []
    valued = {k.replace("_", "-"): v for k, v in given.items() if not isinstance(v, bool)}
    return [*flags, *(word for k, v in valued.items() for word in (f"--{k}", v))]


def data_words(dataset: object) -> list[str]:
    return [] if dataset == "digits" else ["--data", "DATA"]


def reading_words(record: Values) -> list[str]:
    """The options that read the images of a record, or of the settings of a run."""
    return ["--dataset", str(record["dataset"]), *data_words(record["dataset"]), *preparation_words(record)]


def preparation_words(record: Values) -> list[str]:
    """Of these the options that prepare a data set."""
    words: list[str] = []
    for key, value in dict(record.get("preparation") or {}).items():
        words.append(f"--{key.replace('_', '-')}")
        words += [] if value is True else [in_one(value) if isinstance(value, list) else str(value)]
    return words


def shell(words: Sequence[object]) -> str:
    return shlex.join(["cl-condense", *map(str, words)])


@cache
def _papers() -> dict[str, str]:
    """Papers by method and, with a plus before it, by modifier."""
    pairs = (zip(t.columns[0].cells, t.columns[2].cells, strict=True) for t in describe.tables())
    return {str(name): str(paper) for table in pairs for name, paper in table}


def cite(method: str) -> str:
    """The papers of a method and its modifiers, each once; empty where there is none."""
    base, *suffixes = names_of(method.partition(":")[0])
    known = [_papers().get(name, "") for name in (base, *(f"+{s}" for s in suffixes))]
    return "; ".join(dict.fromkeys(paper for paper in known if paper))


def pairs(values: Values | None) -> str:
    return ", ".join(f"{k} {plainly(v)}" for k, v in dict(values or {}).items())


def plainly(value: object) -> str:
    """A setting of a record: a part of a recipe as it stands in Python."""
    if isinstance(value, dict):
        inside = ", ".join(f"{k}={plainly(v)}" for k, v in value.items() if k != "kind")
        return f"{value.get('kind', '')}({inside})"
    if isinstance(value, list):
        return ", ".join(map(plainly, value)) or "none"
    return str(value)


def seconds_words(value: float | None) -> str:
    return f"{float(value):.0f} s" if value is not None else "time not recorded"
