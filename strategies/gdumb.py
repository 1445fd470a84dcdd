"""CondensedGDumb: at each experience, retrain from scratch on the memory alone."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence

import torch
from avalanche.models import MultiTaskModule
from avalanche.training.plugins.evaluation import EvaluationPlugin, default_evaluator
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor, nn

from cl_condense.common import numbers
from cl_condense.common.devices import pick_device
from cl_condense.common.kinds import check_call, check_kind
from cl_condense.common.progress import OnProgress, within
from cl_condense.common.suggest import choice
from cl_condense.data.parts import label_and_domain
from cl_condense.networks.init import Initialiser
from cl_condense.strategies.buffer import CondensedBuffer
from cl_condense.strategies.outputs import arrived, going_on
from cl_condense.strategies.tensors import Theirs
from cl_condense.training.evaluate import fresh_networks, predict
from cl_condense.training.protocol import Training
from cl_condense.training.train import TrainJob, train_together
from cl_condense.training.trainers import DEFAULT, TRAINERS


class CondensedGDumb(SupervisedTemplate):
    """The evaluation of the condensation papers as an Avalanche strategy (GDumb, Prabhu et al., ECCV 2020).

    ``train`` updates the memory with the experience, draws fresh networks and trains them on the memory with
    the protocol of ``Training`` (its augmentation and schedule are what Avalanche's own GDumb lacks). With
    ``trainer="idc"`` the networks go on from the experience before, by IDC's protocol for the epochs of
    ``training``, and are their own teachers for the labels that were there (``training.trainers``); what
    answers for labels to come is drawn with the model, or when Avalanche lets its head grow. ``eval``
    shows every image to every network: Avalanche's metrics are then means over networks. Training is one fast
    loop, so the callbacks of batches and epochs are not called; those of experiences, evaluation and logging
    are.

    Args:
        model: gives the architecture; its weights are never used, each experience starts from new ones.
        buffer: the memory.
        training: epochs, learning rate, augmentation.
        networks: how many networks are trained on the same memory.
        trainer: ``gdumb`` or ``idc``.
        seed: weights, shuffling and augmentation are drawn from it, the experience and the network's number.
        eval_mb_size, plugins, evaluator, eval_every: as in Avalanche.
        on_progress: called with a Progress after every mini-batch, for example ``ProgressBar()``.

    Attributes:
        networks: the trained networks; ``model`` is the first of them.
        accuracies: of each network, over all images of the last ``eval`` call.
        train_seconds: what the last training took, without condensation (``buffer.seconds``).
    """

    model: nn.Module

    def __init__(
        self,
        *,
        model: nn.Module,
        buffer: CondensedBuffer,
        training: Training = Training(),  # noqa: B008 - frozen
        networks: int = 1,
        trainer: str = DEFAULT,
        seed: int = 0,
        device: str | torch.device = "auto",
        eval_mb_size: int = 512,
        plugins: Sequence[object] | None = None,
        evaluator: EvaluationPlugin | Callable[[], EvaluationPlugin] | None = default_evaluator,
        eval_every: int = -1,
        on_progress: OnProgress | None = None,
    ) -> None:
        networks = numbers.whole("networks", networks)
        seed = numbers.seed(seed)
        check_kind("buffer", buffer, CondensedBuffer, "a CondensedBuffer")
        check_kind("training", training, Training, "a Training, such as Training(epochs=300)")
        eval_mb_size = numbers.whole("eval_mb_size", eval_mb_size)
        self.trainer = TRAINERS[choice("trainer", trainer, TRAINERS)]
        check_call("on_progress", on_progress)
        if isinstance(model, MultiTaskModule):
            raise ValueError(
                f"{type(model).__name__} has a head for each task: give a network with a single head"
            )
        Initialiser(model)  # says now what cannot be drawn anew
        super().__init__(
            model=model,
            optimizer=torch.optim.SGD(
                model.parameters(), training.lr
            ),  # Avalanche wants one; train() has its own
            train_epochs=training.epochs,
            train_mb_size=training.batch_size,
            eval_mb_size=eval_mb_size,
            device=pick_device(device),
            plugins=plugins,
            evaluator=evaluator,
            eval_every=eval_every,
        )
        self.buffer, self.training, self.seed, self.on_progress = buffer, training, seed, on_progress
        self.networks: list[nn.Module] = [model]
        self.accuracies: list[float] = []
        self.train_seconds = 0.0
        self._number = networks
        self._seen: tuple[int, ...] = ()
        self._right: list[Tensor] = []

    def train_dataset_adaptation(self, **kwargs: object) -> None:
        """Updates the memory; it is all that there is to train on."""
        self.buffer.update(self)
        self.adapted_dataset = self.buffer.buffer.train()

    def _train_exp(self, experience: Theirs, eval_streams: object = None, **kwargs: object) -> None:
        """Trains networks on the memory: new ones, or those that there are."""
        if self.buffer.memory is None:
            raise ValueError("the first experience has no images: leave it out of the stream")
        start = time.perf_counter()
        images, ids = self.buffer.memory.decode()
        labels = torch.tensor([label_and_domain(int(i))[0] for i in ids], device=self.device)
        keys = (self.seed, experience.current_experience)
        if self.trainer.goes_on and self._seen:
            nets: Sequence[nn.Module] = copy.deepcopy(self.networks)
        else:
            nets = fresh_networks(
                lambda: copy.deepcopy(self.model), self._number, keys=keys, device=self.device
            )
        images, seen = images.to(self.device), self._seen
        job = TrainJob(nets, images, labels, keys)
        if self.trainer.goes_on:
            # Those that the networks know first: which of the images that wait is condensed first, is open.
            seen = arrived([*self._seen, *(label_and_domain(i)[0] for i in self.buffer.held.seen)])
            job = going_on(nets, images, labels, before=self._seen, seen=seen, keys=keys)
        told = within(f"experience {experience.current_experience + 1}", self.on_progress)
        train_together([job], self._protocol, told)
        # Not before: networks whose training is interrupted are none to go on from.
        self.networks, self.model, self._seen = [*nets], nets[0], seen
        self.train_seconds = time.perf_counter() - start

    @property
    def _protocol(self) -> Training:
        usual = self.training
        return self.trainer.training(usual, usual.augment.strategy if usual.augment else "none")

    def eval(self, exp_list: Theirs, **kwargs: object) -> Theirs:
        """Evaluates every network; see Avalanche's ``eval`` for what is returned."""
        self._right = []
        for net in self.networks:
            net.eval()
        result = super().eval(exp_list, **kwargs)
        self.accuracies = torch.cat(self._right, 1).double().mean(1).tolist()
        return result

    def model_adaptation(self, model: nn.Module | None = None) -> nn.Module:
        """Adapts a growing head to the experience, in every network."""
        for net in self.networks[1:] if model is None else ():
            super().model_adaptation(net)
        return super().model_adaptation(model)

    def forward(self) -> Tensor:
        """Logits of the mini-batch: in evaluation of every network, one after the other along the batch."""
        if self.is_training:
            return self.networks[0](self.mb_x)
        return predict(self.networks, self.mb_x).flatten(0, 1)

    def _unpack_minibatch(self) -> None:
        super()._unpack_minibatch()
        if not self.is_training:  # as many labels as forward gives rows
            self.mbatch[1:] = [y.repeat(len(self.networks)) for y in self.mbatch[1:]]

    def _after_eval_forward(self, **kwargs: object) -> None:
        right = self.mb_output.argmax(1) == self.mb_y
        self._right.append(right.view(len(self.networks), -1).cpu())
        super()._after_eval_forward(**kwargs)
