"""CondensedBuffer: a ClassMemory where Avalanche takes a storage policy."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import torch
from avalanche.benchmarks import OnlineCLExperience
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.training.storage_policy import ExemplarsBuffer
from torch import Tensor

from cl_condense.common import numbers
from cl_condense.common.foreign import shown
from cl_condense.common.kinds import check_call, check_kind
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress
from cl_condense.condensation import codecs
from cl_condense.condensation.condensed_set import CondensedSet, read_header
from cl_condense.condensation.recipe import Method
from cl_condense.data.imageset import ImageSet, check_constants
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.networks.contract import MakeNetwork
from cl_condense.strategies.tensors import ItemFormat, memory_dataset, read_items

T = TypeVar("T")


class _OfMemory(Generic[T]):
    """An attribute that is the ``ClassMemory``'s, under the same name unless another is given."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = self._name or name

    @overload
    def __get__(self, buffer: None, owner: type) -> _OfMemory[T]: ...
    @overload
    def __get__(self, buffer: CondensedBuffer, owner: type) -> T: ...
    def __get__(self, buffer: CondensedBuffer | None, owner: type) -> T | _OfMemory[T]:
        return self if buffer is None else getattr(buffer.class_memory, self._name)

    def __set__(self, buffer: CondensedBuffer, value: T) -> None:
        setattr(buffer.class_memory, self._name, value)


class CondensedBuffer(ExemplarsBuffer):
    """A class-balanced memory that holds condensed images of every class the stream has shown.

    At each experience its classes are condensed; the real images are not kept. Use it wherever Avalanche takes
    a storage policy: ``ReplayPlugin(mem_size=200, storage_policy=CondensedBuffer(200))``, or overwrite the
    ``storage_policy`` of a GDumbPlugin or an ER_ACE. Budgets, classes that return and all that is not said here
    are those of ``ClassMemory``. A label that comes under two task labels counts as two classes.

    Args:
        max_size: images in all, shared by the classes.
        method: a name such as ``ddm``, ``dm+sm``, ``herding``, or a method of your own.
        per_class: images of each class; ``max_size`` is then 0, and so is the ReplayPlugin's ``mem_size``.
        max_bytes: bytes in all, of images and labels as ``codec`` stores them; ``max_size`` is then 0 too.
        codec, dataset, network, device, seed, papers, iterations, shrink, on_iteration: as in ``ClassMemory``.
        transform: augments memory images when they are trained on (a function of one image tensor).
        task_labels: True gives items (image, label, task) and False (image, label), whatever the stream
            gives; ER_ACE always wants the first.
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
            float tensors of one size.
    """

    memory = _OfMemory[CondensedSet | None]("condensed")
    recipe = _OfMemory[Json]()
    experiences = _OfMemory[int]()
    seconds = _OfMemory[float]()
    per_class = _OfMemory[int | None]()
    max_bytes = _OfMemory[int | None]()
    method = _OfMemory[Method]()
    codec = _OfMemory[str]()
    dataset = _OfMemory[str]()
    network = _OfMemory[MakeNetwork | None]()
    device = _OfMemory[str]()
    seed = _OfMemory[int]()
    shrink = _OfMemory[str]()
    on_iteration = _OfMemory[OnProgress | None]()

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
        # The base class's constructor would make a dataset that no one uses and every pickle carries.
        self.class_memory = ClassMemory(
            max_size,
            method=method,
            per_class=per_class,
            max_bytes=max_bytes,
            codec=codec,
            dataset=dataset,
            network=network,
            device=device,
            seed=seed,
            papers=papers,
            iterations=iterations,
            shrink=shrink,
            on_iteration=on_iteration,
        )
        check_call("transform", transform)
        check_kind("task_labels", task_labels, bool | None, "True, False or None")
        if normalisation is not None:
            check_constants(normalisation)
        self.transform, self.task_labels, self.normalisation = transform, task_labels, normalisation
        self.num_workers = numbers.whole("num_workers", num_workers, 0)
        self._format = ItemFormat(tensor_labels=False, task_labels=True)
        self._dataset: AvalancheDataset[Any] | None = None

    @property
    def max_size(self) -> int:
        """Images in all, which ReplayPlugin and GDumbPlugin read; 0 where the budget is another."""
        return self.class_memory.max_size or 0

    @property
    def buffer(self) -> AvalancheDataset[Any]:
        """The memory as a dataset whose items look like the stream's; empty before the first experience."""
        if self._dataset is None:
            if self.memory is None:
                return AvalancheDataset([])
            self._dataset = memory_dataset(*self.memory.decode(), self._format, self.transform)
        return self._dataset

    def update(self, strategy: Any, **kwargs: object) -> None:
        """Condenses the strategy's current experience; what Avalanche 0.6 calls."""
        self.post_adapt(strategy, strategy.experience)

    def post_adapt(self, agent_state: object, exp: Any) -> None:
        """Condenses an experience's classes into the memory; after an error the memory is what it was."""
        if isinstance(exp, OnlineCLExperience):
            raise ValueError(
                "an online experience shows a few images at a time and condensation needs all of a class: "
                "train on the original stream, or use Avalanche's ReservoirSamplingBuffer"
            )
        start = time.perf_counter()
        check_kind(
            "dataset of the experience", getattr(exp, "dataset", None), AvalancheDataset, "an AvalancheDataset"
        )
        images, ids, form = read_items(exp.dataset, self.num_workers)
        real = ImageSet.of(images, ids, normalisation=self.normalisation)
        del images
        self.class_memory.update(real)
        self._format = form if self.task_labels is None else form._replace(task_labels=self.task_labels)
        self._dataset = None
        self.seconds = time.perf_counter() - start

    def resize(self, strategy: object, new_size: int) -> None:
        """Sets ``max_size`` and shrinks the memory to it; a larger size is filled by later experiences."""
        self.class_memory.resize(new_size)
        self._dataset = None

    def save(self, path: str | Path, **extra: Any) -> None:
        """Writes the memory and what is needed to go on; ``load`` reads it into an equal buffer."""
        self.class_memory.save(path, format=list(self._format), **extra)

    def load(self, path: str | Path) -> Json:
        """Takes over a saved memory, of a buffer or of a ``ClassMemory``, and returns the extra entries.

        Raises:
            ValueError: as ``ClassMemory.load``.
        """
        form = _format(path, read_header(path))
        extra = self.class_memory.load(path)
        extra.pop("format", None)
        self._format, self._dataset = form, None
        return extra

    def __setstate__(self, state: Json) -> None:
        if "class_memory" not in state:
            raise ValueError("the pickled buffer is of an earlier version: make the memory again")
        self.__dict__.update(state)

    def __getstate__(self) -> Json:
        return self.__dict__ | {"_dataset": None}


def _format(path: str | Path, header: Json) -> ItemFormat:
    """What items of a saved memory look like; as in a new buffer where the file does not say it."""
    said = header.get("format", [False, True])
    if not isinstance(said, list) or [type(value) for value in said] != [bool, bool]:
        form = shown(said)
        raise ValueError(f"{path} has items of format {form}, which no buffer has: make the memory again")
    return ItemFormat(*said)
