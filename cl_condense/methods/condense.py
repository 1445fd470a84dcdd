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
from cl_condense.common.kinds import check_call, check_flag, check_kind, described
from cl_condense.common.paths import path_of
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress
from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.engine import Condensation, independent
from cl_condense.condensation.recipe import Method, Recipe
from cl_condense.condensation.starting import started, unfinished, with_kept
from cl_condense.data.imageset import ImageSet, check_ipc
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
    start: CondensedSet | None = None,
    only_new: bool = False,
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
        start: a set whose images are the first, for more iterations, more classes, more images of each, or
            another method; what it has not starts as ever, and random numbers are new.
        only_new: its images stay as they are, and what is new is condensed beside them.
        chunk: classes per forward pass, see ``Condensation``.
        pools: folder where trained pools of networks are looked for and kept, for methods that have one.
        ranks: the processes that share the classes, see ``Condensation``; the leader calls the others. What
            selects real images the leader does alone.
        changes: settings in the place of the method's own, such as ``iterations=2000``; for a name also
            ``dataset``, which chooses among its published settings.

    Returns:
        the set, on the CPU.

    Raises:
        ValueError: for a method or a setting that is not known, a budget that does not fit the classes, a set
            that does not go on so, pixels that stopped being finite, or too little memory.
    """
    check_kind("real", real, ImageSet, "an ImageSet, such as ImageSet.of(images, labels) or load(name)[0]")
    check_network(network)
    check_call("on_iteration", on_iteration)
    method, network = _named(method, changes), network or MakeConvNet(real.shape)
    check_start(method, start, only_new)
    if isinstance(method, Recipe):
        given: Json = {"ipc": ipc, "network": network, "seed": seed, "chunk": chunk, "pools": pools}
        how: Json = {"start": start, "only_new": only_new, "ranks": ranks, "on_iteration": on_iteration}
        return _optimised(real, method, given, **how, checkpoint=checkpoint)
    if not isinstance(method, Selection):
        raise ValueError(f"{described(method)} is no method: give a name such as ddm, a Recipe, or a Selection")
    more = {"checkpoint": checkpoint} if isinstance(method, Coreset) else {}
    return method(real, ipc=ipc, network=network, seed=seed, on_iteration=on_iteration, **more)


def _named(method: str | Method, changes: Json) -> Method:
    """The method with its settings; what is no method is left to be refused."""
    if isinstance(method, str):
        return build(method, **changes)
    return method.with_settings(**changes) if changes and isinstance(method, Method) else method


def _optimised(
    real: ImageSet,
    recipe: Recipe,
    given: Json,
    *,
    start: CondensedSet | None,
    only_new: bool,
    ranks: Ranks,
    on_iteration: OnProgress | None,
    checkpoint: Checkpoint | None,
) -> CondensedSet:
    """The images of a recipe; where some stay and depend on no other class, the classes with new ones alone."""
    network, ipc, seed, some = given["network"], given["ipc"], given["seed"], real
    check_network(network, real.shape)
    check_ipc(ipc, real)
    if start is not None:
        recipe, seed = started(recipe, start, real, ipc, seed, only_new=only_new)
        if independent(recipe, network):
            some = real.only(unfinished(recipe, real, ipc))
    pools = None if given["pools"] is None else path_of("pools", given["pools"])
    given = {k: v for k, v in given.items() if k != "pools"} | {"seed": seed}
    with _shared(ranks, some, recipe, given) as own:
        job = Condensation(some, recipe, **given, pools=pools, ranks=own)
        made = job.run(on_iteration, checkpoint)
    return made if start is None or not only_new else with_kept(made, start, real)


def check_start(method: Method, start: CondensedSet | None, only_new: bool) -> None:
    """Raises ValueError for a set to go on from that is none, and for a method that does not go on from one."""
    check_kind("start", start, CondensedSet | None, "a CondensedSet, such as CondensedSet.load(path), or None")
    check_flag("only_new", only_new)
    if start is None and only_new:
        raise ValueError("only_new without a set to start from: give start too")
    if start is not None and not isinstance(method, Recipe):
        name = getattr(method, "name", described(method))
        raise ValueError(
            f"{name} does not go on from a set: leave start out, or take a method that condenses, such as dm"
        )


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
