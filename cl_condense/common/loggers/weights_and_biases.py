"""Curves and pictures as a run of Weights & Biases."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any, ClassVar

from PIL.Image import Image

from cl_condense.common.files import atomic, writable
from cl_condense.common.foreign import read_object

_STEP = "step"


class WeightsAndBiases:
    """A run of a project. It never asks for a key: where none is known it works offline, for ``wandb sync``.

    ``WANDB_MODE`` and the package's other variables are heeded. An offline run cannot be asked what it has, so
    the last steps are kept in a file beside it, in the folder ``wandb``.
    """

    place: ClassVar = "PROJECT"
    package: ClassVar = "wandb"

    def __init__(self, place: str, run: str) -> None:
        import wandb  # noqa: PLC0415 - an extra

        number = hashlib.sha256(f"{place}\n{run}".encode()).hexdigest()[:12]
        self._kept = _folder() / f"cl-condense-{number}.json"
        self._steps: dict[str, int] = {}
        if self._kept.exists():
            known = read_object(self._kept, "the last steps of curves", "remove it")
            self._steps = {str(k): int(v) for k, v in known.items()}
        mode: Any = os.environ.get("WANDB_MODE")
        if not mode:
            mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
            if mode == "offline":
                folder = self._kept.parent
                warnings.warn(f"wandb knows no key: the run is kept in {folder} for wandb sync", stacklevel=2)
        quiet = wandb.Settings(console="off", silent=True, x_disable_stats=True)
        self._image = wandb.Image
        self._run: Any = wandb.init(
            project=place, id=number, name=run, resume="allow", mode=mode, settings=quiet, reinit="create_new"
        )
        self._run.define_metric(_STEP, hidden=True)
        self._run.define_metric("*", step_metric=_STEP)

    @staticmethod
    def check(place: str, option: str) -> None:
        if not place or set(place) & set("/\\#?%:"):
            raise ValueError(f"{option} wandb:{place}: give the name of a project, without / \\ # ? % :")
        writable(_folder(), f"{option} wandb:{place}", folder=True)

    def last(self) -> dict[str, int]:
        return self._steps

    def scalar(self, curve: str, value: float, step: int) -> None:
        self._put(curve, value, step)

    def picture(self, name: str, image: Image, step: int) -> None:
        self._put(name, self._image(image), step)

    def close(self) -> None:
        self._run.finish()

    def _put(self, name: str, value: object, step: int) -> None:
        self._run.log({name: value, _STEP: step})
        self._steps = {**self._steps, name: step}
        with atomic(self._kept) as temporary:
            temporary.write_text(json.dumps(self._steps))


def _folder() -> Path:
    """Where the package keeps its files."""
    return Path(os.environ.get("WANDB_DIR") or ".") / "wandb"
