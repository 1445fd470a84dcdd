"""How long condensations and trainings take: their images times what an image costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cl_condense.condensation.chunks import batch_of, few
from cl_condense.condensation.objectives import unrolled_classification
from cl_condense.condensation.paper_settings import settled
from cl_condense.condensation.recipe import Recipe
from cl_condense.condensation.sources.contract import NetworkSource, SourceContext
from cl_condense.condensation.sources.pool import BlendedPool, TrainedPool
from cl_condense.condensation.sources.pooled import Pool, file_of, pools_of
from cl_condense.condensation.sources.recycled import RecycledNets
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.condensation.sources.training import DynamicLoop, InnerLoop, RealTraining
from cl_condense.condensation.sources.unrolled import Unrolled
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.data.imageset import ImageSet
from cl_condense.methods import coresets
from cl_condense.methods.coresets import Coreset
from cl_condense.papers.timings import Looked, Shaped, Units
from cl_condense.runs.build import method_for, network_for, training_for
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.training.augment import DSA
from cl_condense.training.protocol import Training


@dataclass(frozen=True)
class Costs:
    """Estimates for a condensation and a training, from timings here, as if nothing were compiled.

    Pools that lie in the folder ``pools`` cost nothing, and none of the files ``made``, which will lie there.
    """

    condense: CondenseConfig
    scoring: TrainConfig
    train: ImageSet
    test: ImageSet
    units: Units
    pools: Path | None = None
    made: frozenset[Path] = frozenset()

    @property
    def pooled(self) -> bool:
        """Whether a pool is a part of condensing, which some other condensation may have trained."""
        method = method_for(self.condense)
        return isinstance(method, Recipe) and bool(pools_of(method.sources()))

    def pool_files(self) -> set[Path]:
        """Where a condensation of the whole data set keeps its pools."""
        method = method_for(self.condense)
        if not isinstance(method, Recipe):
            return set()
        recipe = method.settled(self.condense.ipc or 0)
        return {path for pool in pools_of(recipe.sources()) if (path := self._file(pool, recipe))}

    def condensing(self, classes: int | None = None, iterations: int | None = None) -> float:
        """Seconds in which so many of the classes, the first ones, are condensed; None: all.

        ``iterations`` are the first ones of a method that optimises images; None: all.
        """
        c, real = self.condense, self.train
        counts = real.counts[:classes]
        method = method_for(c)
        if isinstance(method, Recipe):
            return self._recipe(method.settled(c.ipc or 0), counts, iterations)
        if not isinstance(method, Coreset) or not method.iterations:
            return 0.0
        batches = -(-sum(counts) // 256)
        epochs = -(-method.iterations // batches)
        looks = epochs if method.select is coresets.forgetting else 1
        learning = epochs * self._epoch(self._nets(), Training(augment=None), sum(counts))
        return learning + looks * sum(counts) * self.units.tested(self._nets())

    def training(self, classes: int | None = None, networks: int | None = None, jobs: int = 1) -> float:
        """Seconds in which networks are trained on the images of so many classes, and tested.

        ``networks`` (those of the training) for each of ``jobs`` that train side by side; the seconds are of
        one of these.
        """
        t, method = self.scoring, method_for(self.condense)
        k = len(self.train.class_ids) if classes is None else classes
        factor = method.synthetic.factor if isinstance(method, Recipe) else 1
        networks = (t.networks if networks is None else networks) * jobs
        images, tested = k * (self.condense.ipc or 0) * factor**2, sum(self.test.counts[:k])
        nets = Shaped(network_for(t, self.train.shape), self.train.shape)
        seconds = t.epochs * self._epoch(nets, training_for(t), images, networks)
        return (seconds + networks * tested * self.units.tested(nets)) / jobs

    def _nets(self) -> Shaped:
        return Shaped(network_for(self.condense, self.train.shape), self.train.shape)

    def _epoch(self, nets: Shaped, training: Training, images: int, networks: int = 1) -> float:
        unit = self.units.trained(nets, training, networks)
        return unit.batch * -(-images // training.batch_size) + unit.image * images

    def _recipe(self, recipe: Recipe, counts: Sequence[int], iterations: int | None) -> float:
        iterations = settled(recipe.iterations) if iterations is None else iterations
        decoded = (self.condense.ipc or 0) * recipe.synthetic.factor**2
        looked_at = min(decoded, recipe.syn_per_class or decoded)
        seconds = 0.0
        steps = 1 + sum(term.apart for term in recipe.terms)
        for nets in dict.fromkeys(recipe.sources()):
            terms = tuple(replace(t, source=None) for t in recipe.terms if (t.source or recipe.source) == nets)
            unit = self._looked(nets, replace(recipe, terms=terms))
            for phase in recipe.phases():
                real = self._real(unit, phase.real_per_class, counts, looked_at) / recipe.reuse
                here = max(0, min(phase.stop, iterations) - phase.start)
                seconds += here * (real + steps * len(counts) * looked_at * unit.synthetic)
            seconds += sum(self._before(pool, recipe, sum(counts)) for pool in pools_of([nets]))
            seconds += self._between(nets, recipe, iterations, len(counts) * decoded, sum(counts))
        return seconds

    def _real(self, unit: Looked, real_per_class: int, counts: Sequence[int], looked_at: int) -> float:
        """Seconds of the real images of an iteration, and of the chunks that classes go through in."""
        together = few(self.train, real_per_class, looked_at)
        chunks = 1 if self.units.device.type == "cuda" else -(-len(counts) // together)
        return chunks * unit.chunk + sum(batch_of(n, real_per_class) for n in counts) * unit.real

    def _looked(self, nets: NetworkSource, recipe: Recipe) -> Looked:
        own = self._pool(nets) if isinstance(nets, TrainedPool | BlendedPool) else self._nets()
        found = self.units.looked(own, recipe)
        if any(term.objective is unrolled_classification for term in recipe.terms):
            # Real images go through as in training: there and back to the weights.
            training = Training(augment=None, precision=recipe.precision)
            return found._replace(real=self.units.trained(own, training).image)
        return found

    def _pool(self, nets: Pool) -> Shaped:
        return Shaped(nets.network(self._context()), self.train.shape)

    def _context(self) -> SourceContext:
        return SourceContext(self.train, self._nets().make, DSA(), 0, pools=self.pools)

    def _between(
        self, nets: NetworkSource, recipe: Recipe, iterations: int, synthetic: int, real: int
    ) -> float:
        """Seconds in all in which networks are drawn and trained between the steps on the images."""
        shaped, plain = self._nets(), Training(1, augment=recipe.augment, precision=recipe.precision)
        drawn, tested = self.units.drawn(shaped), self.units.tested(shaped)
        if isinstance(nets, Unrolled):
            m = (self.condense.ipc or 0) * recipe.synthetic.factor**2
            shown = synthetic * min(settled(nets.each) or m, m) // max(1, m)
            step = self._epoch(shaped, replace(plain, augment=None), shown)
            # A step that is looked back through costs about three.
            steps = 3 * iterations * settled(nets.unroll) * step
            return steps + self._between(nets.source, recipe, iterations, synthetic, real)
        if isinstance(nets, RandomNets):
            return -(-iterations // nets.steps) * drawn
        if isinstance(nets, InnerLoop):
            new = -(-iterations // settled(nets.outer))
            epochs = (iterations - new) * settled(nets.inner)
            return new * drawn + epochs * (self._epoch(shaped, plain, synthetic) if epochs else 0.0)
        if isinstance(nets, RealTraining):
            new = -(-iterations // nets.steps)
            training = replace(plain, batch_size=64, cutmix=nets.cutmix, augment=nets.augment)
            return new * drawn + (iterations - new) * self._epoch(shaped, training, settled(nets.images))
        if isinstance(nets, DynamicLoop):  # it trains until an accuracy moves: after the fewest epochs, mostly
            looks = (nets.window + 1) * len(self.train.class_ids) * nets.real_per_class
            return iterations * (looks * tested + nets.window * self._epoch(shaped, plain, synthetic))
        return self._standing(nets, plain, iterations, synthetic)

    def _before(self, pool: Pool, recipe: Recipe, real: int) -> float:
        """Seconds in which a pool is trained on so many images."""
        path = self._file(pool, recipe) if real == len(self.train) else None
        if path and (path in self.made or path.exists()):
            return 0.0
        nets, size = self._pool(pool), settled(pool.size)
        training = replace(pool.training(), precision=recipe.precision)
        return size * self.units.drawn(nets) + training.epochs * self._epoch(nets, training, real, size)

    def _file(self, pool: Pool, recipe: Recipe) -> Path | None:
        context = self._context()._replace(precision=recipe.precision, compiled=recipe.compiled)
        return file.path if (file := file_of(pool, context)) else None

    def _standing(self, nets: NetworkSource, plain: Training, iterations: int, synthetic: int) -> float:
        """The same for networks of every age, and for a source that is not known here."""
        seconds = 0.0
        if isinstance(nets, ModelQueue):
            training = replace(plain, batch_size=settled(nets.batch), augment=None)
            steps = settled(nets.train_steps) * settled(nets.batch)
            turns = -(-iterations // nets.steps)
            learning = turns * nets.trained * self._epoch(self._nets(), training, steps)
            seconds += learning + turns / settled(nets.push_every) * self.units.drawn(self._nets())
        if isinstance(nets, RecycledNets):
            shown = min(settled(nets.batch), synthetic)
            seconds += iterations * self._epoch(self._nets(), replace(plain, augment=None), shown)
            seconds += iterations / settled(nets.updates) * self.units.drawn(self._nets())
        return seconds
