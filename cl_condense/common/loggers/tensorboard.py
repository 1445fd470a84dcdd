"""Curves and pictures as TensorBoard's event files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL.Image import Image

from cl_condense.common.files import writable
from cl_condense.common.paths import path_of


class TensorBoard:
    """Event files in a folder of the run's name; ``tensorboard --logdir`` of the place compares its runs."""

    place: ClassVar = "DIR"
    package: ClassVar = "tensorboard"

    def __init__(self, place: str, run: str) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra

        self._folder = Path(place) / run
        self._last = _last(self._folder)  # before there is a file of this process
        self._writer = SummaryWriter(str(self._folder))

    @staticmethod
    def check(place: str, option: str) -> None:
        writable(path_of(option, place), option, folder=True)

    def last(self) -> dict[str, int]:
        return self._last

    def scalar(self, curve: str, value: float, step: int) -> None:
        self._writer.add_scalar(curve, value, step)
        self._writer.flush()  # what is killed leaves no gap

    def picture(self, name: str, image: Image, step: int) -> None:
        self._writer.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _last(folder: Path) -> dict[str, int]:
    """The last steps in the event files of a folder; a last event that a crash cut off does not count."""
    if not folder.is_dir():
        return {}
    from tensorboard.backend.event_processing import event_accumulator as events  # noqa: PLC0415

    keep = {events.SCALARS: 0, events.IMAGES: 1}  # 0 is all of them
    found = events.EventAccumulator(str(folder), size_guidance=keep, purge_orphaned_data=False)
    found.Reload()
    tags = found.Tags()
    last = {tag: max(event.step for event in found.Scalars(tag)) for tag in tags[events.SCALARS]}
    return last | {tag: max(event.step for event in found.Images(tag)) for tag in tags[events.IMAGES]}
