"""Types of options that hold numbers and places, by one rule; names are in ``cli.names``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from cl_condense.common.durations import duration
from cl_condense.common.foreign import shown
from cl_condense.common.numbers import SEED_MAX, digits, finite, whole
from cl_condense.common.paths import path_of

_PORTS = range(1, 65536)


class Bad(click.UsageError):
    """A value that is refused in words of ours, which say what to give."""


def option_of(param: click.Parameter | None) -> str:
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
            return whole(option_of(param), digits(str(value)), self.at_least, self.at_most)
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
            return finite(option_of(param), found, above=0, below=1)
        except ValueError:
            raise Bad(f"{option_of(param)} {shown(value)}: give a number above 0 and below 1", ctx) from None


class Amount(Share):
    """A number of at least 0; the message names the option."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = value
        with suppress(ValueError):
            found = float(str(value))
        try:
            return finite(option_of(param), found, at_least=0)
        except ValueError:
            raise Bad(f"{option_of(param)} {shown(value)}: give a number of at least 0", ctx) from None


class Channels(Whole):
    """Channels of images: 1 or 3."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if str(value) not in ("1", "3"):
            raise Bad(f"{option_of(param)} {shown(value)}: give 1 (grey) or 3", ctx)
        return int(str(value))


class Checked(Kind):
    """A text that is read later, and refused now where it could not be; the message names the option."""

    def check(self, option: str, text: str) -> object:
        """Raises ValueError for what cannot be read."""
        raise NotImplementedError

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            self.check(option_of(param), str(value))
        except ValueError as error:
            raise Bad(str(error), ctx) from None
        return str(value)


class Size(Checked):
    """The size of images, such as 64 or 48x64."""

    name = "size"

    def check(self, option: str, text: str) -> object:
        from cl_condense.data.shaping import as_size  # noqa: PLC0415

        return as_size(text, option)


class Values(Checked):
    """Values of a setting, such as lr=0.1,1."""

    name = "sweep"

    def check(self, option: str, text: str) -> object:
        from cl_condense.methods.sweeps import Sweep  # noqa: PLC0415

        try:
            return Sweep.of(text)
        except ValueError as error:
            raise ValueError(f"{option} {error}") from None


class Moments(Checked):
    """Iterations, or shares of them, such as 100,1000,50%."""

    name = "iterations"

    def check(self, option: str, text: str) -> object:
        from cl_condense.runs.moments import moments  # noqa: PLC0415

        return moments(option, text)


class Steps(Checked):
    """Steps of a stream, such as 5,10, or last."""

    name = "steps"

    def check(self, option: str, text: str) -> object:
        from cl_condense.runs.stream import steps_named  # noqa: PLC0415

        return steps_named(option, text)


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
            return duration(option_of(param), str(value))
        except ValueError as error:
            raise Bad(str(error), ctx) from None


class Address(Kind):
    """A Ray cluster that answers: auto, or HOST:PORT; the message names the option."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        host, _, port = str(value).rpartition(":")
        if value != "auto" and (not host or "/" in host or not port.isdecimal() or int(port) not in _PORTS):
            raise Bad(f"{option_of(param)} {shown(value)}: give auto, or HOST:PORT such as 10.0.0.1:6379", ctx)
        if ctx is None or not ctx.resilient_parsing:
            from cl_condense.runs.ray.address import check_address  # noqa: PLC0415

            check_address(str(value))
        return str(value)


class Place(click.Path):
    """A path that a file can have; the message names the option."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        try:
            return path_of(option_of(param), value)
        except ValueError as error:
            raise Bad(str(error), ctx) from None


COUNT, SEED, DURATION, PATH = Whole(), Whole(0, SEED_MAX), Duration(), Place()
SWEEP, MOMENTS, STEPS = Values(), Moments(), Steps()
ADDRESS = Address()
SIZE, CHANNELS, SHARE, AMOUNT, CLASSES = Size(), Channels(), Share(), Amount(), Listed()
