"""HybridMemory: a part of the budget for condensed images, the rest for real ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from cl_condense.common.checkpoint import Checkpoints
from cl_condense.common.foreign import reading
from cl_condense.common.forwarded import Forwarded
from cl_condense.common.kinds import check_kind
from cl_condense.common.numbers import whole
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.recipe import Method
from cl_condense.condensation.storage import Partition
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.budgets import Budget
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.memory.contract import to_train_on
from cl_condense.memory.saved import Saved, check_extra
from cl_condense.networks.contract import MakeNetwork

_ENTRY = "real"


class HybridMemory:
    """Two memories of one stream in one: of condensed images, and of real ones that a coreset selects.

    Each has its own part of the budget and goes its own way: condensed images are condensed again where there
    are to be fewer, real ones are the first of their selection. A class has its condensed images first.

    Args:
        made: of images that are condensed.
        real: of images that are selected; both are empty, and have budgets of one kind and one codec.

    Attributes:
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

    def __init__(self, made: ClassMemory, real: ClassMemory) -> None:
        for name, each in (("made", made), ("real", real)):
            check_kind(name, each, ClassMemory, "a ClassMemory, such as ClassMemory(100)")
        self.made, self.real = made, real
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
        """What the last update took."""
        return self.made.seconds + self.real.seconds

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
        """Takes the classes of an experience in; as ``ClassMemory.update``."""
        before = self.real.condensed, self.real.seen, self.real.experiences
        other = checkpoints and Checkpoints(
            checkpoints.folder, f"{checkpoints.name}.real", checkpoints.identity
        )
        self.real.update(real, other, domain=domain, shown=shown)
        try:
            self.made.update(real, checkpoints, domain=domain, shown=shown)
        except BaseException:
            self.real.condensed, self.real.seen, self.real.experiences = before
            raise

    def resize(self, max_size: int) -> None:
        """Sets ``max_size`` and shrinks both parts; errors as ``ClassMemory.resize``."""
        made, real = (each.max_size or 0 for each in self.budget.resized(max_size).parted(self._share))
        before = self.real.budget, self.real.condensed
        self.real.resize(real)
        try:
            self.made.resize(made)
        except ValueError:
            self.real.budget, self.real.condensed = before
            raise

    def notes(self) -> Json:
        """What a file says of it beside the images: how many of each class's last ones are real."""
        held = self.real.condensed
        return {_ENTRY: [list(each) for each in zip(held.class_ids, held.counts, strict=True)]} if held else {}

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
        made = {c: n - real.get(c, 0) for c, n in counts.items() if n > real.get(c, 0)}
        self.made.take_over(saved._replace(condensed=held.first(made) if made else held, extra={}), path)
        self.real.take_over(saved._replace(condensed=held.last(real) if real else held, extra={}), path)
        return extra
