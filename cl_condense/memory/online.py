"""OnlineMemory: a ClassMemory for streams that show a few images at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from cl_condense.common.forwarded import Forwarded
from cl_condense.common.kinds import check_kind
from cl_condense.common.numbers import finite, whole
from cl_condense.common.plain import Json
from cl_condense.condensation.codecs import LABEL_BYTES, image_bytes
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.storage import Partition
from cl_condense.data.image_checks import Constants
from cl_condense.data.imageset import ImageSet
from cl_condense.data.parts import part_of
from cl_condense.memory.budgets import Budget, Shape
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.memory.contract import to_train_on
from cl_condense.memory.hybrid import HybridMemory
from cl_condense.memory.saved import Saved, check_extra
from cl_condense.memory.staging import Staging
from cl_condense.memory.undoing import undone_on_error
from cl_condense.methods.condense import class_independent
from cl_condense.methods.coresets import Coreset
from cl_condense.networks.convnet import MakeConvNet


class OnlineMemory:
    """A memory that is shown mini-batches, and is never larger than its budget after one.

    A share of the budget, and what is not filled yet, is for real images that wait, a sample of those that each
    class has shown. A class is condensed when it has shown ``enough`` since the last time, and at a boundary,
    if somebody says ``condense``: its waiting images, which stand for all that were shown, with what the memory
    has of it, as for a class that returns. Classes may come in any order and again. All that is held can be
    trained on at any time, images that wait too. Methods that draw images without looking at them (``random``,
    ``reservoir``) let none wait and have the whole budget.

    Args:
        memory: an empty one, hybrid or not, whose budget, ``max_size`` or ``max_bytes``, is shared with what
            waits.
        staging: their share, above 0 and below 1.
        enough: images that a class shows until it is condensed.

    Attributes:
        device, images_lay, seed: those of ``memory``, as in ``ClassMemory``.

    Raises:
        ValueError: for ``per_class``, numbers out of range, and a method whose stored images hold several.
    """

    device = Forwarded[str]("memory")
    images_lay = Forwarded[Json]("memory")
    seed = Forwarded[int]("memory")

    def __init__(self, memory: ClassMemory | HybridMemory, *, staging: float = 0.25, enough: int = 500) -> None:
        check_kind("memory", memory, ClassMemory | HybridMemory, "a ClassMemory, such as ClassMemory(200)")
        share = finite("staging", staging, above=0, below=1)
        self.enough = whole("enough", enough)
        if isinstance(getattr(memory.method, "synthetic", None), Partition):
            raise ValueError(
                f"{memory.method.name} stores several images in one, which waiting images are not: "
                "add +pixels, or take another method"
            )
        memory.budget.without(share)  # refuses what cannot be shared
        self.memory, self.budget, self._share = memory, memory.budget, share
        self._looks = not isinstance(memory.method, Coreset) or memory.method.iterations > 0
        memory.budget = self._main()
        self._staging = Staging(self.budget, memory.codec, memory.seed)
        self._constants: Constants | None = None
        self._joined: tuple[CondensedSet | None, int, CondensedSet] | None = None

    @property
    def condensed(self) -> CondensedSet | None:
        """All that is held, what waits behind what is condensed of its class; None before the first."""
        made, taken = self.memory.condensed, self._staging.taken
        if not len(self._staging) or not self._constants:
            return made
        if self._joined is None or self._joined[:2] != (made, taken):
            waiting = self._staging.waiting(self._staging.shown, self._constants)
            self._joined = made, taken, made.joined(waiting) if made else waiting
        return self._joined[2]

    @property
    def seen(self) -> dict[int, int]:
        """How many images were seen of each class of each domain, in order of arrival."""
        found = dict(self.memory.seen)
        for c, n in self._staging.shown.items():
            found[c] = found.get(c, 0) + n
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of all that is stored."""
        held = self.condensed
        return held.nbytes if held else 0

    def decode(self) -> tuple[Tensor, Tensor]:
        """Images ``[n, c, h, w]`` to train on, normalised, and their labels ``[n]``, of whatever domain.

        Raises:
            ValueError: before the first images.
        """
        return to_train_on(self.condensed, "images")

    def observe(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        domain: int | None = None,
        normalisation: Constants | None = None,
    ) -> None:
        """Takes in a mini-batch; after an error the memory is what it was.

        Args:
            images: ``[n, c, h, w]`` floats as networks take them.
            labels: ``[n]`` whole numbers.
            domain: as for ``ClassMemory.update``.
            normalisation: (mean, std) per channel, for pictures of the memory. Default: what spans the first
                batch.

        Raises:
            ValueError: for pixels, which say nothing of how networks take them, a share of a budget in bytes in
                which no image waits, and as ``ClassMemory.update``.
        """
        check_kind("images", images, Tensor, "a float tensor [n, channels, height, width]")
        if not images.is_floating_point():
            raise ValueError(
                f"images of type {images.dtype}: give floats, normalised as the network takes them"
            )
        batch = ImageSet.of(images, labels, normalisation=self._constants or normalisation)
        held = self.condensed
        if held and held.shape != batch.shape:
            raise ValueError(
                f"images of shape {batch.shape} beside {held.shape}: bring all images of the stream to one size"
            )
        ids = [part_of(y, domain or 0) if domain is not None else int(y) for y in labels.tolist()]
        with self.all_or_nothing():
            self._constants = self._constants or (batch.mean, batch.std)
            self._take(images, ids, batch.shape)

    def condense(self) -> None:
        """Condenses all images that wait, for example at a boundary of the stream; undone after an error."""
        with self.all_or_nothing():
            self._condense_all()

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Inside, what is done to the memory is undone by an error, or by Ctrl-C."""
        memory = self.memory
        parts = memory.parts if isinstance(memory, HybridMemory) else ()
        with undone_on_error(self, memory, *parts):
            self._staging = self._staging.copy()  # it changes in place
            yield

    def _take(self, images: Tensor, ids: list[int], shape: Shape) -> None:
        if not self._looks:
            self._update(images, ids, {c: ids.count(c) for c in ids})
            return
        self._check_room([*self.seen, *ids], shape)
        rows = self._staging.rows(images.detach().float().cpu())
        for c, row in zip(ids, rows, strict=True):
            if not self._staging.has_room(shape, c):
                self._condense_all()
            self._staging.take(c, row, shape)
        if due := [c for c, n in self._staging.shown.items() if n >= self.enough]:
            self._condense(due)

    def _condense_all(self) -> None:
        if self._staging.shown:
            self._condense(self._staging.shown)

    def _condense(self, class_ids: Collection[int]) -> None:
        assert self._constants  # there are images
        waiting = self._staging.waiting(self._staging.shown, self._constants)
        apart = class_independent(self.memory.method, self.memory.network or MakeConvNet(waiting.shape))
        own = [*class_ids] if apart else [*self._staging.shown]  # networks that train see all classes there are
        x, y = waiting.only(own).decode()
        self._update(x, y.tolist(), {c: self._staging.shown[c] for c in own})
        self._staging.forget(own)
        self._settle()

    def _main(self) -> Budget:
        """What is for images that do not wait."""
        return self.budget.without(self._share) if self._looks else self.budget

    def check_share(self, shape: Shape) -> None:
        """Raises ValueError where no image ``[c, h, w]`` of a shape fits in the share of those that wait."""
        if not self._looks:
            return  # none waits
        main, codec = self._main(), self.memory.codec
        share = self.budget.beside(main.max_size or 0, main.max_bytes or 0)
        if share.images(1, codec, shape) < 1:
            raise ValueError(
                f"a share of {self._share:g} of {self.budget.max_bytes} bytes holds no image that waits: one "
                f"takes {image_bytes(codec, shape) + LABEL_BYTES}; give a larger share (staging), or budget"
            )

    def _check_room(self, classes: Iterable[int], shape: Shape) -> None:
        """Raises ValueError where not every class gets an image, waiting and condensed."""
        if self._looks:
            self.check_share(shape)
            self._main().quotas(dict.fromkeys(classes, 1), self.memory.codec, shape)

    def _settle(self) -> None:
        """Lets wait what fills what is not condensed, however much that is at the time."""
        made, held = self.memory.condensed, self.condensed
        if not self._looks:
            return
        self._staging.budget = self.budget.beside(len(made) if made else 0, made.nbytes if made else 0)
        if held and self._staging.shown:
            if not self._staging.has_room(held.shape):
                self._condense_all()
            self._staging.fit(held.shape)
            self._joined = None  # fewer wait, of as many as were taken

    def _update(self, images: Tensor, class_ids: list[int], shown: dict[int, int]) -> None:
        real = ImageSet.of(images, class_ids, normalisation=self._constants)
        self.memory.update(real, shown=shown)

    def resize(self, max_size: int) -> None:
        """Sets ``max_size`` and shrinks the memory to it; errors as ``ClassMemory.resize``."""
        with self.all_or_nothing():
            self.budget = self.budget.resized(max_size)
            if held := self.condensed:
                self._check_room(self.seen, held.shape)
            self.memory.resize(self._main().max_size or 0)
            self._settle()

    def save(self, path: str | Path, **extra: object) -> None:
        """Writes the memory and what is needed to go on; ``load`` reads it into an equal memory.

        Raises:
            ValueError: before the first images, and for extra entries that are no JSON.
        """
        held, staged = self.condensed, self._staging
        if held is None:
            raise ValueError("the memory is empty: nothing to save before the first images")
        check_extra(extra)
        counts = self._staging.counts()
        waiting = {c: (n, staged.shown[c]) for c, n in counts.items()}
        notes = extra | self.memory.notes()
        Saved(held, self.memory.seen, self.memory.experiences, notes, waiting, staged.taken).write(path)

    def load(self, path: str | Path) -> Json:
        """Takes over a saved memory, of a ``ClassMemory`` too, and returns the extra entries.

        Raises:
            ValueError: as ``ClassMemory.load``.
        """
        saved = Saved.read(path)
        self._check_room([*saved.seen, *saved.waiting], saved.condensed.shape)
        held, waiting = saved.condensed, {c: n for c, (n, _) in saved.waiting.items()}
        rest = {c: n - waiting.get(c, 0) for c, n in zip(held.class_ids, held.counts, strict=True)}
        rest = {c: n for c, n in rest.items() if n}
        with self.all_or_nothing():
            extra = self.memory.take_over(saved._replace(condensed=held.first(rest) if rest else held), path)
            self._staging = Staging(self.budget, self.memory.codec, self.memory.seed)
            if waiting:
                shown = {c: n for c, (_, n) in saved.waiting.items()}
                self._staging.put(held.last(waiting), shown)
            self._staging.taken = saved.taken
            self._constants, self._joined = (held.mean, held.std), None
            self._settle()
        return extra
