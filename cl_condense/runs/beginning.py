"""How a condensation into files begins: afresh, exactly where a set's own ended, or at the images of a set."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from cl_condense.common.checkpoint import Checkpoint
from cl_condense.common.numbers import whole
from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet, stored_as
from cl_condense.condensation.paper_settings import settled
from cl_condense.condensation.recipe import Method, Recipe
from cl_condense.condensation.starting import iterations_behind, started
from cl_condense.data.imageset import ImageSet, check_ipc
from cl_condense.runs.build import method_for
from cl_condense.runs.config import CondenseConfig


class Beginning(NamedTuple):
    """What a job condenses with, and from where.

    Attributes:
        method: with all iterations, those behind it too where it goes on exactly.
        seed: of its draws.
        start: the set whose images it begins at.
        state: that it goes on with.
        done: iterations behind the set.
        why: it goes on from the images alone; empty where it begins afresh, or goes on exactly.
    """

    method: Method
    seed: int
    start: CondensedSet | None = None
    state: Checkpoint | None = None
    done: int = 0
    why: str = ""

    @property
    def before(self) -> int:
        """Iterations that its method counts as done."""
        return self.done if self.state else 0

    def record(self) -> Json:
        """What a record says of it; nothing where it begins afresh."""
        if self.state:
            return {"continues": {"from": "state", "done": self.done}}
        return {"continues": {"from": "images", "done": self.done, "why": self.why}} if self.start else {}

    def said(self, path: Path | None) -> list[str]:
        """The same for people."""
        if self.state:
            return [f"goes on exactly where {path} ended, after {self.done:,} iterations"]
        new = f"goes on from the images of {path}; momentum, networks and random numbers are new"
        return [f"{new} ({self.why})"] if self.start else []


def beginning(c: CondenseConfig, real: ImageSet, path: Path | None, *, only_new: bool = False) -> Beginning:
    """How a condensation begins: with the state of the set at a path where that is beside it and fits.

    Raises:
        ValueError: for a budget that does not fit, and a set that does not go on so.
    """
    check_ipc(c.ipc or 0, real)
    method = method_for(c)
    if path is None:
        return Beginning(method, c.seed)
    if not isinstance(method, Recipe):
        raise ValueError(f"{c.method} selects real images: there is nothing to go on with from {path}")
    saved = CondensedSet.load(path)
    started(method, saved, real, c.ipc or 0, c.seed, only_new=only_new)
    state, why = (None, "those of the set stay") if only_new else _state(c, method, saved, path)
    if state is None:
        return Beginning(method, c.seed, saved, done=iterations_behind(saved), why=why)
    done, more = _iteration(state), settled(method.settled(c.ipc or 0).iterations)
    return Beginning(method.with_settings(iterations=done + more), saved.seed, state=state, done=done)


def check_keeps(recipe: Recipe) -> None:
    """Raises ValueError for a recipe whose state at the end is none to go on from."""
    if recipe.by_share:
        papers = ", or take its published settings" if recipe.quiet else ""
        raise ValueError(
            f"{recipe.name} changes with the share of its iterations that is done, so that a longer run is "
            f"another from early on, and a state at the end of no use: leave keep_state out{papers}"
        )


def _state(c: CondenseConfig, recipe: Recipe, saved: CondensedSet, path: Path) -> tuple[Checkpoint | None, str]:
    """The state at the end of a set's condensation; or None, and why there is none that fits."""
    file = path.with_suffix(".checkpoint")
    if not file.exists():
        return None, f"{file} is not there, which --keep-state leaves"
    if recipe.by_share:
        return None, f"{recipe.name} changes with the share of its iterations that is done"
    storage = saved.recipe.get("synthetic")
    if isinstance(storage, dict) and "done" in storage:
        return None, "it went on from the images of another set itself"
    same = {k: v for k, v in c.identity().items() if k not in ("iterations", "codec")}
    found = Checkpoint(file, same, strict=False)
    if found.state is None:
        return None, f"{file} is of other settings or data, or damaged"
    pixels = found.state.get("pixels", torch.empty(0))
    own = pixels.flatten(0, 1) if pixels.ndim == 5 else pixels
    if own.shape != saved.pixels.shape or _other(stored_as(saved.codec, own), saved.stored):
        return None, f"{file} is not of these images"
    return found, ""


def _other(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of tensors differ."""
    return one.keys() != other.keys() or not all(torch.equal(one[name], other[name]) for name in one)


def _iteration(found: Checkpoint) -> int:
    """The iterations behind a state; error as that of a checkpoint that does not fit."""
    with found.fitting():
        return whole("iteration", int((found.state or {})["iteration"]), 1)
