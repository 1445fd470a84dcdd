"""A-GEM and GEM whose memory is a CondensedBuffer; Avalanche's plugins keep real images of their own."""

from __future__ import annotations

import torch
from avalanche.benchmarks.utils.data_loader import GroupBalancedInfiniteDataLoader
from avalanche.models import avalanche_forward
from avalanche.training.plugins import AGEMPlugin, GEMPlugin

from cl_condense.common.kinds import check_kind
from cl_condense.common.numbers import whole
from cl_condense.data.parts import label_and_domain
from cl_condense.strategies.buffer import CondensedBuffer
from cl_condense.strategies.tensors import Theirs, class_id


class CondensedAGEMPlugin(AGEMPlugin):
    """A-GEM (Chaudhry et al., ICLR 2019) with reference gradients of condensed images.

    Args:
        storage_policy: the memory.
        sample_size: images of it for a reference gradient.
    """

    def __init__(self, storage_policy: CondensedBuffer, sample_size: int) -> None:
        check_kind("storage_policy", storage_policy, CondensedBuffer, "a CondensedBuffer")
        super().__init__(storage_policy.max_size, whole("sample_size", sample_size))
        self.storage_policy = storage_policy

    def after_training_exp(self, strategy: Theirs, **kwargs: Theirs) -> None:
        """Updates the memory; all of it is sampled from, in batches."""
        self.storage_policy.update(strategy)
        self.buffers = [self.storage_policy.buffer]
        self.buffer_dataloader = GroupBalancedInfiniteDataLoader(self.buffers, batch_size=self.sample_size)
        self.buffer_dliter = iter(self.buffer_dataloader)


class CondensedGEMPlugin(GEMPlugin):
    """GEM (Lopez-Paz and Ranzato, NeurIPS 2017) with condensed images of each experience's classes.

    An experience of which no image is held any more, as ``reservoir`` may leave it, constrains nothing.

    Args:
        storage_policy: the memory.
        memory_strength: as in Avalanche's plugin.
    """

    def __init__(self, storage_policy: CondensedBuffer, memory_strength: float) -> None:
        check_kind("storage_policy", storage_policy, CondensedBuffer, "a CondensedBuffer")
        super().__init__(storage_policy.max_size, memory_strength)
        self.storage_policy = storage_policy
        self._classes: list[set[int]] = []

    def after_training_exp(self, strategy: Theirs, **kwargs: Theirs) -> None:
        """Updates the memory, and each experience's constraint, whose images may have become fewer."""
        self.storage_policy.update(strategy)
        shown = strategy.experience.dataset
        tasks = getattr(shown, "targets_task_labels", [0] * len(shown))
        self._classes.append({class_id(y, t) for y, t in zip(shown.targets, tasks, strict=True)})
        memory = self.storage_policy.memory
        if memory is None:
            return
        images, ids = torch.stack([x for x, *_ in self.storage_policy.buffer]), memory.decode()[1]
        self.memory_x, self.memory_y, self.memory_tid = {}, {}, {}
        for number, classes in enumerate(self._classes):
            mine = torch.isin(ids, torch.tensor(sorted(classes)))
            if mine.any():
                pairs = torch.tensor([label_and_domain(int(i)) for i in ids[mine]])
                self.memory_x[number] = images[mine]
                self.memory_y[number], self.memory_tid[number] = pairs.unbind(1)

    def before_training_iteration(self, strategy: Theirs, **kwargs: Theirs) -> None:
        """A gradient for each experience of which there are images; Avalanche's wants images of every one."""
        parameters = [*strategy.model.parameters()]
        rows = [torch.empty(0, sum(p.numel() for p in parameters), device=strategy.device)]
        strategy.model.train()
        for number, tasks in self.memory_tid.items():
            strategy.optimizer.zero_grad()
            x, y = (those[number].to(strategy.device) for those in (self.memory_x, self.memory_y))
            strategy._criterion(avalanche_forward(strategy.model, x, tasks), y).backward()
            each = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            rows.append(torch.cat([grad.flatten() for grad in each])[None])
        self.G = torch.cat(rows)
