"""What a logger is."""

from __future__ import annotations

from typing import ClassVar, Protocol

from PIL.Image import Image


class Logger(Protocol):
    """Somewhere that curves go to; made with its place and the name of a run.

    What a run of the same name left there is gone on with. An error of a logger ends that logger, not the work.
    """

    place: ClassVar[str]
    """What stands after the colon, in a word for people: ``csv:FILE``."""

    package: ClassVar[str]
    """The package that it needs, which is the extra's name too; empty where it needs none."""

    def __init__(self, place: str, run: str) -> None: ...

    @staticmethod
    def check(place: str, option: str) -> None:
        """Raises ValueError for a place that cannot be written to; nothing changes there."""

    def last(self) -> dict[str, int]:
        """The last step of each curve, and of each picture, that the run has there."""
        ...

    def scalar(self, curve: str, value: float, step: int) -> None:
        """A point; the steps of a curve rise."""

    def picture(self, name: str, image: Image, step: int) -> None:
        """An RGB picture."""

    def close(self) -> None:
        """All is where it is to be."""
