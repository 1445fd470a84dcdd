"""The cells of tables that a command asks for, and the options that have no effect on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from cl_condense.cli.useless import Reasons, of_methods
from cl_condense.common.plain import Json
from cl_condense.data.datasets import SOURCES
from cl_condense.methods.registry import build, has
from cl_condense.methods.sweeps import Sweep, swept
from cl_condense.papers.published import Cell, published, with_moments
from cl_condense.papers.set_work import condensed_once
from cl_condense.papers.stream_work import incremental


def chosen(
    name: str, names: Sequence[str], datasets: Sequence[str], ipcs: Sequence[int], methods: Sequence[str]
) -> list[Cell]:
    """The cells of a table that are asked for, in the order of what is asked; nothing asked is everything.

    Raises:
        ValueError: for what none of the tables ``names`` has.
    """
    asked: dict[str, Sequence[object]] = {"dataset": datasets, "ipc": ipcs, "method": methods}
    kept: dict[str, list[object]] = {}
    for kind, values in asked.items():
        kept[kind] = [value for value in values if _has(name, names, kind, value)]
        if values and not kept[kind]:
            return []  # another of the tables has them
    every = product(*(kept[kind] or [None] for kind in ("method", "dataset", "ipc")))
    wanted = [{"method": m, "dataset": d, "ipc": i} for m, d, i in every]
    found = [cell for some in wanted for cell in _some(name, some, strict=len(wanted) == 1)]
    return list(dict.fromkeys(found))


def _has(name: str, names: Sequence[str], kind: str, value: Any) -> bool:
    """Whether a table has a cell of this kind; one of the tables has to."""
    faults = {}
    for each in dict.fromkeys([name, *names]):
        try:
            published(each, **{kind: value})
        except ValueError as error:
            faults[each] = error
    if len(faults) == len({name, *names}):
        raise faults[name]
    return name not in faults


def _some(name: str, some: Json, strict: bool) -> list[Cell]:
    """The cells of one data set, budget and method; where several are asked for, some of them may have none."""
    try:
        return published(name, **some)
    except ValueError:
        if strict:
            raise
        return []


def widened(cells: Sequence[Cell], sweeps: Sequence[Sweep], kept: Sequence[str]) -> list[Cell]:
    """Cells for each value of settings, and for each moment of a condensation beside its end.

    A cell with a setting that is not the paper's has no published number.

    Raises:
        ValueError: for a setting that none of the methods has, and as ``build``.
    """
    found: list[Cell] = []
    for cell in cells:
        names = swept([cell.name], [s for s in sweeps if has(cell.name, s.setting)]) if cell.name else [None]
        for name in names:
            said = (name or "").removeprefix(cell.name or "").lstrip("@,").replace(",", ", ")
            other: Json = {
                "name": name,
                "method": f"{cell.method}, {said}",
                "mean": None,
                "std": None,
                "notes": "",
            }
            found.append(replace(cell, **other) if said else cell)
    ends = [
        replace(cell, after=after, mean=cell.mean if after == "100%" else None)
        for cell in found
        for after in ((*kept, "100%") if kept and condensed_once(cell) and _made(cell) else ("",))
    ]
    return with_moments(ends) if kept else found


def _made(cell: Cell) -> bool:
    """Whether its method makes images, in iterations."""
    return bool(cell.name and build(cell.name).optimises)


def useless(name: str, cells: list[Cell]) -> Reasons:
    """Of the options of a table those that have no effect on its cells, with the reason."""
    sets, streams = any(map(condensed_once, cells)), any(map(incremental, cells))
    ours = [cell for cell in cells if condensed_once(cell) or incremental(cell)]
    methods = dict.fromkeys(cell.name for cell in ours if cell.name)
    found_in = {cell.dataset for cell in ours}
    nets = {net for cell in ours for net in (cell.condense_net, cell.eval_net)}
    stated = not any(incremental(cell) and cell.steps is None for cell in cells)
    few = f"{name} is class-incremental: repeat it with --orders" if streams and not sets else ""
    many = "" if streams else f"{name} has no class-incremental cells here: repeat them with --repetitions"
    local = f"none of {', '.join(sorted(found_in))} is fetched: leave it out"
    found = of_methods([*methods]) if methods else {}
    return {
        **found,
        "--download": "" if found_in & {*SOURCES} else local,
        "--width": "" if nets & {"convnet", "selection"} else f"{name} has no ConvNet here: leave it out",
        "--repetitions": few,
        "--checkpoints": "" if sets else f"{name} is class-incremental: leave it out",
        "--orders": many,
        "--steps": f"{name} states its steps, or has none, here: leave it out" if stated else "",
    }
