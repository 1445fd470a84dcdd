"""CondensedBuffer: a replay memory of condensed images for Avalanche."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from avalanche.benchmarks import OnlineCLExperience
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.training.storage_policy import ExemplarsBuffer
from torch import Tensor

from cl_condense.common import numbers
from cl_condense.common.devices import pick_device
from cl_condense.common.progress import OnProgress
from cl_condense.common.rng import Purpose, subseed
from cl_condense.condensation import codecs
from cl_condense.condensation.condensed_set import SHRINK, CondensedSet, read_header
from cl_condense.condensation.paper_settings import warn_borrowed
from cl_condense.condensation.recipe import Method, Recipe
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.budgets import Budget
from cl_condense.methods.condense import class_independent, condense
from cl_condense.methods.economy import economical
from cl_condense.methods.registry import build
from cl_condense.networks.contract import MakeNetwork
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.strategies.tensors import ItemFormat, memory_dataset, read_items

_OLD = "is of a version in which all experiences drew the same random numbers: make the memory again"


class CondensedBuffer(ExemplarsBuffer):
    """A class-balanced memory that holds condensed images of every class the stream has shown.

    At each experience its classes are condensed; the real images are not kept. Use it wherever Avalanche takes
    a storage policy: ``ReplayPlugin(mem_size=200, storage_policy=CondensedBuffer(200))``, or overwrite the
    ``storage_policy`` of a GDumbPlugin or an ER_ACE.

    One of three budgets: ``max_size`` images, or ``max_bytes``, shared by all classes seen so far, so that each
    class's part shrinks as classes come (the first classes of the stream get what does not divide evenly); or
    ``per_class`` images for every class, so that the memory grows: the protocol of the condensation papers.
    A class never gets more images than it has shown. A label that comes under two task labels counts as two
    classes. A class that returns is condensed anew from its new images and its memory, each stored image
    standing for its share of the images seen before. Every experience draws random numbers of its own.

    Args:
        max_size: images in all, shared by the classes.
        method: a name such as ``ddm``, ``dm+sm``, ``herding``, or a method of your own.
        per_class: images of each class; ``max_size`` is then 0, and so is the ReplayPlugin's ``mem_size``.
        max_bytes: bytes in all, of images and labels as ``codec`` stores them; ``max_size`` is then 0 too.
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
            False lets it condense by economy (``economical``: 2,500 iterations with
            fewer real images) where it has one; idm, idc, dc, dsa, cafe and what is +iid have none and take
            the published settings all the same. A method of your own is taken as it is.
        iterations: of condensation, in all; default economy's or the method's published number. Coresets select
            real images and pass over it, so that one setting serves a comparison.
        shrink: how a class's images become fewer: ``recondense`` condenses them again, ``prefix`` keeps the
            first ones. Coresets always keep the first, since theirs are ordered by importance.
        transform: augments memory images when they are trained on (a function of one image tensor).
        task_labels: True gives items (image, label, task) and False (image, label), whatever the stream
            gives; ER_ACE always wants the first.
        normalisation: (mean, std) per channel of the stream's transform, for pictures of the memory.
        num_workers: processes that read the experience's images.
        on_iteration: called with a Progress after every iteration, for example ``ProgressBar()``.

    Attributes:
        memory: the CondensedSet, or None before the first experience.
        experiences: how many were taken in.
        seconds: what the last update took.

    Raises:
        ValueError: for a budget below one image a class, an unknown method or device, images that are not
            float tensors of one size.
    """

    def __init__(
        self,
        max_size: int | None = None,
        *,
        method: str | Method = "ddm",
        per_class: int | None = None,
        max_bytes: int | None = None,
        codec: str = codecs.DEFAULT,
        dataset: str = "",
        network: MakeNetwork | None = None,
        device: str | torch.device = "auto",
        seed: int = 0,
        papers: bool = False,
        iterations: int | None = None,
        shrink: str = "recondense",
        transform: Callable[[Tensor], Tensor] | None = None,
        task_labels: bool | None = None,
        normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
        num_workers: int = 0,
        on_iteration: OnProgress | None = None,
    ) -> None:
        if shrink not in SHRINK:
            raise ValueError(f"shrink {shrink!r}: use {' or '.join(SHRINK)}")
        codecs.codec(codec)  # raises for one that is not known
        # The base class's constructor would make a dataset that no one uses and every pickle carries.
        self._budget = Budget(max_size, max_bytes, per_class)
        self.codec, self.dataset = codec, dataset
        self.method = _named(method, dataset, papers) if isinstance(method, str) else method
        if iterations is not None and isinstance(self.method, Recipe):
            self.method = replace(self.method, iterations=iterations)
        self.network, self.device, self.seed = network, str(pick_device(device)), numbers.seed(seed)
        self.shrink, self.transform, self.task_labels = shrink, transform, task_labels
        self.normalisation, self.on_iteration = normalisation, on_iteration
        self.num_workers = numbers.whole("num_workers", num_workers, 0)
        self.memory: CondensedSet | None = None
        self.experiences = 0
        self.seconds = 0.0
        self._said = False
        self._seen: dict[int, int] = {}  # images seen of each class, in order of arrival
        self._format = ItemFormat(tensor_labels=False, task_labels=True)
        self._dataset: AvalancheDataset[Any] | None = None

    @property
    def max_size(self) -> int:
        """Images in all, which ReplayPlugin and GDumbPlugin read; 0 where the budget is another."""
        return self._budget.max_size or 0

    @property
    def per_class(self) -> int | None:
        """Images of each class, or None where the budget is shared."""
        return self._budget.per_class

    @property
    def max_bytes(self) -> int | None:
        """Bytes in all, or None where the budget is another."""
        return self._budget.max_bytes

    @property
    def recipe(self) -> dict[str, Any]:
        """Name and settings of the method as the memory was last made; empty before the first experience."""
        return self.memory.recipe if self.memory else {}

    @property
    def buffer(self) -> AvalancheDataset[Any]:
        """The memory as a dataset whose items look like the stream's; empty before the first experience."""
        if self._dataset is None:
            if self.memory is None:
                return AvalancheDataset([])
            self._dataset = memory_dataset(*self.memory.decode(), self._format, self.transform)
        return self._dataset

    def update(self, strategy: Any, **kwargs: Any) -> None:
        """Condenses the strategy's current experience; what Avalanche 0.6 calls."""
        self.post_adapt(strategy, strategy.experience)

    def post_adapt(self, agent_state: Any, exp: Any) -> None:
        """Condenses an experience's classes into the memory; after an error the memory is what it was."""
        if isinstance(exp, OnlineCLExperience):
            raise ValueError(
                "an online experience shows a few images at a time and condensation needs all of a class: "
                "train on the original stream, or use Avalanche's ReservoirSamplingBuffer"
            )
        start = time.perf_counter()
        images, ids, form = read_items(exp.dataset, self.num_workers)
        real = ImageSet.of(images, ids, normalisation=self.normalisation)
        del images
        counts = dict(zip(real.class_ids, real.counts, strict=True))
        seen = self._seen | {c: n + self._seen.get(c, 0) for c, n in counts.items()}
        quotas = self._budget.quotas(seen, self.codec, real.shape)
        kept = self._shrunk({c: q for c, q in quotas.items() if c not in counts})
        # A seed for each experience: with one for all, a class that returns would draw its old images again.
        seed = subseed(self.seed, self.experiences)
        fresh = self._condensed(self._with_memory(real), {c: quotas[c] for c in counts}, seed)
        self.memory = kept.merged(fresh) if kept else fresh
        self._seen, self.experiences = seen, self.experiences + 1
        self._format = form if self.task_labels is None else form._replace(task_labels=self.task_labels)
        self._dataset = None
        self.seconds = time.perf_counter() - start

    def resize(self, strategy: Any, new_size: int) -> None:
        """Sets ``max_size`` and shrinks the memory to it; a larger size is filled by later experiences."""
        if self._budget.max_size is None:
            each = f"{self.per_class} images per class" if self.per_class else f"{self.max_bytes} bytes"
            raise ValueError(f"the memory has {each}, not a total size to change")
        before, self._budget = self._budget, Budget(new_size)
        try:
            if self.memory:
                self.memory = self._shrunk(self._budget.quotas(self._seen, self.codec, self.memory.shape))
        except ValueError:
            self._budget = before
            raise
        self._dataset = None

    def save(self, path: str | Path, **extra: Any) -> None:
        """Writes the memory and what is needed to go on; ``load`` reads it into an equal buffer."""
        if self.memory is None:
            raise ValueError("the memory is empty: nothing to save before the first experience")
        seen = [[c, n] for c, n in self._seen.items()]
        own = {"seen": seen, "format": list(self._format), "experiences": self.experiences}
        self.memory.save(path, **own, **extra)

    def load(self, path: str | Path) -> dict[str, Any]:
        """Takes over a saved memory and returns the extra entries; errors as CondensedSet.load."""
        memory, extra = CondensedSet.load(path), read_header(path)
        try:
            seen, form = {int(c): int(n) for c, n in extra.pop("seen")}, ItemFormat(*extra.pop("format"))
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"{path} is a condensed set but not a saved buffer: use CondensedSet.load"
            ) from None
        experiences = extra.pop("experiences", None)
        if type(experiences) is not int or experiences < 1:
            raise ValueError(f"{path} {_OLD}")
        if memory.codec != self.codec:
            raise ValueError(
                f"{path} holds images as {memory.codec}, not {self.codec}: give codec={memory.codec!r} to go on"
            )
        self.memory, self._seen, self._format, self._dataset = memory, seen, form, None
        self.experiences = experiences
        return extra

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "experiences" not in state:
            raise ValueError(f"the pickled buffer {_OLD}")
        self.__dict__.update(state)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_dataset": None, "on_iteration": None}

    def _shrunk(self, quotas: dict[int, int]) -> CondensedSet | None:
        """The memory of these classes, those above their quota made smaller."""
        if self.memory is None or not quotas:
            return None
        kept = self.memory.first(quotas)
        has = dict(zip(self.memory.class_ids, self.memory.counts, strict=True))
        over = {c: q for c, q in quotas.items() if q < has[c]}
        if not over or self.shrink == "prefix" or not self.method.optimises:
            return kept
        x, y = self.memory.only(list(quotas)).decode()
        stored = ImageSet.of(x, y, normalisation=(self.memory.mean, self.memory.std))
        return kept.merged(
            self._condensed(stored, over, subseed(Purpose.RECONDENSE, self.seed, self.experiences))
        )

    def _with_memory(self, real: ImageSet) -> ImageSet:
        """The new images, with the memory's images of classes that return."""
        old = [c for c in real.class_ids if c in self._seen]
        if not old or self.memory is None:
            return real
        x, y = self.memory.only(old).decode()
        stored = {c: int((y == c).sum()) for c in old}
        weights = torch.tensor([self._seen[int(c)] / stored[int(c)] for c in y])
        return ImageSet.of(
            torch.cat([real.images, x]),
            torch.cat([real.labels, y]),
            normalisation=(real.mean, real.std),
            weights=torch.cat([torch.ones(len(real)), weights]),
        )

    def _condensed(self, real: ImageSet, quotas: dict[int, int], seed: int) -> CondensedSet:
        """Each class of ``quotas`` condensed to its quota.

        Where a class's images depend on no other class, the classes of one quota go together. Else all of
        ``real`` do, at the largest quota, and each class keeps its first images, so that networks that train
        see every class.
        """
        real = real.to(self.device)
        there = dict(zip(real.class_ids, real.counts, strict=True))  # of a class that returns, fewer than seen
        quotas = {c: min(q, there[c]) for c, q in quotas.items()}
        if not class_independent(self.method, self.network or MakeConvNet(real.shape)):
            most = max(quotas.values())
            return self._made(real.filled(most), most, seed).first(quotas)
        parts = [
            self._made(real.only([c for c, q in quotas.items() if q == ipc]), ipc, seed)
            for ipc in sorted(set(quotas.values()), reverse=True)
        ]
        return functools.reduce(CondensedSet.merged, parts)

    def _made(self, real: ImageSet, ipc: int, seed: int) -> CondensedSet:
        network = self.network or MakeConvNet(real.shape)
        if not self._said:
            self._said = warn_borrowed(self.method, self.dataset, ipc)
        made = condense(real, self.method, ipc=ipc, network=network, seed=seed, on_iteration=self.on_iteration)
        return made.coded(self.codec)


def _named(name: str, dataset: str, papers: bool) -> Method:
    """The method of a name, by economy where it has one."""
    method = build(name, dataset)
    return method if papers else economical(method)
