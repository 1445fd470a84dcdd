"""One verb: a data set condensed by a method, whether it is a name, a recipe, a coreset or your own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from cl_condense.common.checkpoint import Checkpoint
from cl_condense.common.devices import using_threads
from cl_condense.common.kinds import check_call, check_kind, described
from cl_condense.common.paths import path_of
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress
from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.engine import Condensation, independent
from cl_condense.condensation.recipe import Method, Recipe
from cl_condense.data.imageset import ImageSet
from cl_condense.data.placing import placed
from cl_condense.data.store import Store
from cl_condense.methods.coresets import Coreset
from cl_condense.methods.registry import build
from cl_condense.networks.contract import MakeNetwork, check_network
from cl_condense.networks.convnet import MakeConvNet


@runtime_checkable
class Selection(Method, Protocol):
    """A method that is called: a coreset, or one of your own."""

    def __call__(
        self,
        real: ImageSet,
        *,
        ipc: int,
        network: MakeNetwork,
        seed: int = 0,
        on_iteration: OnProgress | None = None,
    ) -> CondensedSet:
        """``ipc`` images of every class of ``real``."""
        ...


def condense(
    real: ImageSet,
    method: str | Method,
    *,
    ipc: int,
    network: MakeNetwork | None = None,
    seed: int = 0,
    on_iteration: OnProgress | None = None,
    checkpoint: Checkpoint | None = None,
    chunk: int | None = None,
    pools: str | Path | None = None,
    ranks: Ranks = ALONE,
    **changes: Any,
) -> CondensedSet:
    """Makes ``ipc`` images of each class of ``real``; one seed gives the same images.

    Args:
        real: the images, on the device to compute on.
        method: a name such as ``ddm`` or ``dm+sm``, a recipe, a coreset, or a ``Selection`` of your own.
        ipc: stored images per class.
        network: makes the network to look through for a number of classes; None: the papers' ConvNet.
        seed: one integer for everything that is random.
        on_iteration: called after every iteration, for example ``ProgressBar()``.
        checkpoint: where an interrupted condensation goes on, and leaves its states; a ``Selection`` of
            your own begins anew.
        chunk: classes per forward pass, see ``Condensation``.
        pools: folder where trained pools of networks are looked for and kept, for methods that have one.
        ranks: the processes that share the classes, see ``Condensation``; the leader calls the others. What
            selects real images the leader does alone.
        changes: settings in the place of the method's own, such as ``iterations=2000``; for a name also
            ``dataset``, which chooses among its published settings.

    Returns:
        the set, on the CPU.

    Raises:
        ValueError: for a method or a setting that is not known, a budget that does not fit the classes, pixels
            that stopped being finite, or too little memory.
    """
    check_kind("real", real, ImageSet, "an ImageSet, such as ImageSet.of(images, labels) or load(name)[0]")
    check_network(network)
    check_call("on_iteration", on_iteration)
    if isinstance(method, str):
        method = build(method, **changes)
    elif isinstance(method, Method) and changes:
        method = method.with_settings(**changes)
    network = network or MakeConvNet(real.shape)
    if isinstance(method, Recipe):
        check_network(network, real.shape)
        pools = None if pools is None else path_of("pools", pools)
        given: Json = {"ipc": ipc, "network": network, "seed": seed, "chunk": chunk}
        with _shared(ranks, real, method, given) as some:
            job = Condensation(real, method, **given, pools=pools, ranks=some)
            return job.run(on_iteration, checkpoint)
    if not isinstance(method, Selection):
        raise ValueError(f"{described(method)} is no method: give a name such as ddm, a Recipe, or a Selection")
    more = {"checkpoint": checkpoint} if isinstance(method, Coreset) else {}
    return method(real, ipc=ipc, network=network, seed=seed, on_iteration=on_iteration, **more)


@contextmanager
def _shared(ranks: Ranks, real: ImageSet, recipe: Recipe, given: Json) -> Iterator[Ranks]:
    """Inside, the leader of ranks condenses, and the others with it; the ranks that have a class to do."""
    ranks.check_device(real.device)
    threads = {"threads": torch.get_num_threads()}

    def known() -> tuple[object, ...]:
        """All but the images, which may be large."""
        no_images = replace(real, store=Store(real.store.whole[:0])).to("cpu")
        return no_images, real.device.type, recipe, {**given, **threads}

    ranks.call(_follow, known)
    some = ranks.first(len(real.class_ids))
    if some.size > 1:  # to read all of a mapped set for nobody would take long
        _hand_out(real.store, some)
    yield some
    ranks.rest()


def _follow(ranks: Ranks, real: ImageSet, device: str, recipe: Recipe, given: Json) -> None:
    """What a rank that does not lead does in a condensation; of more ranks than classes the last do nothing."""
    some = ranks.first(len(real.class_ids))
    if some.rank >= 0:
        with using_threads(given.pop("threads")):
            none = real.store.whole
            store = Store(torch.empty(sum(real.counts), *none.shape[1:], dtype=none.dtype))
            _hand_out(store, some)
            Condensation(placed(replace(real, store=store), device), recipe, **given, ranks=some).run()


def _hand_out(store: Store, ranks: Ranks) -> None:
    """Sends the leader's images to the others, some at a time, since they may be more than its memory holds."""
    for part in store.parts():
        ranks.spread([part.cpu()], 0)


def class_independent(method: Method, network: MakeNetwork) -> bool:
    """Whether the images that a method makes for a class depend on no other class.

    So it is for draws of real images, and for recipes as ``independent`` says; of a method that is neither
    recipe nor coreset it is not known.
    """
    if isinstance(method, Coreset):
        return not method.iterations
    return isinstance(method, Recipe) and independent(method, network)
