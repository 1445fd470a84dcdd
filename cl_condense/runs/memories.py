"""The memory of a method on an order of a stream, and the stream itself, as a run's settings say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cl_condense.common.plain import Json
from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.common.rng import Purpose, subseed
from cl_condense.data.domain_names import base_of
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.budgets import Budget
from cl_condense.memory.choosing import ShareChoice
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.memory.hybrid import HybridMemory
from cl_condense.memory.online import OnlineMemory
from cl_condense.methods.hybrid import SHARE, Hybrid
from cl_condense.networks.contract import MakeNetwork
from cl_condense.runs.build import method_for, training_for
from cl_condense.runs.config import CondenseConfig
from cl_condense.runs.run_config import RunConfig
from cl_condense.runs.stream import ClassStream, domains_in, drawn_order, step_sizes

Memory = ClassMemory | HybridMemory | OnlineMemory


def memory_for(
    s: RunConfig,
    c: CondenseConfig,
    order: int,
    network: MakeNetwork,
    pools: Path,
    *,
    classes: int | None = None,
    ranks: Ranks = ALONE,
) -> Memory:
    """An empty memory for a condensation of the run, with the seed of an order.

    ``classes`` are those of the whole stream, for a share of real images that is chosen.

    Raises:
        ValueError: as memories, and for an online one whose share is to be chosen.
    """
    method, stream, hybrid = method_for(c), s.stream, Hybrid.of(c.method)
    given: Json = {
        "codec": c.codec,
        "shrink": stream.shrink,
        "pools": pools,
        "dataset": base_of(s.dataset),
        "network": network,
        "device": s.device,
        "seed": subseed(s.seed, order),
        "ranks": ranks,
    }
    budget = Budget(stream.budget, stream.max_bytes, s.main.ipc)
    memory: ClassMemory | HybridMemory
    if hybrid and hybrid.share is None and stream.scenario == "online":
        raise ValueError(f"{c.method}: a few images of an online stream choose no share: give one, such as 0.5")
    if hybrid:
        looks = stream.scenario == "online"  # many times, and the less at each
        real = method_for(replace(c, method=hybrid.real, iterations=c.iterations if looks else None))
        share = SHARE if hybrid.share is None else hybrid.share
        parts = zip(budget.parted(share), (method, real), strict=True)
        made, selected = (_class_memory(part, method=each, **given) for part, each in parts)
        choose = ShareChoice(network, training_for(s.train), s.train.networks, classes=classes)
        memory = HybridMemory(made, selected, choose if hybrid.share is None else None)
    else:
        memory = _class_memory(budget, method=method, **given)
    if stream.scenario != "online":
        return memory
    return OnlineMemory(memory, staging=stream.staging, enough=stream.enough)


def _class_memory(budget: Budget, **given: object) -> ClassMemory:
    shared: Json = {"max_bytes": budget.max_bytes, "per_class": budget.per_class, **given}
    return ClassMemory(budget.max_size, **shared)


def stream_for(s: RunConfig, train: ImageSet, test: ImageSet, order: int) -> ClassStream:
    """The classes, or the domains, in an order, and their images where these have one."""
    found = _stream(s, train, test, order)
    blur = s.stream.blur
    return (
        found.in_order(blur, Purpose.ARRIVAL, s.seed, order) if blur or s.stream.scenario == "online" else found
    )


def _stream(s: RunConfig, train: ImageSet, test: ImageSet, order: int) -> ClassStream:
    seed = (s.seed if s.stream.order_seed is None else s.stream.order_seed) + order
    if (domains := len(domains_in(train))) > 1:
        return ClassStream.of_domains(train, test, drawn_order(domains, seed))
    ids, own = train.class_ids, s.stream.class_orders
    places = [ids.index(c) for c in own[order]] if own else drawn_order(len(ids), seed)
    return ClassStream.of(train, test, step_sizes(len(ids), s.stream.steps), places)
