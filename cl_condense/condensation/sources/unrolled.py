"""Networks that an objective trains on the synthetic images, some steps each."""

from __future__ import annotations

from dataclasses import dataclass

from cl_condense.common.numbers import check_whole, finite
from cl_condense.common.progress import OnProgress
from cl_condense.condensation.paper_settings import Tuned, settled, settled_number
from cl_condense.condensation.sources.contract import (
    Checked,
    Images,
    NetworkSource,
    Preparing,
    RunningSource,
    SampledNetwork,
    SourceContext,
)
from cl_condense.condensation.sources.pooled import Pool, Pooling
from cl_condense.condensation.view import Unroll


@dataclass(frozen=True)
class Unrolled:
    """The networks of another source, with how an objective trains them; they stay as they are themselves.

    Attributes:
        source: of the networks.
        unroll: steps of gradient descent on the synthetic images; the memory grows with them.
        rate: of these steps; the authors of DD and MTT learn it.
        each: images of each class in a step, in turn; 0: all.

    Raises:
        ValueError: for a number out of its range.
    """

    source: NetworkSource
    unroll: int | Tuned = 10
    rate: float | Tuned = 0.01
    each: int | Tuned = 0

    def __post_init__(self) -> None:
        check_whole(self, "unroll")
        check_whole(self, "each", at_least=0)
        if not isinstance(self.rate, Tuned):
            object.__setattr__(self, "rate", finite("rate", self.rate, above=0))

    def check(self) -> None:
        if isinstance(self.source, Checked):
            self.source.check()

    def pool(self) -> Pool | None:
        return self.source.pool() if isinstance(self.source, Pooling) else None

    def start(self, context: SourceContext) -> RunningSource:
        return _Unrolled(self, context)


class _Unrolled:
    def __init__(self, nets: Unrolled, context: SourceContext) -> None:
        self._unroll = Unroll(settled(nets.unroll), settled_number(nets.rate), settled(nets.each))
        self._source = source = nets.source.start(context)
        self.state, self.restore = source.state, source.restore

    def prepare(self, on_progress: OnProgress) -> None:
        if isinstance(self._source, Preparing):
            self._source.prepare(on_progress)

    def at(self, iteration: int) -> SampledNetwork:
        return self._source.at(iteration)._replace(unroll=self._unroll)

    def advance(self, iteration: int, images: Images) -> None:
        self._source.advance(iteration, images)
