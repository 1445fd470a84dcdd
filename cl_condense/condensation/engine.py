"""The one loop that every optimising method goes through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor

from cl_condense.common import numbers
from cl_condense.common.agreement import keeping, taking_up
from cl_condense.common.checkpoint import Checkpoint, State
from cl_condense.common.devices import mind_precision
from cl_condense.common.draws import Draws
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.condensation.chunks import (
    Chunk,
    Memory,
    batch_of,
    chunks,
    few,
    fitting,
    memory_of,
    real_batches,
    some_of,
)
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.learned import Learned
from cl_condense.condensation.multisize import prefix
from cl_condense.condensation.paper_settings import settled
from cl_condense.condensation.phases import Phase
from cl_condense.condensation.recipe import Recipe, Term
from cl_condense.condensation.shares import Share, shared_out
from cl_condense.condensation.soundness import check_alike
from cl_condense.condensation.sources.contract import NetworkSource, Preparing, SampledNetwork, SourceContext
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.condensation.view import View, see, statistics_of
from cl_condense.data.ahead import Ahead, Batch
from cl_condense.data.imageset import ImageSet, check_ipc
from cl_condense.networks.contract import MakeNetwork, across_images, make_feature_net
from cl_condense.training.augment import Warp
from cl_condense.training.compiling import compiled

_CHECK_EVERY = 500  # iterations between looks at the pixels, which wait for the device


class Condensation:
    """One condensation, step by step, that can be written down and taken up again.

    Every draw has (seed, class, iteration) as its key and objectives sum over classes, so that with untrained
    networks the images of a class do not depend on the other classes (but for rounding). That is also what
    bounds the memory: classes go through the network in chunks and their gradients add up. Terms that are joint
    take all classes at once, and so do networks in which the images of a batch depend on one another.
    Batch norm's statistics are those of the real images of all classes, or of the synthetic ones, as in DM.

    Ranks share the classes out: each steps the pixels of its own, by the same draws, and what is made does not
    depend on their number (but for rounding). Between them go what a joint term compares, networks that one of
    them has trained, pixels where networks train on these, and the finished ones; under untrained networks the
    last alone. Where the images of a batch depend on one another every rank does all classes.

    Args:
        real: the images, on the device to compute on or bound for it (``placing.placed``); normalised when
            they are gathered.
        recipe: the method.
        ipc: stored images per class.
        network: makes the network to look through; its ``features`` gives embedding and maps.
        seed: one integer for everything that is random.
        chunk: classes per forward pass; None fits it to the device: about 640 images on a CPU, what is found to
            take about half of the free memory on a GPU. Where memory runs out they become fewer.
        pools: folder of trained pools of networks: one that is there is taken from it, to the bit what training
            would give, and others are left there. None: each condensation trains its own.
        ranks: the processes that do it together, all with the same arguments; no more than there are classes.

    Raises:
        ValueError: for a budget that does not fit the classes, pixels that stopped being finite, or too little
            memory.

    Attributes:
        iteration: steps done, of ``iterations``.
    """

    def __init__(
        self,
        real: ImageSet,
        recipe: Recipe,
        *,
        ipc: int,
        network: MakeNetwork,
        seed: int = 0,
        chunk: int | None = None,
        pools: Path | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        check_ipc(ipc, real)
        seed = numbers.seed(seed)
        self._real, self._ahead, self._seed, self._ranks = real, Ahead(real), seed, ranks
        self.recipe = recipe = recipe.settled(ipc)
        mind_precision(recipe.precision, real.device)
        self.iteration, self.iterations = 0, settled(recipe.iterations)
        decoded = ipc * recipe.synthetic.factor**2
        self._looked_at = min(decoded, recipe.syn_per_class or decoded)
        self._share = _share(recipe, network, real, self._looked_at, ranks)
        self._learned = Learned(real, recipe, ipc, seed, self._share)
        labels, how = self._learned.labels if recipe.labels else None, (recipe.precision, recipe.compiled)
        context = SourceContext(real, network, recipe.augment, seed, *how, pools, ranks, labels)
        self._sources = {source: source.start(context) for source in recipe.sources()}
        self._see = compiled(see) if recipe.compiled else see
        self._joint, self._size = _together(recipe, network), chunk
        self._kept: dict[tuple[int, ...], dict[NetworkSource, View]] = {}
        self._on_part: OnProgress | None = None
        self._loss: Tensor | None = None  # of all ranks
        self._enter(recipe.phase(0))

    def step(self) -> Tensor:
        """Does one iteration and returns its loss, on the device.

        Raises:
            ValueError: for pixels that stopped being finite; looked at every 500 iterations, and at the end.
        """
        self.prepare()
        if self.iteration:  # now, not after the last step: so the state at the end is one to go on from
            for source in self._sources.values():
                source.advance(self.iteration - 1, self._learned.images)
        if (phase := self.recipe.phase(self.iteration)) != self._phase:
            self._enter(phase)
        looks = {nets: source.at(self.iteration) for nets, source in self._sources.items()}
        if self.iteration % self.recipe.reuse == 0:
            self._kept.clear()
        age = looks[self.recipe.source].age
        done = self.iteration / self.iterations
        turns, losses = self.recipe.turns(done, age), []
        for terms in turns:
            losses.append(self._gradient(terms, looks))
            self._learned.step(done, phase.rate, last=terms is turns[-1])
        self.iteration += 1
        if self.iteration == self.iterations or self.iteration % _CHECK_EVERY == 1:
            self._learned.check(self.iteration)
        return _total(losses)

    def prepare(self, on_progress: OnProgress = lambda progress: None) -> None:
        """Trains the networks that are to be there before the first iteration, or what is left of that."""
        for source in self._sources.values():
            if isinstance(source, Preparing):
                source.prepare(on_progress)

    def run(self, on_iteration: OnProgress | None = None, checkpoint: Checkpoint | None = None) -> CondensedSet:
        """Does the iterations that are left; ``on_iteration`` is called after each.

        Where networks are trained before the first one, that is told too, as another stage.

        With a ``checkpoint`` it goes on where that is, and leaves its states there, the last one too. Where an
        iteration itself is interrupted, the last state that was written is where it goes on.
        """
        taking_up(checkpoint, self.restore, self._ranks)
        tell, begun = keeping(checkpoint, self.state, on_iteration, self._ranks), self.iteration
        self.prepare(tell)
        self._on_part = tell.only
        while self.iteration < self.iterations:
            loss = self.step()
            self._on_part = None
            tell(self._progress(loss))
        if self.iteration > begun:
            tell.end()
        return self.result()

    def state(self) -> State:
        """All that the rest depends on, by name: what ``restore`` takes, on whatever number of ranks.

        It is whole on the leader of the ranks, which all ask for it.
        """
        return self._beside(self._learned.collected())

    def _beside(self, state: State) -> State:
        state = {"iteration": torch.tensor(self.iteration), **state}
        for i, source in enumerate(self._sources.values()):
            state |= {f"networks.{i}.{name}": value for name, value in source.state().items()}
        return state

    def restore(self, state: State) -> None:
        """Goes on where another condensation of the same images, recipe and seed was; it ends bit-equal.

        Raises:
            ValueError: for the state of another condensation.
        """
        try:
            iteration = numbers.whole("iteration", state["iteration"].item(), 0, self.iterations)
            state = self._learned.restore(state, begun=iteration > 0)
            self.iteration = iteration
            for i, source in enumerate(self._sources.values()):
                own = f"networks.{i}."
                source.restore({k[len(own) :]: v for k, v in state.items() if k.startswith(own)})
            taken = self._beside(self._learned.own())
            if self._ranks.leads:
                check_alike(state, taken)  # a copy takes tensors of other shapes and types too
        except (KeyError, IndexError, RuntimeError, ValueError, TypeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise ValueError(f"the state of another condensation does not fit this one: {reason}") from None

    def result(self) -> CondensedSet:
        """The images as they are now, on the CPU; of ranks the leader alone gets those of all classes."""
        return self._learned.result()

    def _progress(self, loss: Tensor) -> Progress:
        """What an iteration tells; of ranks the loss of all at points of a curve, the picture at the end."""
        now = Progress("condensing", self.iteration, self.iterations, loss)
        told = now._replace(picture=self._picture, made=self.result)
        if self._share.ranks.size == 1:
            return told
        if told.on_curve:
            self._loss = self._share.ranks.total(loss)
        picture = self.result().picture if told.over else None
        return told._replace(loss=self._loss, picture=picture, made=None)

    def _picture(self) -> Image:
        return self.result().picture()

    def _enter(self, phase: Phase) -> None:
        """Begins a phase, whose number of real images decides which classes go through the network together."""
        self._phase = phase
        self._kept.clear()
        self._memory = None if self._size or self._joint else memory_of(self._real.device)
        self._chunks = self._split(self._size or few(self._real, phase.real_per_class, self._looked_at))

    def _split(self, size: int) -> list[Chunk]:
        self._batches: dict[tuple[int, ...], Draws] = {}
        return chunks(self._real, self._phase.real_per_class, size, self._share.rows, joint=self._joint)

    def _gradient(self, terms: list[Term], looks: dict[NetworkSource, SampledNetwork]) -> Tensor:
        """Fills the step's gradient, in chunks that fit the memory; the loss."""
        self._prefix = ipc = self._learned.ipc
        if self._memory:
            self._measure(self._memory, terms, looks)
        self._prefix = prefix(self.recipe.multisize, ipc, self._seed, self.iteration)
        while True:
            try:
                return _total([*self._losses(terms, looks)])
            except torch.cuda.OutOfMemoryError:  # others may take memory at any time
                self._kept.clear()
                size = max(len(part.class_ids) for part in self._chunks)
                if self._joint or size == 1:
                    raise ValueError(self._too_large(size)) from None
                self._chunks = self._split(size // 2)

    def _losses(self, terms: list[Term], looks: dict[NetworkSource, SampledNetwork]) -> Iterator[Tensor]:
        """The losses of the chunks; in the first iteration of a call it is told how many are done.

        So the pace is known soon. What ends the work here loses what is not yet an iteration, and no more.
        """
        for number, part in enumerate(self._chunks):
            if number and self._on_part:
                done = self.iteration + number / len(self._chunks)
                self._on_part(Progress("condensing", done, self.iterations))
            yield self._accumulate(part, terms, looks)

    def _measure(self, memory: Memory, terms: list[Term], looks: dict[NetworkSource, SampledNetwork]) -> None:
        """Finds how many classes to take at once, before the first step of a phase."""

        def trial(classes: int) -> None:
            self._accumulate(max(self._split(classes), key=Chunk.size), terms, looks)
            self._kept.clear()

        fast, self._see = self._see, see  # not compiled for every number of classes
        try:
            self._chunks = self._split(fitting(trial, self._share.size, memory))
        except torch.cuda.OutOfMemoryError:
            raise ValueError(self._too_large(1)) from None
        finally:
            self._see, self._memory = fast, None

    def _too_large(self, classes: int) -> str:
        count = "one class" if classes == 1 else f"{classes} classes, which it takes together,"
        return (
            f"{self.recipe.name}: the memory of {self._real.device} is too small for {count} of "
            f"{self._phase.real_per_class} real images: lower real_per_class or the images per class, or take "
            "another device"
        )

    def _accumulate(self, part: Chunk, terms: list[Term], looks: dict[NetworkSource, SampledNetwork]) -> Tensor:
        """Puts the gradient of a chunk of classes into the step's; its loss."""
        recipe, turn = self.recipe, self.iteration // self.recipe.reuse
        warp = recipe.augment.draw(part.class_ids, self._seed, turn)  # on the host: few numbers
        real = self._kept.get(part.class_ids) or self._look(part, looks, self._batch(part, warp, turn))
        if recipe.reuse > 1 or any(term.apart for term in recipe.terms):
            self._kept[part.class_ids] = real
        leaves = self._learned.leaves(part.own)
        images, soft = self._learned.decoded(leaves, self._prefix)
        some = part, recipe.syn_per_class, self._seed, self.iteration
        soft = None if soft is None else some_of(soft, *some)
        syn = self._look(part, looks, recipe.augment(some_of(images, *some), warp), soft)
        losses = [self._loss_of(term, real, syn) for term in terms]
        loss = _total(losses)
        self._learned.put(part.own, torch.autograd.grad(loss, leaves))
        if self._share.ranks.leads:
            return loss.detach()
        apart = [each.detach() for term, each in zip(terms, losses, strict=True) if not term.joint]
        return torch.stack([*apart, loss.new_zeros(())]).sum()  # of what is joint every rank has the whole

    def _loss_of(self, term: Term, real: dict[NetworkSource, View], syn: dict[NetworkSource, View]) -> Tensor:
        nets = term.source or self.recipe.source
        if not term.joint:
            return term.of(real[nets], syn[nets])
        return term.of(self._share.together(real[nets]), self._share.together(syn[nets]))

    def _batch(self, part: Chunk, warp: Warp, number: int) -> Tensor:
        """Real images ``[k, m, c, h, w]``, augmented."""
        images = self._ahead.take(self._wanted(part, number), lambda: self._next(part, number))
        return self.recipe.augment(images, warp)

    def _wanted(self, part: Chunk, number: int) -> Batch:
        def index() -> Tensor:
            own = self._batches.setdefault(part.class_ids, real_batches(self._real, part))
            return own(self._seed, number)

        return Batch((part.class_ids, part.images, number), index)

    def _next(self, part: Chunk, number: int) -> Batch | None:
        """The batch after one of the present chunks."""
        after = next((i for i, own in enumerate(self._chunks, 1) if own is part), None)
        if after is None:  # of a trial
            return None
        return self._wanted(self._chunks[after % len(self._chunks)], number + after // len(self._chunks))

    def _look(
        self,
        part: Chunk,
        looks: dict[NetworkSource, SampledNetwork],
        images: Tensor,
        soft: Tensor | None = None,
    ) -> dict[NetworkSource, View]:
        """What each network sees of images ``[k, m, c, h, w]`` of a chunk of classes, with learned labels."""
        recipe, views = self.recipe, {}
        for nets, look in looks.items():
            read = statistics_of(t.objective for t in recipe.terms if (t.source or recipe.source) == nets)
            views[nets] = View(
                look.net,
                images,
                part.rows,
                read,
                look.accuracy,
                trained=look.trained,
                unroll=look.unroll,
                soft=soft,
                keys=(self._seed, self.iteration),
                precision=recipe.precision,
                see=self._see,
            )
        return views


def independent(recipe: Recipe, network: MakeNetwork) -> bool:
    """Whether the images that a recipe makes for a class depend on no other class.

    So it is under untrained networks in which images do not depend on one another; not where networks train on
    the classes or the rate depends on their number.
    """
    untrained = all(isinstance(source, RandomNets) for source in recipe.sources())
    return untrained and not recipe.class_steps and not _together(recipe, network)


def _total(losses: list[Tensor]) -> Tensor:
    return losses[0] if len(losses) == 1 else torch.stack(losses).sum()


def _together(recipe: Recipe, network: MakeNetwork) -> bool:
    """Whether all classes have to go through the network in one batch."""
    return any(term.joint for term in recipe.terms) or _mixing(network)


def _mixing(network: MakeNetwork) -> bool:
    """Whether the images of a batch depend on one another."""
    return across_images(make_feature_net(network, 1, torch.device("cpu"))) is not None


def _share(recipe: Recipe, network: MakeNetwork, real: ImageSet, looked_at: int, ranks: Ranks) -> Share:
    """The classes of this rank, by the images that go through the network."""
    if ranks.size == 1 or _mixing(network):
        return Share((len(real.class_ids),))
    return shared_out([batch_of(n, recipe.phase(0).real_per_class) + looked_at for n in real.counts], ranks)
