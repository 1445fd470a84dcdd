"""CondensedBuffer: a ClassMemory where Avalanche takes a storage policy."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from avalanche.benchmarks import OnlineCLExperience
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.training.storage_policy import ExemplarsBuffer
from torch import Tensor

from cl_condense.common import numbers
from cl_condense.common.foreign import shown
from cl_condense.common.forwarded import Forwarded
from cl_condense.common.kinds import check_call, check_flag, check_kind
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress
from cl_condense.condensation import codecs
from cl_condense.condensation.condensed_set import CondensedSet, read_header
from cl_condense.condensation.recipe import Method
from cl_condense.data.image_checks import check_constants
from cl_condense.data.imageset import ImageSet
from cl_condense.data.parts import label_and_domain
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.memory.contract import Memory
from cl_condense.memory.online import OnlineMemory
from cl_condense.networks.contract import MakeNetwork
from cl_condense.strategies.groups import MemoryGroup, Shown
from cl_condense.strategies.needs import check_strategy, wants_task_labels
from cl_condense.strategies.tensors import (
    ItemFormat,
    Items,
    Theirs,
    memory_dataset,
    pair_names,
    read_items,
)


class CondensedBuffer(ExemplarsBuffer):
    """A class-balanced memory that holds condensed images of every class the stream has shown.

    At each experience its classes are condensed; the real images are not kept. With ``staging`` experiences may
    be as small as those of ``split_online_stream``, see ``OnlineMemory``. Use it wherever Avalanche takes a
    storage policy: ``ReplayPlugin(mem_size=200, storage_policy=CondensedBuffer(200))``, or overwrite the
    ``storage_policy`` of a GDumbPlugin or an ER_ACE. What Avalanche's ``ClassBalancedBuffer`` has means the
    same here. Budgets, classes that return and all that is not said here are those of ``ClassMemory``. A label
    that comes under two task labels counts as two classes, and their names are ``(task, label)``.

    Args:
        max_size: images in all, shared by the classes.
        method: a name such as ``ddm``, ``dm+sm``, ``herding``, or a method of your own.
        per_class: images of each class; ``max_size`` is then 0, and so is the ReplayPlugin's ``mem_size``.
        max_bytes: bytes in all, of images and labels as ``codec`` stores them; ``max_size`` is then 0 too.
        adaptive_size: True shares the budget among the classes seen so far, False among ``total_num_classes``.
        total_num_classes: how many classes the whole stream has, (task, label) pairs where there are tasks.
        codec, dataset, network, device, seed, papers, iterations, shrink, pools, on_iteration: as in
            ``ClassMemory``.
        staging, enough: as in ``OnlineMemory``; without ``staging`` online experiences are refused. Where the
            stream says its boundaries (``access_task_boundaries``), what waits is condensed there.
        transform: augments memory images when they are trained on: a function of one image tensor, such as
            ``as_stream(benchmark.train_stream)``. Default: none. Stored images have been through the stream's
            evaluation transform, and are given as the network should see them: a condensed image is optimised
            to be looked at whole.
        task_labels: True gives items (image, label, task) and False (image, label). Default: what the stream
            gives, and the first to ER_ACE and MIR, which want nothing else.
        normalisation: (mean, std) per channel of the stream's transform, for pictures of the memory.
        num_workers: processes that read the experience's images.

    Attributes:
        class_memory: the ClassMemory.
        memory: its CondensedSet, or None before the first experience.
        recipe: name and settings of the method as the memory was last made; empty before the first experience.
        experiences: how many were taken in.
        seconds: what the last update took.

    Raises:
        ValueError: for a budget below one image a class, an unknown method or device, images that are not
            float tensors of one size, and for a strategy that wants more of a memory than images and labels.
    """

    recipe = Forwarded[Json]("class_memory")
    experiences = Forwarded[int]("class_memory")
    seconds = Forwarded[float]("class_memory")
    per_class = Forwarded[int | None]("class_memory")
    total_num_classes = Forwarded[int | None]("class_memory")
    method = Forwarded[Method]("class_memory")
    codec = Forwarded[str]("class_memory")
    dataset = Forwarded[str]("class_memory")
    network = Forwarded[MakeNetwork | None]("class_memory")
    device = Forwarded[str]("class_memory")
    seed = Forwarded[int]("class_memory")
    shrink = Forwarded[str]("class_memory")
    on_iteration = Forwarded[OnProgress | None]("class_memory")

    def __init__(
        self,
        max_size: int | None = None,
        *,
        method: str | Method = "ddm",
        per_class: int | None = None,
        max_bytes: int | None = None,
        adaptive_size: bool = True,
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
        staging: float | None = None,
        enough: int = 500,
        transform: Callable[[Tensor], Tensor] | None = None,
        task_labels: bool | None = None,
        normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
        num_workers: int = 0,
        on_iteration: OnProgress | None = None,
    ) -> None:
        # The base class's constructor would make a dataset that no one uses and every pickle carries.
        self.class_memory = ClassMemory(
            max_size,
            method=method,
            per_class=per_class,
            max_bytes=max_bytes,
            total_num_classes=total_num_classes,
            codec=codec,
            dataset=dataset,
            network=network,
            device=device,
            seed=seed,
            papers=papers,
            iterations=iterations,
            shrink=shrink,
            pools=pools,
            on_iteration=on_iteration,
        )
        self.held: Memory = self.class_memory
        if staging is not None:
            self.held = OnlineMemory(self.class_memory, staging=staging, enough=enough)
        _check_sharing(adaptive_size, total_num_classes)
        check_call("transform", transform)
        check_kind("task_labels", task_labels, bool | None, "True, False or None")
        if normalisation is not None:
            check_constants(normalisation)
        self.transform, self.task_labels, self.normalisation = transform, task_labels, normalisation
        self.num_workers = numbers.whole("num_workers", num_workers, 0)
        self._format = ItemFormat(tensor_labels=False, task_labels=True)
        self._shown: Shown | None = None
        # by which strategy, with which data, after how many experiences
        self._updated: tuple[weakref.ref[Theirs], weakref.ref[Theirs], int] | None = None

    def __len__(self) -> int:
        """How many images are held and replayed."""
        return len(self.buffer)

    def __bool__(self) -> bool:
        # As Avalanche's own policies, which have no length: ``policy or another`` must not drop an empty one.
        return True

    def __repr__(self) -> str:
        budgets = {name: getattr(self.held.budget, name) for name in ("max_size", "per_class", "max_bytes")}
        budget = ", ".join(f"{name}={value}" for name, value in budgets.items() if value is not None)
        held = f"{len(self)} images of {len(self.held.seen)} classes"
        return f"CondensedBuffer({budget}, method={self.method.name!r}): {held}"

    @property
    def max_size(self) -> int:
        """Images in all, which ReplayPlugin and GDumbPlugin read; 0 where the budget is another."""
        return self.held.budget.max_size or 0

    @property
    def max_bytes(self) -> int | None:
        """Bytes in all, or None where the budget is another."""
        return self.held.budget.max_bytes

    @property
    def memory(self) -> CondensedSet | None:
        """All images that are held, or None before the first."""
        return _named(self.held.condensed)

    @property
    def buffer(self) -> Items:
        """The memory as a dataset whose items look like the stream's; empty before the first experience."""
        return self._shows().dataset

    @property
    def buffer_groups(self) -> dict[int, MemoryGroup]:
        """The images of each label, those of all tasks that have it; to be read, not changed."""
        return self._shows().groups

    @property
    def buffer_datasets(self) -> list[Items]:
        """The datasets of ``buffer_groups``."""
        return [group.buffer for group in self.buffer_groups.values()]

    @property
    def seen_classes(self) -> set[int]:
        """The labels that the stream has shown."""
        return {label_and_domain(i)[0] for i in self.held.seen}

    @property
    def adaptive_size(self) -> bool:
        """Whether a class's part shrinks as classes come."""
        return self.total_num_classes is None and self.per_class is None

    def update(self, strategy: Theirs, **kwargs: object) -> None:
        """Condenses the strategy's current experience; what Avalanche 0.6 calls.

        Plugins that share a memory call it one after another; the first of them is heard.
        """
        clock, exp = getattr(strategy, "clock", None), strategy.experience
        if clock and self._was_heard(strategy, exp, clock.train_exp_counter):
            return
        self.post_adapt(strategy, exp)
        if clock:
            self._updated = weakref.ref(strategy), weakref.ref(exp.dataset), clock.train_exp_counter

    def post_adapt(self, agent_state: object, exp: Theirs) -> None:
        """Condenses an experience's classes into the memory; after an error the memory is what it was.

        Raises:
            ValueError: for online experiences without ``staging``, strategies that images and labels cannot
                serve, and what the class raises.
        """
        check_strategy(agent_state)
        online = isinstance(exp, OnlineCLExperience)
        if online and not isinstance(self.held, OnlineMemory):
            raise ValueError(
                "an online experience shows a few images at a time, and condensation wants more of a class: "
                "give the CondensedBuffer a share for real images that wait, such as staging=0.25"
            )
        known = online and exp.access_task_boundaries
        with self.held.all_or_nothing() if isinstance(self.held, OnlineMemory) else nullcontext():
            if known and exp.is_first_subexp:  # Avalanche 0.6 does not say the last where they divide evenly
                self._condense_waiting()
            self.update_from_dataset(getattr(exp, "dataset", None), agent_state)
            if not online or (known and exp.is_last_subexp):
                self._condense_waiting()

    def update_from_dataset(self, new_data: Items | None, strategy: object = None) -> None:
        """Takes the classes of a dataset into the memory; one without images changes nothing."""
        start = time.perf_counter()
        check_kind("dataset of the experience", new_data, AvalancheDataset, "an AvalancheDataset of images")
        if not new_data:
            return
        images, ids, form = read_items(new_data, self.num_workers)
        if isinstance(self.held, OnlineMemory):
            self.held.observe(images, ids, normalisation=self.normalisation)
        else:
            real = ImageSet.of(images, ids, normalisation=self.normalisation)
            del images
            self.class_memory.update(real)
        self.class_memory.condensed = _named(self.class_memory.condensed)
        tasks = form.task_labels or wants_task_labels(strategy)
        self._format = form._replace(task_labels=tasks if self.task_labels is None else self.task_labels)
        self._shown = None
        self.seconds = time.perf_counter() - start

    def resize(self, strategy: object, new_size: int) -> None:
        """Sets ``max_size`` and shrinks the memory to it; a larger size is filled by later experiences."""
        self.held.resize(new_size)
        self._shown = None

    def save(self, path: str | Path, **extra: object) -> None:
        """Writes the memory and what is needed to go on; ``load`` reads it into an equal buffer."""
        self.held.save(path, format=list(self._format), **extra)

    def load(self, path: str | Path) -> Json:
        """Takes over a saved memory, of a buffer or one without Avalanche, and returns the extra entries.

        Raises:
            ValueError: as ``ClassMemory.load``.
        """
        form = _format(path, read_header(path))
        extra = self.held.load(path)
        extra.pop("format", None)
        self._format, self._shown = form, None
        return extra

    def _condense_waiting(self) -> None:
        if isinstance(self.held, OnlineMemory):
            self.held.condense()
            self.class_memory.condensed = _named(self.class_memory.condensed)
            self._shown = None

    def _was_heard(self, strategy: Theirs, exp: Theirs, count: int) -> bool:
        """Whether the last update was with these data, after as many experiences."""
        if self._updated is None:
            return False
        # Training that is interrupted counts for no experience, so that the count alone is that of the next one
        # too. Streams make an experience anew each time they are asked, but of the same data.
        by, data, before = self._updated
        shown = getattr(exp, "dataset", None)
        return shown is not None and data() is shown and by() is strategy and before == count

    def _shows(self) -> Shown:
        if self.memory is None:
            return Shown(AvalancheDataset([]), {})
        if self._shown is None:
            self._shown = Shown.of(memory_dataset(*self.memory.decode(), self._format, self.transform))
        return self._shown

    def __setstate__(self, state: Json) -> None:
        if "held" not in state:
            raise ValueError("the pickled buffer is of an earlier version: make the memory again")
        self.__dict__.update(state)

    def __getstate__(self) -> Json:
        return self.__dict__ | {"_shown": None, "_updated": None}


def _named(held: CondensedSet | None) -> CondensedSet | None:
    """The set with the names ``(task, label)``, where there are tasks: what comes anew has none."""
    names = pair_names(held.class_ids) if held else ()
    return replace(held, names=names) if held and names and names != held.names else held


def _check_sharing(adaptive_size: bool, total_num_classes: int | None) -> None:
    """Whether the two agree; Avalanche's own buffers ask for the same."""
    check_flag("adaptive_size", adaptive_size)
    if adaptive_size == (total_num_classes is not None):
        remedy = "give total_num_classes" if not adaptive_size else "give adaptive_size=False with it"
        raise ValueError(f"adaptive_size={adaptive_size}, total_num_classes={total_num_classes}: {remedy}")


def _format(path: str | Path, header: Json) -> ItemFormat:
    """What items of a saved memory look like; as in a new buffer where the file does not say it."""
    said = header.get("format", [False, True])
    if not isinstance(said, list) or [type(value) for value in said] != [bool, bool]:
        form = shown(said)
        raise ValueError(f"{path} has items of format {form}, which no buffer has: make the memory again")
    return ItemFormat(*said)
