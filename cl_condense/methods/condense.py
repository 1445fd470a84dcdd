"""One verb: a data set condensed by a method, whether it is a name, a recipe, a coreset or your own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from cl_condense.common.checkpoint import Checkpoint
from cl_condense.common.kinds import check_call, check_kind, described
from cl_condense.common.paths import path_of
from cl_condense.common.progress import OnProgress
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.engine import Condensation, independent
from cl_condense.condensation.recipe import Method, Recipe
from cl_condense.data.imageset import ImageSet
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
        job = Condensation(real, method, ipc=ipc, network=network, seed=seed, chunk=chunk, pools=pools)
        return job.run(on_iteration, checkpoint)
    if not isinstance(method, Selection):
        raise ValueError(f"{described(method)} is no method: give a name such as ddm, a Recipe, or a Selection")
    more = {"checkpoint": checkpoint} if isinstance(method, Coreset) else {}
    return method(real, ipc=ipc, network=network, seed=seed, on_iteration=on_iteration, **more)


def class_independent(method: Method, network: MakeNetwork) -> bool:
    """Whether the images that a method makes for a class depend on no other class.

    So it is for draws of real images, and for recipes as ``independent`` says; of a method that is neither
    recipe nor coreset it is not known.
    """
    if isinstance(method, Coreset):
        return not method.iterations
    return isinstance(method, Recipe) and independent(method, network)
