"""Loggers by name, in the form in which people give them: ``csv:FILE``, ``tensorboard:DIR``."""

from __future__ import annotations

from importlib.util import find_spec

from cl_condense.common.kinds import check_kind
from cl_condense.common.loggers.contract import Logger
from cl_condense.common.loggers.csv_file import CsvFile
from cl_condense.common.loggers.tensorboard import TensorBoard
from cl_condense.common.loggers.weights_and_biases import WeightsAndBiases
from cl_condense.common.suggest import choice

LOGGERS: dict[str, type[Logger]] = {
    "csv": CsvFile,
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}

FORMS = ", ".join(f"{name}:{kind.place}" for name, kind in LOGGERS.items())
"""All forms, for people."""


def check_logger(text: object, option: str) -> None:
    """Looks at a logger as people give it, and opens nothing.

    Raises:
        ValueError: for one that is not known, without a place or one that cannot be written to, or whose
            package is not installed.
    """
    check_kind(option, text, str, f"one of {FORMS}")
    kind, place = _parts(str(text), option)
    kind.check(place, option)
    if kind.package and find_spec(kind.package) is None:
        raise ValueError(
            f"{option} {text} needs the package {kind.package}: pip install 'cl-condense[{kind.package}]', "
            "or take csv:FILE, which needs none"
        )


def open_logger(text: str, run: str) -> Logger:
    """A logger that has been looked at, for a run of a name."""
    kind, place = _parts(text, "log")
    return kind(place, run)


def _parts(text: str, option: str) -> tuple[type[Logger], str]:
    name, colon, place = text.partition(":")
    if name not in LOGGERS:
        choice(f"logger of {option}", name, LOGGERS)
    if not colon or not place.strip():
        raise ValueError(f"{option} {text}: give {name}:{LOGGERS[name].place}")
    return LOGGERS[name], place
