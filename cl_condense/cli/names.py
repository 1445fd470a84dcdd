"""Types of options that hold names, which are known, suggested and completed.

Lists of names come from the rooms that have them, when a value is looked at: importing those takes seconds, and
``--help`` should not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import get_args

import click
from click.shell_completion import CompletionItem

from cl_condense.cli.types import Bad, Kind, option_of
from cl_condense.common.suggest import choice

Names = Callable[[], Iterable[str]]


class Name(Kind):
    """One of the names that are known; shells complete it, and a slip is told with the nearest one.

    Args:
        what: it names, in the message.
        names: gives those that are known.
        strict: others are refused; else they are left to what reads them.
    """

    def __init__(self, what: str, names: Names, strict: bool = True) -> None:
        self.name, self.what = what.replace(" ", ""), what
        self.names, self.strict = names, strict

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self.strict or (ctx and ctx.resilient_parsing):  # while a shell completes another option
            return str(value)
        try:
            return self.known(str(value))
        except ValueError as error:
            raise Bad(str(error), ctx) from None

    def known(self, value: str) -> str:
        """The value.

        Raises:
            ValueError: for one that is not known.
        """
        return choice(self.what, value, self.names())

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]


class MethodName(Name):
    """A method, with modifiers after plus signs and settings after an @."""

    def known(self, value: str) -> str:
        from cl_condense.methods.registry import build  # noqa: PLC0415

        build(value)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        method, at, last = incomplete.partition("@")
        if at:
            before, comma, last = last.rpartition(",")
            names, before = [f"{name}=" for name in _settings(method)], method + at + before + comma
        else:
            before, plus, last = incomplete.rpartition("+")
            names, before = [*(_modifiers() if plus else self.names())], before + plus
        return [CompletionItem(before + name) for name in names if name.startswith(last)]


class MemoryName(MethodName):
    """A method, or two of a hybrid memory with a share."""

    def known(self, value: str) -> str:
        from cl_condense.methods.hybrid import Hybrid  # noqa: PLC0415

        return value if Hybrid.of(value) else super().known(value)


class NetworkName(Name):
    """A network of the papers, or one of torchvision's with a prefix."""

    def known(self, value: str) -> str:
        from cl_condense.networks.registry import ARCHITECTURES  # noqa: PLC0415
        from cl_condense.networks.torchvision_nets import PREFIX, check_name  # noqa: PLC0415

        if value.startswith(PREFIX):
            check_name(value)
            return value
        return choice(self.what, value, ARCHITECTURES)


class DatasetName(Name):
    """A data set."""

    def known(self, value: str) -> str:
        from cl_condense.data.datasets import check_name  # noqa: PLC0415

        check_name(value)
        return value


class StreamName(DatasetName):
    """A data set, or one of several domains."""

    def known(self, value: str) -> str:
        from cl_condense.data.domain_names import is_domains  # noqa: PLC0415
        from cl_condense.data.domains import check_domains  # noqa: PLC0415

        if not is_domains(value):
            return super().known(value)
        check_domains(value)
        return value


class DeviceName(Name):
    """Where to compute: auto, or a device that is here."""

    def known(self, value: str) -> str:
        from cl_condense.common.devices import pick_device  # noqa: PLC0415

        if value != "auto":
            pick_device(value)
        return value


class Log(Kind):
    """A logger that is known, installed and has a place; the message names the option."""

    name = "logger"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from cl_condense.common.loggers.registry import check_logger  # noqa: PLC0415

        if ctx and ctx.resilient_parsing:
            return str(value)
        try:
            check_logger(str(value), option_of(param))
        except ValueError as error:
            raise Bad(str(error), ctx) from None
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from cl_condense.common.loggers.registry import LOGGERS  # noqa: PLC0415

        return [CompletionItem(f"{name}:") for name in LOGGERS if name.startswith(incomplete)]


def _listed(module: str, name: str) -> Names:
    """The names that a module of the package lists."""
    return lambda: getattr(import_module(f"cl_condense.{module}"), name)


def _methods() -> Iterable[str]:
    from cl_condense.methods.registry import BASES, COMPOSED  # noqa: PLC0415

    return [*COMPOSED, *BASES]


def _settings(method: str) -> Iterable[str]:
    from cl_condense.methods.registry import settings_of  # noqa: PLC0415

    try:
        return settings_of(method)
    except ValueError:
        return ()


def _networks() -> Iterable[str]:
    from cl_condense.networks.registry import ARCHITECTURES  # noqa: PLC0415
    from cl_condense.networks.torchvision_nets import names  # noqa: PLC0415

    return [*ARCHITECTURES, *names()]


def _precisions() -> Iterable[str]:
    from cl_condense.networks.contract import Precision  # noqa: PLC0415

    return get_args(Precision)


def _devices() -> Iterable[str]:
    import torch  # noqa: PLC0415

    return ("auto", "cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count())))


_modifiers, _datasets = _listed("methods.registry", "MODIFIERS"), _listed("data.datasets", "NAMES")

METHOD, PRINTED_METHOD = MethodName("method", _methods), MethodName("method", _methods, strict=False)
MEMORY = MemoryName("method", _methods)
DATASET, PRINTED_DATASET = DatasetName("data set", _datasets), Name("data set", _datasets, strict=False)
STREAM, SCENARIO = StreamName("data set", _datasets), Name("scenario", _listed("runs.stream", "SCENARIOS"))
NETWORK = NetworkName("network", _networks)
EVALUATION = Name("evaluation", _listed("runs.defaults", "EVALUATIONS"))
TABLE = Name("table", _listed("papers.titles", "TITLES"))
CODEC = Name("codec", _listed("condensation.codecs", "CODECS"))
TRAINER = Name("trainer", _listed("training.trainers", "TRAINERS"))
SHRINK = Name("shrink", _listed("condensation.condensed_set", "SHRINK"))
PRECISION = Name("precision", _precisions)
FORMAT = Name("format", _listed("condensation.formats.registry", "EXPORTS"))
SPACE = Name("space", lambda: ("auto", *_listed("condensation.formats.reading", "SPACES")()))
ORDER = Name("order", lambda: ("printed", "cheapest", "dearest"))
LOG = Log()
DEVICE = DeviceName("device", _devices)
