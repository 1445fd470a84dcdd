"""Options in TOML files: keys are the options of the command line without dashes before them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from cl_condense.common.files import atomic
from cl_condense.common.foreign import reading
from cl_condense.common.plain import Json, Values
from cl_condense.data.preparation import Preparation
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.runs.run_config import LATER, RunConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_NAMES = {"methods": "method", "max_bytes": "bytes", "compiled": "compile", "real_per_class": "real-per-class"}
_NAMES |= {"trainers": "trainer", "order_seed": "order-seed", "training_precision": "training-precision"}
_MOST = 2**20  # bytes: a reader of TOML takes its time
_MADE = {"data", "class_orders"}  # of the images, and of a file: no option says it


def options(config: CondenseConfig | TrainConfig | RunConfig) -> Json:
    """The options that give this config, whatever the defaults of its data set are."""
    values = config.flat() if isinstance(config, RunConfig) else asdict(config)
    values = {k: v for k, v in values.items() if k == "trainers" or v != LATER.get(k, _MADE)}
    return {_NAMES.get(k, k): v for k, v in values.items() if v is not None and k not in _MADE}


def reading_options(preparation: Preparation) -> Json:
    """The options that prepare a data set so."""
    return {key.replace("_", "-"): value for key, value in preparation.options().items()}


def write(path: Path, values: Values) -> None:
    """Writes options that ``read`` gives again: text, numbers, true or false, and lists of them."""
    with atomic(path) as temporary:
        lines = (_line(key, value) for key, value in values.items())
        temporary.write_text("".join(lines), encoding="utf-8")


def read(path: Path) -> Json:
    """The options in a file.

    Raises:
        ValueError: for a file that is not there or no TOML.
    """
    with reading(path, "TOML", "give a file such as config.toml of a run", _MOST):
        return tomllib.loads(path.read_text(encoding="utf-8"))


def _line(key: str, value: object) -> str:
    text = f"{key} = {_toml(value)}\n"
    try:
        text.encode()
    except UnicodeEncodeError:  # a path may have any bytes, TOML is UTF-8
        return f"# {key} has bytes that are no UTF-8: give it on the command line\n"
    return text


def _toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    # A text of JSON is one of TOML, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
