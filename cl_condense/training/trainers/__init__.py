"""How networks are trained on a memory after each step of a stream, by name: a trainer is a file and a line."""

from __future__ import annotations

from cl_condense.training.trainers.contract import DEFAULT, Trainer, lesson
from cl_condense.training.trainers.gdumb import GDumb
from cl_condense.training.trainers.idc import IDC

__all__ = ["DEFAULT", "TRAINERS", "Trainer", "lesson"]

TRAINERS: dict[str, Trainer] = {"gdumb": GDumb(), "idc": IDC()}
