"""What a condensation learns of the classes of a rank: pixels, and labels where these are learned too."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cl_condense.common.checkpoint import State
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.labels import LabelStep, check_classes, probabilities
from cl_condense.condensation.optimizer import PixelStep
from cl_condense.condensation.recipe import Recipe
from cl_condense.condensation.shares import Share
from cl_condense.condensation.soundness import ABSURD, check_finite
from cl_condense.condensation.storage import decode, kept
from cl_condense.data.imageset import ImageSet

_BY_CLASS = ("pixels", "momentum", "labels", "labels_momentum")  # what is shared out of a state


class Learned:
    """Stored images ``[k, ipc, c, h, w]``, numbers ``[k, ipc, classes]`` behind learned labels, their steps.

    Raises:
        ValueError: for classes whose learned labels a set could not say.
    """

    def __init__(self, real: ImageSet, recipe: Recipe, ipc: int, seed: int, share: Share) -> None:
        self._real, self._recipe, self._seed, self._share = real, recipe, seed, share
        self._factor, self._labels = recipe.synthetic.factor, None
        self._pixels = share.cut(recipe.synthetic.start(real, ipc, seed)).contiguous()
        self._step = PixelStep(real, recipe, self._pixels, share.cut(kept(recipe.synthetic, real, ipc)))
        if recipe.labels:
            check_classes(real.class_ids)
            start = recipe.labels.start(len(real.class_ids), ipc, real.device)
            self._labels = LabelStep(recipe.labels, share.cut(start).contiguous())

    @property
    def ipc(self) -> int:
        return self._pixels.shape[1]

    def leaves(self, rows: Tensor) -> list[Tensor]:
        """What takes a gradient, of some classes."""
        found = [self._pixels[rows].requires_grad_()]
        return [*found, self._labels.numbers[rows].requires_grad_()] if self._labels else found

    def decoded(self, leaves: Sequence[Tensor], first: int) -> tuple[Tensor, Tensor | None]:
        """The images that the first so many of each class stand for, and learned labels of these."""
        some = [leaf if first == leaf.shape[1] else leaf[:, :first] for leaf in leaves]
        soft = probabilities(some[1], self._factor) if self._labels else None
        return decode(some[0], self._factor), soft

    def put(self, rows: Tensor, gradients: Sequence[Tensor]) -> None:
        """Takes the gradients of leaves into the next step."""
        self._step.gradient[rows] = gradients[0]
        if self._labels:
            self._labels.gradient[rows] = gradients[1]

    def step(self, done: float, rate: float, *, last: bool) -> None:
        """As ``PixelStep`` has it."""
        self._step(done, rate, last=last)
        if self._labels:
            self._labels(rate)

    def check(self, iteration: int) -> None:
        """Raises ValueError for what is no more finite."""
        check_finite(self._pixels, self._recipe, iteration, self._labels.numbers if self._labels else None)

    def images(self) -> Tensor:
        """Decoded, of the classes of all ranks, which all ask for them."""
        return decode(self._share.gathered(self._pixels), self._factor)

    def labels(self) -> Tensor:
        """Learned ones of these, ``[k, m, classes]``; where none are learned it is not called."""
        assert self._labels
        return probabilities(self._share.gathered(self._labels.numbers.detach()), self._factor)

    def own(self) -> State:
        """Of the classes of this rank."""
        labels = self._labels.state() if self._labels else {}
        return {"pixels": self._pixels, **self._step.state(), **labels}

    def collected(self) -> State:
        """Of the classes of all ranks, on their leader."""
        return {name: self._share.collected(each) for name, each in self.own().items()}

    def restore(self, state: State, begun: bool) -> State:
        """Goes on where a state of all classes is, ``begun`` says whether after a step; its part of this rank.

        Raises:
            ValueError: for pixels beyond sense; and what a state of another shape leads to.
        """
        state = state | {k: self._share.cut(state[k]) for k in _BY_CLASS if k in state}
        if not bool((state["pixels"].abs() < ABSURD).all()):
            raise ValueError(f"pixels beyond {ABSURD:g} or NaN")
        self._pixels.copy_(state["pixels"])
        self._step.restore(state, begun=begun)
        if self._labels:
            self._labels.restore(state)
        return state

    def result(self) -> CondensedSet:
        """The set as it is now, on the CPU; of ranks the leader alone gets all classes."""
        real, pixels = self._real, self._share.collected(self._pixels)
        if len(pixels) < len(real.class_ids):
            real = self._share.of(real)
        soft = self._share.collected(self._labels.numbers).softmax(-1) if self._labels else None
        return CondensedSet.of(real, pixels, self._recipe.settings(), self._seed, self._factor, soft=soft)
