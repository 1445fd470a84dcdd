"""NCFM's distance of characteristic functions (arXiv:2502.20653): distributions by their waves."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_condense.common.rng import Purpose, normals
from cl_condense.condensation.view import View

FREQUENCIES = 1024
"""As in the paper; its code has 4,096."""


def characteristic_function(real: View, syn: View) -> Tensor:
    """Distance of the characteristic functions of each class's embeddings, summed over classes (NCFM).

    The mean over frequencies t of |phi_real(t) - phi_syn(t)| / sqrt(2), with f the embeddings divided by their
    norms, phi(t) the mean over images of exp(i <t, f>), and t ~ N(0, I) drawn anew at each iteration. The paper
    has sqrt(a (|phi_r| - |phi_s|)^2 + b 2 (|phi_r| |phi_s| - Re phi_r Re phi_s - Im phi_r Im phi_s)), whose
    parts compare amplitudes and phases: with a = b = 1/2, as in all its runs, it is the same. All classes share
    the frequencies, which the authors draw for each.
    """
    t = _frequencies(syn.keys, syn.embedding.shape[2], syn.embedding.device).to(syn.embedding.dtype)
    gap = _waves(real.embedding, t) - _waves(syn.embedding, t)
    return (gap.square().sum(0).clamp_min(1e-12) / 2).sqrt().mean(1).sum()  # at 0 a root has no gradient


def _waves(embedding: Tensor, t: Tensor) -> Tensor:
    """Real and imaginary parts ``[2, k, t]`` of each class's phi."""
    angle = F.normalize(embedding, dim=2) @ t
    return torch.stack([angle.cos().mean(1), angle.sin().mean(1)])


@functools.lru_cache(maxsize=1)  # for the chunks of classes of an iteration
def _frequencies(keys: tuple[int, ...], dimensions: int, device: torch.device) -> Tensor:
    """``[d, t]``."""
    drawn = normals(dimensions * FREQUENCIES, Purpose.FREQUENCY, *keys, device=device)
    return drawn.view(dimensions, FREQUENCIES)
