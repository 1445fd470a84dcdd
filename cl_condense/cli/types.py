"""Types of options: numbers by one rule, and names that are known, suggested and completed.

Lists of names come from the rooms that have them, when a value is looked at: importing those takes seconds, and
``--help`` should not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import get_args

import click
from click.shell_completion import CompletionItem

from cl_condense.common.durations import duration
from cl_condense.common.foreign import shown
from cl_condense.common.numbers import SEED_MAX, digits, finite, whole
from cl_condense.common.paths import path_of
from cl_condense.common.suggest import choice

_PORTS = range(1, 65536)

Names = Callable[[], Iterable[str]]


class Bad(click.UsageError):
    """A value that is refused in words of ours, which say what to give."""


def _option(param: click.Parameter | None) -> str:
    """What a parameter is called in messages."""
    if isinstance(param, click.Argument):
        return param.human_readable_name
    return param.opts[0] if param else "value"


class Kind(click.ParamType):  # type: ignore[type-arg] # click 8.1 knows none
    """A type of options."""


class Whole(Kind):
    """A whole number; the message names the option."""

    name = "integer"

    def __init__(self, at_least: int = 1, at_most: int | None = None) -> None:
        self.at_least, self.at_most = at_least, at_most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return whole(_option(param), digits(str(value)), self.at_least, self.at_most)
        except ValueError as error:
            raise Bad(str(error), ctx) from None


class Share(Kind):
    """A share above 0 and below 1; the message names the option."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = value
        with suppress(ValueError):
            found = float(str(value))
        try:
            return finite(_option(param), found, above=0, below=1)
        except ValueError:
            raise Bad(f"{_option(param)} {shown(value)}: give a number above 0 and below 1", ctx) from None


class Amount(Share):
    """A number of at least 0; the message names the option."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = value
        with suppress(ValueError):
            found = float(str(value))
        try:
            return finite(_option(param), found, at_least=0)
        except ValueError:
            raise Bad(f"{_option(param)} {shown(value)}: give a number of at least 0", ctx) from None


class Channels(Whole):
    """Channels of images: 1 or 3."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if str(value) not in ("1", "3"):
            raise Bad(f"{_option(param)} {shown(value)}: give 1 (grey) or 3", ctx)
        return int(str(value))


class Size(Kind):
    """The size of images, such as 64 or 48x64; the message names the option."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from cl_condense.data.shaping import as_size  # noqa: PLC0415

        try:
            as_size(str(value), _option(param))
        except ValueError as error:
            raise Bad(str(error), ctx) from None
        return str(value)


class Values(Kind):
    """Values of a setting, such as lr=0.1,1; the message names the option."""

    name = "sweep"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from cl_condense.methods.sweeps import Sweep  # noqa: PLC0415

        try:
            Sweep.of(str(value))
        except ValueError as error:
            raise Bad(f"{_option(param)} {error}", ctx) from None
        return str(value)


class Moments(Kind):
    """Iterations, or shares of them, such as 100,1000,50%; the message names the option."""

    name = "iterations"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from cl_condense.runs.moments import moments  # noqa: PLC0415

        try:
            moments(_option(param), str(value))
        except ValueError as error:
            raise Bad(str(error), ctx) from None
        return str(value)


class Listed(Kind):
    """Names with commas between them, as a list, or the .txt file of one."""

    name = "names"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | list[str]:
        return [*map(str, value)] if isinstance(value, list | tuple) else str(value)


class Duration(Kind):
    """A length of time in seconds; the message names the option."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return duration(_option(param), str(value))
        except ValueError as error:
            raise Bad(str(error), ctx) from None


class Address(Kind):
    """A Ray cluster that answers: auto, or HOST:PORT; the message names the option."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        host, _, port = str(value).rpartition(":")
        if value != "auto" and (not host or "/" in host or not port.isdecimal() or int(port) not in _PORTS):
            raise Bad(f"{_option(param)} {shown(value)}: give auto, or HOST:PORT such as 10.0.0.1:6379", ctx)
        if ctx is None or not ctx.resilient_parsing:
            from cl_condense.runs.ray.address import check_address  # noqa: PLC0415

            check_address(str(value))
        return str(value)


class Place(click.Path):
    """A path that a file can have; the message names the option."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        try:
            return path_of(_option(param), value)
        except ValueError as error:
            raise Bad(str(error), ctx) from None


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
            check_logger(str(value), _option(param))
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

COUNT, SEED, DURATION, PATH = Whole(), Whole(0, SEED_MAX), Duration(), Place()
SWEEP, MOMENTS = Values(), Moments()
ADDRESS = Address()
SIZE, CHANNELS, SHARE, AMOUNT, CLASSES = Size(), Channels(), Share(), Amount(), Listed()
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
