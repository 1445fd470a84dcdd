"""Methods that keep real images: the coresets that condensation is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cl_condense.common import numbers
from cl_condense.common.checkpoint import Checkpoint
from cl_condense.common.kinds import check_flag, check_kind
from cl_condense.common.numbers import whole
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.rng import Purpose, permutation
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.ahead import in_parts
from cl_condense.data.imageset import ImageSet, check_ipc
from cl_condense.networks.contract import MakeNetwork, features_of, make_feature_net
from cl_condense.networks.init import Initialiser
from cl_condense.training.protocol import Training
from cl_condense.training.train import train


@dataclass
class FeatureScorer:
    """What a network trained on ``real`` for ``iterations`` steps, in whole epochs, has to say of its images.

    It is trained when it is first asked, by the evaluation's protocol without augmentation.
    """

    real: ImageSet
    network: MakeNetwork
    iterations: int
    seed: int = 0
    on_iteration: OnProgress | None = None
    checkpoint: Checkpoint | None = None
    compiled: bool = False
    _net: nn.Module | None = field(default=None, init=False)
    _looks: list[Tensor] = field(default_factory=list, init=False)

    def embeddings(self) -> Iterator[Tensor]:
        """Embeddings ``[m, d]`` of the images of one class after another, after the training."""
        net = self._train() if self._net is None else self._net
        return _filled(self._seen(net, lambda part: features_of(net, part).embedding), self.real.counts)

    def forgotten(self) -> Tensor:
        """Times ``[n]`` that every image was forgotten from epoch to epoch (``count_forgotten``)."""
        if not self._looks:  # a look is a forward pass of all images, which embeddings do without
            self._train(look=True)
        return count_forgotten(torch.stack(self._looks))

    def _train(self, look: bool = False) -> nn.Module:
        real, steps = self.real, -(-len(self.real) // 256)
        net = make_feature_net(self.network, len(real.class_ids), real.device)
        Initialiser(net)(Purpose.SELECT, self.seed)
        targets = real.targets

        kept = self.checkpoint.tensors if self.checkpoint else {}
        self._looks = [each.to(real.device) for each in kept.get("looks", ())]

        def on_progress(progress: Progress) -> None:
            if look and progress.done == int(progress.done):  # an epoch is over
                (guesses,) = _filled(self._seen(net, lambda part: net(part).argmax(1)), [len(real)])
                self._looks.append(guesses == targets)
                kept["looks"] = torch.stack(self._looks)
            done = round(steps * progress.done)
            if self.on_iteration and done <= self.iterations:  # a last epoch is done to its end
                self.on_iteration(Progress("selecting", done, self.iterations, progress.loss))

        train(
            [net],
            real,
            targets,
            Training(epochs=-(-self.iterations // steps), augment=None, compiled=self.compiled),
            keys=(Purpose.SELECT, self.seed),
            on_progress=on_progress,
            checkpoint=self.checkpoint,
        )
        self._net = net
        return net

    def _seen(self, net: nn.Module, of: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
        """What is made of all images, some at a time."""
        for images in in_parts(self.real, self.real.every(), 256):
            net.eval()
            with torch.no_grad():
                values = of(images)
            net.train()
            yield values


def _filled(parts: Iterator[Tensor], counts: Sequence[int]) -> Iterator[Tensor]:
    """Rows that come some at a time, as many together as each count says.

    They are copied where they will stay: a small tensor kept for each batch of images would leave the allocator
    no room as large as a batch.
    """
    rest = next(parts)
    for count in counts:
        own, done = rest.new_empty(count, *rest.shape[1:]), 0
        while done < count:
            rest = rest if len(rest) else next(parts)
            some = rest[: count - done]
            own[done : done + len(some)] = some
            rest, done = rest[len(some) :], done + len(some)
        yield own


Select = Callable[[ImageSet, int, int, FeatureScorer], Tensor]
"""(real, ipc, seed, scorer) -> indices ``[k, ipc]``, best first."""


@dataclass(frozen=True)
class Coreset:
    """A selection of real images as a method.

    Attributes:
        iterations: training steps of the network that is looked at; 0 where none is needed.
        chosen: what a method's expression set: options for several methods leave it as it is.
        balanced: a memory has as many of every class; False: what a reservoir over the stream would have.
        compiled: the network that is looked at goes through torch.compile while it trains.

    Raises:
        ValueError: for iterations that are no whole number from 0, and for compiled that is no bool.
    """

    name: str
    select: Select
    iterations: int = 0
    chosen: tuple[str, ...] = ()
    balanced: bool = True
    compiled: bool = False

    optimises: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_kind("name", self.name, str, "a text")
        if not callable(self.select):
            raise ValueError(f"select {self.select!r}: give a function of (real, ipc, seed, scorer)")
        object.__setattr__(self, "iterations", whole("iterations", self.iterations, 0))
        check_flag("compiled", self.compiled)

    def settings(self) -> Json:
        found: Json = {"name": self.name, "iterations": self.iterations}
        return found | ({"compiled": True} if self.compiled else {})

    def with_settings(self, **changes: Any) -> Coreset:
        """With other ``iterations`` of its network, where it looks through one, or that network ``compiled``.

        Raises:
            ValueError: for another setting, iterations that are no whole number from 1, and compiled that is no
                bool.
        """
        settings = ["iterations", "compiled"] if self.iterations else []
        for change in changes:
            if change not in settings:
                has = "only iterations" if settings else "none"
                raise ValueError(f"{self.name} selects real images: it has no setting {change}, {has}")
        if "iterations" in changes:
            changes["iterations"] = whole("iterations", changes["iterations"])
        return replace(self, **changes)

    def __call__(
        self,
        real: ImageSet,
        *,
        ipc: int,
        network: MakeNetwork,
        seed: int = 0,
        on_iteration: OnProgress | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> CondensedSet:
        check_ipc(ipc, real)
        seed = numbers.seed(seed)
        scorer = FeatureScorer(real, network, self.iterations, seed, on_iteration, checkpoint, self.compiled)
        index = self.select(real, ipc, seed, scorer)
        made = CondensedSet.of(real, real.take(index), self.settings(), seed)
        if on_iteration:
            on_iteration(Progress("selected", 1, 1, picture=made.picture))
        return made


def random(real: ImageSet, ipc: int, seed: int, scorer: FeatureScorer) -> Tensor:
    """Images drawn from each class uniformly, or in proportion to weights where there are any; none twice."""
    return real.draw(ipc, Purpose.SELECT, seed, distinct=True)


def reservoir(real: ImageSet, ipc: int, seed: int, scorer: FeatureScorer) -> Tensor:
    """A uniform sample of all that a stream has shown, whatever its classes (Vitter, ACM TOMS 1985).

    So it is in a memory over a stream. Of a set by itself, without a stream, it is what ``random`` draws.
    """
    return random(real, ipc, seed, scorer)


def herding(real: ImageSet, ipc: int, seed: int, scorer: FeatureScorer) -> Tensor:
    """Images whose running mean embedding follows that of the class (iCaRL, arXiv:1611.07725, algorithm 4).

    Greedy, without replacement: the next image minimises |(j + 1) mu - S_j - x|, S_j the sum of those chosen.
    Embeddings come from a network trained on these classes for ``iterations`` steps of 256 images without
    augmentation; IDC's code does the same with a network trained on all data.
    """
    chosen = []
    for part, start in _by_class(real, scorer.embeddings()):
        mean = _mean(real, part, start)
        free = torch.zeros(len(part), device=part.device)
        total, picks = torch.zeros_like(mean), []
        for j in range(ipc):
            pick = ((mean * (j + 1) - total - part).square().sum(1) + free).argmin()
            free[pick] = torch.inf
            total = total + part[pick]
            picks.append(pick)
        chosen.append(torch.stack(picks) + start)
    return torch.stack(chosen)


def k_center(real: ImageSet, ipc: int, seed: int, scorer: FeatureScorer) -> Tensor:
    """Images that leave none of their class far away (Sener and Savarese, arXiv:1708.00489, algorithm 1).

    Greedy, without replacement: the image nearest to the class mean, then argmax_i min_j |x_i - x_j| over the
    chosen j. So DM's authors describe their baseline (VICO-UoE/DatasetCondensation, issue 21); the paper starts
    from images that have a label already. Embeddings as for herding.
    """
    chosen = []
    for part, start in _by_class(real, scorer.embeddings()):
        picks = [(part - _mean(real, part, start)).square().sum(1).argmin()]
        gaps = torch.full((len(part),), torch.inf, device=part.device)
        for _ in range(1, ipc):
            gaps = torch.minimum(gaps, (part - part[picks[-1]]).square().sum(1))
            gaps[picks[-1]] = -1  # below the 0 of its copies, which are still free
            picks.append(gaps.argmax())
        chosen.append(torch.stack(picks) + start)
    return torch.stack(chosen)


def forgetting(real: ImageSet, ipc: int, seed: int, scorer: FeatureScorer) -> Tensor:
    """Images that a network forgot most often while it trained (Toneva et al., arXiv:1812.05159).

    Forgotten: right at one look and wrong at the next; what was never right comes first of all. The network is
    herding's, looked at after each epoch; the paper looks at an image in its batch. Ties are broken at random,
    in the order in which ``random`` draws without weights.
    We follow the paper that the condensation tables cite. IDM (arXiv:2307.09742, supplement) counted all wrong
    predictions over 5 epochs for its ImageNet rows, with random ties. The tables' coresets were evaluated, it
    says, with DC's augmentation, which is none but for MNIST.
    """
    chosen = []
    times = _by_class(real, scorer.forgotten().split(real.counts))
    for (part, start), class_id in zip(times, real.class_ids, strict=True):
        order = permutation(len(part), Purpose.SELECT, seed, class_id, device=part.device)
        order = order[part[order].argsort(descending=True, stable=True)]
        chosen.append(order[:ipc] + start)
    return torch.stack(chosen)


def count_forgotten(right: Tensor) -> Tensor:
    """Times ``[n]`` that an image was right and then wrong in looks ``[t, n]``; infinite where never right."""
    return (right[:-1] & ~right[1:]).sum(0).float().masked_fill(~right.any(0), torch.inf)


def _mean(real: ImageSet, part: Tensor, start: int) -> Tensor:
    weights = torch.ones(len(part), device=part.device)
    if real.weights is not None:
        weights = real.weights[start : start + len(part)]
    return (weights[:, None] * part).sum(0) / weights.sum()


def _by_class(real: ImageSet, values: Iterable[Tensor]) -> Iterator[tuple[Tensor, int]]:
    """What there is of each class, with the row of its first image."""
    starts = [sum(real.counts[:i]) for i in range(len(real.counts))]
    return zip(values, starts, strict=True)
