"""The files of a class-incremental run, beside its settings and records."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cl_condense.common.checkpoint import Checkpoint, Checkpoints
from cl_condense.condensation.sources.pool_file import SUFFIX
from cl_condense.runs.records import Unit
from cl_condense.runs.single import POOLS

MEMORY = "memory"
"""The folder of memories, and of networks that go on."""


@dataclass(frozen=True)
class RunFiles:
    """What a run keeps of its units in its folder ``out``: memories, networks that go on, checkpoints."""

    out: Path

    def memory(self, unit: Unit) -> Path:
        """Where the memory after a step is kept (until the next one is done)."""
        return self.out / MEMORY / f"{_name(unit)}.safetensors"

    def networks(self, unit: Unit) -> Path:
        """Where networks that go on are kept after a step (until the next one is done)."""
        return self.out / MEMORY / f"{_name(unit)}-{unit.trainer}.networks"

    def condensing(self, unit: Unit) -> Checkpoints:
        """Where the condensation of a unit goes on."""
        own = {k: v for k, v in unit._asdict().items() if k != "trainer"}
        return Checkpoints(self._checkpoints, _name(unit), own)

    def training(self, units: list[Unit]) -> Checkpoint:
        """Where the training of networks of units goes on."""
        path = self._checkpoints / f"{_name(units[0])}-{units[0].trainer}.train.checkpoint"
        return Checkpoint(path, {"units": [[*unit] for unit in units]}, strict=False)

    def begun(self) -> bool:
        """Whether anything was condensed for the run."""
        left = [*(self.out / MEMORY).glob("*"), *self._checkpoints.glob("*")]
        return bool(left) or (self.out / "records.jsonl").exists()

    def sweep(self, last: Iterable[Unit] = ()) -> None:
        """Takes away what done work left: checkpoints, pools, and memories of steps before the last ones."""
        for unit in last:
            if self.memory(unit).exists():
                for step in range(1, unit.step):
                    self.memory(unit._replace(step=step)).unlink(missing_ok=True)
        for folder, own in ((self._checkpoints, "*.checkpoint"), (self.out / POOLS, f"*{SUFFIX}")):
            for path in folder.glob(own):
                path.unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()

    @property
    def _checkpoints(self) -> Path:
        return self.out / "checkpoints"


def _name(unit: Unit) -> str:
    return f"{unit.method}-order{unit.order}-step{unit.step}"
