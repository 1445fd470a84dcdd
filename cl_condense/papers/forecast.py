"""How long what is missing takes: by the cost model, corrected by what was done before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch

from cl_condense.common.devices import device_name
from cl_condense.papers.bench import Bench
from cl_condense.papers.costs import Costs
from cl_condense.papers.published import Cell
from cl_condense.papers.timings import Units
from cl_condense.papers.work import Piece, Work
from cl_condense.runs.single import POOLS

Order = Literal["printed", "cheapest", "dearest"]
"""As the cells are, or by estimate: the cheapest first does most in a limited time, the dearest first leaves no
worker alone with a long one at the end."""

_SHORT = 0.2  # seconds: what is shorter says nothing of the model


class Planned(NamedTuple):
    """A work and what is missing of it, once the works before it are done."""

    work: Work
    pieces: list[Piece]

    def seconds(self) -> float:
        return sum(piece.seconds() for piece in self.pieces)


class Forecast:
    """Estimates for a bench; what its cells have in the folder, made on this device, corrects them."""

    def __init__(self, bench: Bench, cells: Sequence[Cell]) -> None:
        self._bench = bench
        self._units = Units(torch.device(bench.changes["device"]))
        self._name = device_name(bench.changes["device"])
        self._ratios: dict[str, list[float]] = {}
        results = bench.results(cells)
        for work in dict.fromkeys(work for cell in cells for work in bench.works(cell)):
            if work.accuracies(results):
                self.learn(work, results)

    def learn(self, work: Work, results: Sequence[dict[str, object]]) -> None:
        """Compares what was done of a work with what it was to take."""
        for past in work.past(self._bench.folder, results, self._costs(work)):
            if past.device == self._name and min(past.estimate, past.seconds) > _SHORT:
                self._ratios.setdefault(past.kind, []).append(past.seconds / past.estimate)

    def pieces(self, work: Work, pools: Collection[Path] = ()) -> list[Piece]:
        """What is missing of a work, once there are these files of pools."""
        found = work.pieces(self._bench.folder, self._costs(work, pools))
        condensing, training = self._ratio(work.condense.method), self._ratio("training")
        return [
            p if p.begun else p._replace(condensing=p.condensing * condensing, training=p.training * training)
            for p in found
        ]

    def plan(self, works: Iterable[Work], order: Order) -> list[Planned]:
        """The works in the order in which they are begun.

        What several of them share is done, and counted, with the first.
        """
        alone = [Planned(work, self.pieces(work)) for work in works]
        if order != "printed":
            alone.sort(key=Planned.seconds, reverse=order == "dearest")
        made, pools, planned = set[str](), set[Path](), []
        for work, pieces in alone:
            own = self._costs(work).pool_files()
            again = self.pieces(work, pools) if own & pools else pieces
            planned.append(Planned(work, again[-1:] if work.makes() in made else again))
            made |= {work.makes()} - {""}
            pools |= own
        return planned

    def _costs(self, work: Work, pools: Collection[Path] = ()) -> Costs:
        images, folder = self._bench.data(work.condense.dataset), self._bench.folder / POOLS
        return Costs(work.condense, work.train, *images, self._units, folder, frozenset(pools))

    def _ratio(self, kind: str) -> float:
        return float(np.median(self._ratios.get(kind, [1.0])))
