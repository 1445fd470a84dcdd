"""ClassMemory: a few condensed images of every class that a stream has shown."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cl_condense.common import numbers
from cl_condense.common.checkpoint import Checkpoints
from cl_condense.common.devices import pick_device
from cl_condense.common.kinds import check_call, check_flag, check_kind
from cl_condense.common.paths import path_of
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress, within
from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.common.rng import Purpose, subseed
from cl_condense.condensation import codecs
from cl_condense.condensation.condensed_set import SHRINK, CondensedSet
from cl_condense.condensation.paper_settings import warn_borrowed
from cl_condense.condensation.recipe import Method, Recipe
from cl_condense.data.imageset import ImageSet
from cl_condense.data.parts import in_domain, label_and_domain
from cl_condense.data.placing import lying, placed
from cl_condense.memory.budgets import Budget, Shape
from cl_condense.memory.condensing import Parts, condensed_to
from cl_condense.memory.contract import to_train_on
from cl_condense.memory.reservoir import drawn
from cl_condense.memory.returning import with_stored
from cl_condense.memory.saved import Saved, check_extra
from cl_condense.memory.undoing import undone_on_error
from cl_condense.methods.condense import class_independent, condense
from cl_condense.methods.coresets import Coreset
from cl_condense.methods.economy import economical
from cl_condense.methods.registry import build
from cl_condense.networks.contract import MakeNetwork, check_network
from cl_condense.networks.convnet import MakeConvNet


class ClassMemory:
    """A class-balanced memory that holds condensed images of every class of a stream.

    ``update`` condenses the classes of an experience into it; the real images are not kept.

    One of three budgets: ``max_size`` images, or ``max_bytes``, shared by all classes seen so far, so that each
    class's part shrinks as classes come (the first classes of the stream get what does not divide evenly); or
    ``per_class`` images for every class, so that the memory grows: the protocol of the condensation papers.
    A class never gets more images than it has shown. A class that returns is condensed anew from its new images
    and its memory, each stored image standing for its share of the images seen before. Where experiences have
    domains, a class of each domain has a share of its own, which is condensed from that domain's images alone.
    Every experience draws random numbers of its own.

    Args:
        max_size: images in all, shared by the classes.
        method: a name such as ``ddm``, ``dm+sm``, ``herding``, or a method of your own.
        per_class: images of each class.
        max_bytes: bytes in all, of images and labels as ``codec`` stores them.
        total_num_classes: the classes of the whole stream, which share ``max_size`` or ``max_bytes`` from the
            start, so that none shrinks; default: those seen so far share it. More classes are refused.
        codec: how images are stored, real and condensed alike: ``uint8`` (8 bits with a range for every image
            and channel), ``float16`` or ``float32``; see ``condensation.codecs``.
        dataset: a name such as ``cifar10`` that chooses among a method's published settings; without one a
            method whose settings differ takes those of its table's first data set, and warns of it. ``recipe``
            has what was chosen.
        network: makes the network that condensation looks through, from a number of classes. Default: the
            papers' ConvNet for the images' size, 128 filters wide.
        device: where to condense; ``auto`` is a CUDA GPU where there is one.
        seed: one integer for everything random; the global generators are left alone.
        papers: True takes a named method's published settings, which want a GPU (20,000 iterations for ddm).
            False lets it condense by economy (``economical``: 2,500 iterations with fewer real images) where
            it has one; idc has none and takes the published settings all the same. A method of your own is
            taken as it is.
        iterations: of condensation, in all; default economy's or the method's published number. Coresets select
            real images and pass over it, so that one setting serves a comparison.
        shrink: how a class's images become fewer: ``recondense`` condenses them again, ``prefix`` keeps the
            first ones. Coresets always keep the first, since theirs are ordered by importance.
        pools: folder where trained pools of networks are looked for and kept, for methods that have one: so
            memories share them. Without it each condensation trains its own.
        on_iteration: called with a Progress after every iteration, for example ``ProgressBar()``.
        ranks: the processes that condense together, as ``condense`` takes them.

    Attributes:
        budget: what the memory may hold.
        condensed: the CondensedSet, or None before the first experience; its class ids are those of
            ``data.parts`` where there are domains.
        seen: how many images were seen of each class of each domain, in order of arrival.
        experiences: how many were taken in.
        seconds: what the last update took.
        images_lay: where the experience's images were meanwhile, as a record says it; see ``placed``.

    Raises:
        ValueError: for a budget below one image a class, an unknown method or device.
    """

    def __init__(
        self,
        max_size: int | None = None,
        *,
        method: str | Method = "ddm",
        per_class: int | None = None,
        max_bytes: int | None = None,
        total_num_classes: int | None = None,
        codec: str = codecs.DEFAULT,
        dataset: str = "",
        network: MakeNetwork | None = None,
        device: str | torch.device = "auto",
        seed: int = 0,
        papers: bool = False,
        iterations: int | None = None,
        shrink: str = "recondense",
        pools: str | Path | None = None,
        on_iteration: OnProgress | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        if shrink not in SHRINK:
            raise ValueError(f"shrink {shrink!r}: use {' or '.join(SHRINK)}")
        codecs.codec(codec)  # raises for one that is not known
        self.budget = Budget(max_size, max_bytes, per_class, total_num_classes)
        check_kind("dataset", dataset, str, "the name of a data set, or ''")
        check_flag("papers", papers)
        check_network(network)
        check_call("on_iteration", on_iteration)
        self.codec, self.dataset, self.shrink = codec, dataset, shrink
        self.method = _named(method, dataset, papers) if isinstance(method, str) else method
        check_kind("method", self.method, Method, "a name such as ddm, a Recipe, or a method of your own")
        if isinstance(self.method, Recipe) and self.method.labels:
            raise ValueError(
                f"{self.method.name} learns labels over all classes, which come one after another here: take a "
                "method with hard labels, such as frepo, or condense the whole data set"
            )
        if iterations is not None:
            iterations = numbers.whole("iterations", iterations)
            if isinstance(self.method, Recipe | Coreset) and "iterations" in self.method.chosen:
                raise ValueError(f"iterations is in {self.method.name} and beside it: give it once")
            if isinstance(self.method, Recipe):
                self.method = replace(self.method, iterations=iterations)
        self.network, self.device, self.seed = network, str(pick_device(device)), numbers.seed(seed)
        self.pools = None if pools is None else path_of("pools", pools)
        self.on_iteration, self._ranks = on_iteration, ranks
        self.condensed: CondensedSet | None = None
        self.seen: dict[int, int] = {}
        self.experiences = 0
        self.seconds = 0.0
        self.images_lay: Json = {}
        self._warned = False

    @property
    def max_size(self) -> int | None:
        """Images in all, or None where the budget is another."""
        return self.budget.max_size

    @property
    def per_class(self) -> int | None:
        """Images of each class, or None where the budget is shared."""
        return self.budget.per_class

    @property
    def max_bytes(self) -> int | None:
        """Bytes in all, or None where the budget is another."""
        return self.budget.max_bytes

    @property
    def total_num_classes(self) -> int | None:
        """How many classes share the budget from the start, or None where those seen so far do."""
        return self.budget.total_num_classes

    @property
    def recipe(self) -> Json:
        """Name and settings of the method as the memory was last made; empty before the first experience."""
        return self.condensed.recipe if self.condensed else {}

    @property
    def nbytes(self) -> int:
        """Bytes of all that is stored."""
        return self.condensed.nbytes if self.condensed else 0

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
        """Condenses the classes of an experience into the memory; after an error the memory is what it was.

        Args:
            real: the experience's images, on any device; those of all experiences in one normalisation.
            checkpoints: where an interrupted update of the same memory goes on, and leaves its states.
            domain: its number, from 0, where the same classes come in several domains. None: there are none, or
                the class ids of ``real`` say them, see ``data.parts``.
            shown: images of each class that the experience had, where ``real`` is a sample of them.

        Raises:
            ValueError: for more classes than the budget holds, images that do not fit those of the memory, and
                as ``condense``.
        """
        start = time.perf_counter()
        check_kind("experience", real, ImageSet, "an ImageSet, such as ImageSet.of(images, labels)")
        parts = Parts(checkpoints)
        real = real if domain is None else in_domain(real, domain)
        self._check(real)
        counts = dict(shown or zip(real.class_ids, real.counts, strict=True))
        seen = self.seen | {c: n + self.seen.get(c, 0) for c, n in counts.items()}
        quotas = self._quotas(seen, counts, real.shape)
        kept = self._shrunk({c: q for c, q in quotas.items() if c not in counts}, parts)
        # A seed for each experience: with one for all, a class that returns would draw its old images again.
        seed = subseed(self.seed, self.experiences)
        union = with_stored(real, self.condensed, self.seen, counts)
        quotas = {c: q for c, q in quotas.items() if c in counts}
        fresh = self._condensed(union, quotas, seed, parts) if quotas else None
        self.condensed = kept.merged(fresh) if kept and fresh else kept or fresh
        self.seen, self.experiences = seen, self.experiences + 1
        self.seconds = time.perf_counter() - start + (checkpoints.spent if checkpoints else 0.0)

    def resize(self, max_size: int) -> None:
        """Sets ``max_size`` and shrinks the memory to it; a larger size is filled by later experiences.

        Raises:
            ValueError: for a size that does not hold an image of every class, and for a memory whose budget is
                another.
        """
        with undone_on_error(self):
            self.budget = self.budget.resized(max_size)
            if self.condensed:
                quotas = self._quotas(self.seen, {}, self.condensed.shape)
                self.condensed = self._shrunk(quotas, Parts())

    def save(self, path: str | Path, **extra: object) -> None:
        """Writes the memory and what is needed to go on; ``load`` reads it into an equal memory.

        Raises:
            ValueError: before the first experience, and for extra entries that are no JSON.
        """
        if self.condensed is None:
            raise ValueError("the memory is empty: nothing to save before the first experience")
        check_extra(extra)
        Saved(self.condensed, self.seen, self.experiences, extra).write(path)

    def load(self, path: str | Path) -> Json:
        """Takes over a saved memory, shrinks it to the budget, and returns the extra entries.

        Raises:
            ValueError: for a file that is absent, damaged or not a memory, for another codec, and for a budget
                that does not hold an image of every class.
        """
        return self.take_over(Saved.read(path).checked(path), path)

    def take_up(self, condensed: CondensedSet, seen: int | Mapping[int, int]) -> None:
        """Begins with the images of a set, as after an experience with its classes, and shrinks to the budget.

        Args:
            condensed: the set, of whatever method that stores as many images in one.
            seen: real images that it stands for, of each class: what a class weighs that returns.

        Raises:
            ValueError: for a memory that is not empty, numbers below those of the images, and a set that does
                not fit the budget or the method.
        """
        begun, factor = Saved.of(condensed, seen), getattr(getattr(self.method, "synthetic", None), "factor", 1)
        if self.experiences:
            raise ValueError("the memory is not empty: take a set up into a new one")
        if condensed.factor != factor:
            raise ValueError(
                f"a set of {condensed.factor**2} images in one does not join those of {self.method.name}, with "
                f"{factor**2}: take a method that stores them alike"
            )
        self._begin(begun._replace(condensed=condensed.coded(self.codec)), shrunk=True)

    def notes(self) -> Json:
        """What a file says of it beside the images."""
        return {}

    def take_over(self, saved: Saved, path: str | Path) -> Json:
        """What ``load`` does with a file that is read."""
        if "real" in saved.extra:
            raise ValueError(f"{path} has real images beside condensed ones: load it into a HybridMemory")
        codec = saved.condensed.codec
        if codec != self.codec:
            raise ValueError(f"{path} holds images as {codec}, not {self.codec}: give codec={codec!r} to go on")
        # What fits stays as it is: a memory goes on as it would have without a file.
        room = self.budget.images(len(saved.seen), codec, saved.condensed.shape)
        self._begin(saved, shrunk=len(saved.condensed) > room)
        return saved.extra

    def _begin(self, saved: Saved, *, shrunk: bool) -> None:
        """Holds what was saved, within the budget if it is to be; after an error what it held before."""
        with undone_on_error(self):
            self.seen, self.experiences = saved.seen, saved.experiences
            self.condensed = saved.condensed if saved.seen else None
            if shrunk:
                self.condensed = self._shrunk(self._quotas(self.seen, {}, saved.condensed.shape), Parts())

    def __getstate__(self) -> Json:
        return self.__dict__ | {"on_iteration": None, "_ranks": ALONE}

    def _check(self, real: ImageSet) -> None:
        """Refuses what would not mean the same beside the stored images."""
        if real.weights is not None:
            raise ValueError("images with weights: give an experience's images without, each counts as one")
        stored = self.condensed
        if stored is None or real.store.whole.dtype != torch.uint8:  # floats are as stored ones
            return
        if (real.mean, real.std) != (stored.mean, stored.std):
            raise ValueError(
                f"pixels with mean {real.mean} and std {real.std} do not join a memory of images with mean "
                f"{stored.mean} and std {stored.std}: make every ImageSet with one normalisation"
            )

    def _shrunk(self, quotas: dict[int, int], parts: Parts) -> CondensedSet | None:
        """The memory of these classes, those above their quota made smaller."""
        if self.condensed is None or not quotas:
            return None
        kept = self.condensed.first(quotas)
        has = dict(zip(self.condensed.class_ids, self.condensed.counts, strict=True))
        over = {c: q for c, q in quotas.items() if q < has[c]}
        if not over or self.shrink == "prefix" or not self.method.optimises:
            return kept
        seed = subseed(Purpose.RECONDENSE, self.seed, self.experiences)
        for own in self._together(quotas):
            if less := {c: q for c, q in over.items() if c in own}:
                x, y = self.condensed.only(own).decode()
                stored = ImageSet.of(x, y, normalisation=(self.condensed.mean, self.condensed.std))
                kept = kept.merged(self._condensed(stored, less, seed, parts))
        return kept

    def _together(self, class_ids: Iterable[int]) -> list[list[int]]:
        """Classes condensed again in one go: domain by domain where images of a class depend on others."""
        domains: dict[int, list[int]] = {}
        apart = class_independent(self.method, self._network(self.condensed.shape)) if self.condensed else True
        for c in class_ids:
            domains.setdefault(0 if apart else label_and_domain(c)[1], []).append(c)
        return [*domains.values()]

    def _quotas(self, seen: dict[int, int], counts: dict[int, int], shape: Shape) -> dict[int, int]:
        """Images of each class that is to have some, when an experience has shown ``counts`` more."""
        if getattr(self.method, "balanced", True):
            return self.budget.quotas(seen, self.codec, shape)
        has = dict(zip(self.condensed.class_ids, self.condensed.counts, strict=True)) if self.condensed else {}
        size = self.budget.images(len(seen), self.codec, shape)
        return drawn(size, self.seen, has, counts, subseed(Purpose.RESERVOIR, self.seed, self.experiences))

    def _network(self, shape: Shape) -> MakeNetwork:
        return self.network or MakeConvNet(shape)

    def _condensed(self, real: ImageSet, quotas: dict[int, int], seed: int, parts: Parts) -> CondensedSet:
        network = self._network(real.shape)

        def make(images: ImageSet, ipc: int) -> CondensedSet:
            if not self._warned:
                self._warned = warn_borrowed(self.method, self.dataset, ipc)
            checkpoint = parts.next()
            of = f"experience {self.experiences + 1}, part {parts.number}"
            made = condense(
                images,
                self.method,
                ipc=ipc,
                network=network,
                seed=seed,
                on_iteration=within(of, self.on_iteration),
                checkpoint=checkpoint,
                pools=self.pools,
                ranks=self._ranks,
            )
            return made.coded(self.codec)

        apart = class_independent(self.method, network)
        there = placed(real, self.device)
        self.images_lay = lying(there)
        return condensed_to(quotas, there, make, apart=apart)


def _named(name: str, dataset: str, papers: bool) -> Method:
    """The method of a name, by economy where it has one."""
    method = build(name, dataset)
    return method if papers else economical(method)
