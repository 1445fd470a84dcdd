"""HybridMemory: a part of the budget for condensed images, the rest for real ones."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from pathlib import Path

from torch import Tensor

from cl_condense.common.checkpoint import Checkpoints
from cl_condense.common.foreign import reading
from cl_condense.common.forwarded import Forwarded
from cl_condense.common.kinds import check_kind
from cl_condense.common.numbers import finite, whole
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress, within
from cl_condense.common.rng import Purpose
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.recipe import Method
from cl_condense.condensation.storage import Partition
from cl_condense.data.imageset import ImageSet
from cl_condense.data.parts import in_domain
from cl_condense.data.placing import placed
from cl_condense.memory.budgets import Budget
from cl_condense.memory.choosing import ShareChoice
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.memory.contract import to_train_on
from cl_condense.memory.saved import Saved, check_extra
from cl_condense.memory.undoing import undone_on_error
from cl_condense.networks.contract import MakeNetwork

_ENTRY, _CHOSEN = "real", "chosen"


class HybridMemory:
    """Two memories of one stream in one: of condensed images, and of real ones that a coreset selects.

    Each has its own part of the budget and goes its own way: condensed images are condensed again where there
    are to be fewer, real ones are the first of their selection. A class has its condensed images first.

    Args:
        made: of images that are condensed.
        real: of images that are selected; both are empty, and have budgets of one kind and one codec.
        choose: finds the share of real images at the first experience, in the place of that of the budgets.

    Attributes:
        chosen: what ``choose`` found: the share, and what was tried; empty without it, and before.
        seen, experiences, method, network, codec, device, images_lay, seed, on_iteration: those of ``made``, as
            in ``ClassMemory``.

    Raises:
        ValueError: for memories that do not go together.
    """

    seen = Forwarded[dict[int, int]]("made")
    experiences = Forwarded[int]("made")
    method = Forwarded[Method]("made")
    network = Forwarded[MakeNetwork | None]("made")
    codec = Forwarded[str]("made")
    device = Forwarded[str]("made")
    images_lay = Forwarded[Json]("made")
    seed = Forwarded[int]("made")
    on_iteration = Forwarded[OnProgress | None]("made")
    chosen: Json

    def __init__(self, made: ClassMemory, real: ClassMemory, choose: ShareChoice | None = None) -> None:
        for name, each in (("made", made), ("real", real)):
            check_kind(name, each, ClassMemory, "a ClassMemory, such as ClassMemory(100)")
        check_kind("choose", choose, ShareChoice | None, "a ShareChoice, or None")
        self.made, self.real = made, real
        self._choose, self.chosen, self._choosing = choose, {}, 0.0
        if not made.method.optimises or real.method.optimises:
            both = f"{made.method.name} and {real.method.name}"
            raise ValueError(
                f"{both}: give a memory that condenses, such as dm, and one that selects, as herding"
            )
        if isinstance(getattr(made.method, "synthetic", None), Partition):
            raise ValueError(
                f"{made.method.name} stores several images in one, which real images are not: add +pixels, or "
                "take another method"
            )
        if made.codec != real.codec:
            raise ValueError(f"codecs {made.codec} and {real.codec}: give both memories one")
        whole_budget = made.budget.joined(real.budget)
        self._share = real.budget.amount / whole_budget.amount
        self._joined: tuple[CondensedSet | None, CondensedSet | None, CondensedSet] | None = None

    @property
    def parts(self) -> tuple[ClassMemory, ClassMemory]:
        """The memories that it has its images in."""
        return self.made, self.real

    @property
    def budget(self) -> Budget:
        """What it may hold in all."""
        return self.made.budget.joined(self.real.budget)

    @budget.setter
    def budget(self, budget: Budget) -> None:
        self.made.budget, self.real.budget = budget.parted(self._share)

    @property
    def condensed(self) -> CondensedSet | None:
        """All images that are held, or None before the first experience."""
        made, real = self.made.condensed, self.real.condensed
        if made is None or real is None:
            return None
        if self._joined is None or self._joined[0] is not made or self._joined[1] is not real:
            self._joined = made, real, made.joined(real)
        return self._joined[2]

    @property
    def seconds(self) -> float:
        """What the last update took, the choice of a share too."""
        return self.made.seconds + self.real.seconds + self._choosing

    @property
    def nbytes(self) -> int:
        """Bytes of all that is stored."""
        held = self.condensed
        return held.nbytes if held else 0

    def decode(self) -> tuple[Tensor, Tensor]:
        """Images ``[n, c, h, w]`` to train on, normalised, and their labels ``[n]``, of whatever domain.

        Raises:
            ValueError: before the first experience.
        """
        return to_train_on(self.condensed)

    def update(
        self,
        real: ImageSet,
        checkpoints: Checkpoints | None = None,
        *,
        domain: int | None = None,
        shown: Mapping[int, int] | None = None,
    ) -> None:
        """Takes the classes of an experience in; as ``ClassMemory.update``, and errors of ``ShareChoice``."""
        start = time.perf_counter()
        with undone_on_error(self, *self.parts):
            if self._choose and not self.experiences and not self.chosen:
                self._chose(self._find(self._choose, real, domain, checkpoints))
            self._choosing = time.perf_counter() - start
            self.real.update(real, _beside(checkpoints, "real"), domain=domain, shown=shown)
            self.made.update(real, checkpoints, domain=domain, shown=shown)

    def _find(
        self, choose: ShareChoice, real: ImageSet, domain: int | None, checkpoints: Checkpoints | None
    ) -> Json:
        """What a choice finds on images of this memory's first experience."""
        check_kind("experience", real, ImageSet, "an ImageSet, such as ImageSet.of(images, labels)")
        real = real if domain is None else in_domain(real, domain)

        def make(share: float, fit: ImageSet) -> tuple[Tensor, Tensor]:
            parts = copy(self.made), copy(self.real)
            trial = HybridMemory(*parts)
            trial._chose({"share": share})
            trial.on_iteration = within(f"share {share:g} of real images", self.on_iteration)
            trial.update(fit, _beside(checkpoints, f"share{share:g}"))
            assert trial.condensed  # for the type checker: it was filled just now
            return trial.condensed.decode()

        return choose(placed(real, self.device), self.budget, self.codec, make, (self.seed, Purpose.SELECT))

    def _chose(self, chosen: Json) -> None:
        """Parts the budget by the share that was found."""
        self.chosen, whole_budget = chosen, self.budget
        self._share = chosen["share"]
        self.budget = whole_budget

    def resize(self, max_size: int) -> None:
        """Sets ``max_size`` and shrinks both parts; errors as ``ClassMemory.resize``."""
        made, real = (each.max_size or 0 for each in self.budget.resized(max_size).parted(self._share))
        with undone_on_error(*self.parts):
            self.real.resize(real)
            self.made.resize(made)

    def notes(self) -> Json:
        """What a file says of it beside the images: how many of each class's last ones are real."""
        held, chosen = self.real.condensed, {_CHOSEN: self.chosen} if self.chosen else {}
        counts = zip(held.class_ids, held.counts, strict=True) if held else ()
        return chosen | ({_ENTRY: [list(each) for each in counts]} if held else {})

    def save(self, path: str | Path, **extra: object) -> None:
        """Writes the memory and what is needed to go on; ``load`` reads it into an equal memory.

        Raises:
            ValueError: before the first experience, and for extra entries that are no JSON.
        """
        held = self.condensed
        if held is None:
            raise ValueError("the memory is empty: nothing to save before the first experience")
        check_extra(extra)
        Saved(held, self.seen, self.experiences, extra | self.notes()).write(path)

    def load(self, path: str | Path) -> Json:
        """Takes over a saved memory and returns the extra entries.

        Raises:
            ValueError: as ``ClassMemory.load``, and for a memory that is not hybrid.
        """
        return self.take_over(Saved.read(path).checked(path), path)

    def take_over(self, saved: Saved, path: str | Path) -> Json:
        """What ``load`` does with a file that is read."""
        held, extra = saved.condensed, dict(saved.extra)
        if saved.seen and _ENTRY not in extra:
            raise ValueError(f"{path} has no real images beside condensed ones: load it into a ClassMemory")
        counts = dict(zip(held.class_ids, held.counts, strict=True))
        with reading(path, "a saved memory", "remove it, or make the memory again"):
            rows = extra.pop(_ENTRY, [])
            real = {c: whole("real images", n, 1, counts[whole("class", c, 0)]) for c, n in rows}
            if chosen := extra.pop(_CHOSEN, {}):
                finite("share", dict(chosen)["share"], above=0, below=1)
        made = {c: n - real.get(c, 0) for c, n in counts.items() if n > real.get(c, 0)}
        with undone_on_error(self, *self.parts):
            if chosen:
                self._chose(dict(chosen))
            self.made.take_over(saved._replace(condensed=held.first(made) if made else held, extra={}), path)
            self.real.take_over(saved._replace(condensed=held.last(real) if real else held, extra={}), path)
        return extra


def _beside(checkpoints: Checkpoints | None, name: str) -> Checkpoints | None:
    """Those of a part of the same work."""
    if checkpoints is None:
        return None
    return Checkpoints(checkpoints.folder, f"{checkpoints.name}.{name}", checkpoints.identity)
