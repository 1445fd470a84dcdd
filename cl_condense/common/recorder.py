"""Loss curves, accuracies and pictures of work, to loggers while it goes on."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from cl_condense.common.foreign import reason
from cl_condense.common.kinds import check_kind
from cl_condense.common.loggers.contract import Logger
from cl_condense.common.loggers.registry import check_logger, open_logger
from cl_condense.common.progress import Progress

_LONGEST = 100  # characters of a folder's name


class Recorder:
    """Gives what it is told to loggers: the loss by iteration, and the picture at the end of a condensation.

    ``condense(..., on_iteration=Recorder("tensorboard:logs"))``, and so wherever progress is told;
    ``telling(ProgressBar(), recorder)`` has both. A curve is called ``loss/STAGE``, with the piece of work that
    the stage is a part of between the two; it has about 200 points. ``scalars`` adds numbers of any kind.

    One name is one run: where it is there, its curves go on after their last step, so that what is interrupted
    and done again leaves no step twice. Without a name it is a new run, called by the time. A logger that fails
    is left out with a warning; the work goes on.

    Args:
        loggers: ``csv:FILE``, ``tensorboard:DIR`` or ``wandb:PROJECT``, one or several. They are opened when
            there is something to write.
        name: of the run.

    Raises:
        ValueError: for a logger that is not known or not installed, and a place that cannot be written to.
    """

    def __init__(self, *loggers: str, name: str = "") -> None:
        check_kind("name", name, str, "a text")
        for text in loggers:
            check_logger(text, "log")
        self.name = _folder_name(name or datetime.now().strftime("%Y-%m-%d %H.%M.%S"))
        self._texts = loggers
        self._opened: list[_Opened] | None = None
        self._counts: dict[str, tuple[int, int]] = {}  # of each stage: how often it was there, its last step

    def __call__(self, progress: Progress) -> None:
        """Takes the loss of a stage, if it is worth a point, and the picture where the stage is over."""
        if not self._texts or not progress.on_curve:
            return
        step = int(progress.done)
        what = self._numbered("/".join(filter(None, (progress.of, progress.stage))), step)
        if progress.loss is not None:
            self.scalars({f"loss/{what}": float(progress.loss)}, step)
        if progress.over and (draw := progress.picture):
            self._each(f"images/{what}", step, lambda to, name: to.picture(name, draw(), step))

    def within(self, of: str, progress: Progress) -> None:
        """The same of a stage that is part of a piece of work."""
        self(progress.part_of(of))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """A point of each of these curves."""
        for curve, value in values.items():
            self._each(curve, step, partial(_scalar, value=value, step=step))

    def accuracies(self, of: str, values: Sequence[float]) -> None:
        """Accuracies of networks as a curve ``accuracy/OF``: the first network, the second, ..."""
        for number, value in enumerate(values, 1):
            self.scalars({f"accuracy/{of}": value}, number)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[[tuple[str, ...], str], Recorder], tuple[tuple[str, ...], str]]:
        """What is saved of it, as a part of something: its loggers and its name."""
        return _again, (self._texts, self.name)

    def close(self) -> None:
        """Ends the run; what is told later goes on with it."""
        for own in self._opened or ():
            _tried(own.logger.close)
        self._opened = None

    def _numbered(self, what: str, step: int) -> str:
        """What a stage is called: with a number where it has been there before in this process."""
        number, last = self._counts.get(what, (1, 0))
        number += step <= last
        self._counts[what] = number, step
        return what if number == 1 else f"{what} {number}"

    def _each(self, name: str, step: int, put: Callable[[Logger, str], None]) -> None:
        """Puts something into every logger that has not got it yet."""
        if self._opened is None:
            self._opened = []
            for text in self._texts:
                _tried(partial(self._begin, text))
        for own in [*self._opened]:
            if step > own.last.get(name, -1):
                if _tried(partial(put, own.logger, name)):
                    own.last[name] = step
                else:
                    self._opened.remove(own)
                    with suppress(Exception):
                        own.logger.close()

    def _begin(self, text: str) -> None:
        logger = open_logger(text, self.name)
        self._opened = [*(self._opened or ()), _Opened(logger, logger.last())]


@dataclass
class _Opened:
    """A logger at work, and the last steps that it has."""

    logger: Logger
    last: dict[str, int]


def _tried(do: Callable[[], object]) -> bool:
    """Does something with a logger; the work is worth more than its curves."""
    try:
        do()
    except Exception as error:
        warnings.warn(f"a logger is left out, since it failed ({reason(error)})", stacklevel=2)
        return False
    return True


def _scalar(to: Logger, name: str, *, value: float, step: int) -> None:
    to.scalar(name, value, step)


def _again(loggers: tuple[str, ...], name: str) -> Recorder:
    return Recorder(*loggers, name=name)


def _folder_name(name: str) -> str:
    """A name that a folder can have; a long one is cut, and told from others by eight characters."""
    plain = re.sub(r"[^\w .,=+-]", "_", name).strip(" .") or "run"
    if len(plain) <= _LONGEST and plain == name:
        return plain
    return f"{plain[: _LONGEST - 9].strip(' .')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
