"""Gradient matching: what training on the synthetic images would change, against what real ones would."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_condense.condensation.view import View


def gradient_matching(real: View, syn: View) -> Tensor:
    """Distance of the gradients of each class's mean cross-entropy, summed over classes (DC, arXiv:2006.05929).

    For each weight of two or more dimensions: the sum over its output units of 1 - cos(g_real, g_syn).
    As in the authors' code, biases and norms are left out.
    """
    return torch.stack(
        [_rows(a, b).sum() for a, b in zip(real.weight_gradients, syn.weight_gradients, strict=True)]
    ).sum()


def contrastive_gradient_matching(real: View, syn: View) -> Tensor:
    """The same distance of the gradients of all classes together (DCC, arXiv:2202.02916).

    The gradient is the mean over the classes of the view, so that what tells classes apart is not lost; it is
    the one objective here, with CAFE's discrimination, that cannot be taken apart by class.
    """
    return torch.stack(
        [
            _rows(a.mean(0, keepdim=True), b.mean(0, keepdim=True)).sum()
            for a, b in zip(real.weight_gradients, syn.weight_gradients, strict=True)
        ]
    ).sum()


def gradient_distance(real: View, syn: View) -> Tensor:
    """Squared distance of the gradients of each class, summed over classes (IDC, arXiv:2205.14959).

    Over the convolutions' weights alone, as in the authors' code: no classifier, biases or norms.

    Raises:
        ValueError: for a network without convolutions.
    """
    both = zip(real.weight_gradients, syn.weight_gradients, strict=True)
    gaps = [(a - b).square().sum() for a, b in both if a.ndim > 3]
    if not gaps:
        raise ValueError("gradients of convolutions are matched, and it has none: take one such as convnet")
    return torch.stack(gaps).sum()


def _rows(a: Tensor, b: Tensor) -> Tensor:
    """1 - cosine of each output unit: ``[k, out, ...]`` to ``[k, out]``."""
    a, b = a.flatten(2), b.flatten(2)
    return 1 - (a * b).sum(2) / (a.norm(dim=2) * b.norm(dim=2) + 1e-6)
