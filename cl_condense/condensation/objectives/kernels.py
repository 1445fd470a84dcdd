"""M3D's kernel mean embeddings (arXiv:2312.15927): every moment at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cl_condense.condensation.view import View

_QUOTIENTS = (0.25, 0.5, 1.0, 2.0, 4.0)


def gaussian_mmd(real: View, syn: View) -> Tensor:
    """Squared maximum mean discrepancy of each class under Gaussian kernels, summed over classes (M3D, eq. 9).

    The biased estimate mean K(x, x') + mean K(s, s') - 2 mean K(x, s), diagonals included, with the sum of five
    kernels exp(-|a - b|^2 / (b q)), q in 1/4, 1/2, 1, 2, 4. The bandwidth b is the mean squared distance of two
    different embeddings of the class, real and synthetic together, anew at each iteration and without gradient.
    The paper gives the kernel without its bandwidths; these are those of the code bases that descend from it.
    """
    return _gaussian(real, syn)[0].sum()


def scaled_gaussian_mmd(real: View, syn: View) -> Tensor:
    """``gaussian_mmd`` in the scale of DM's term, so that it can stand in its place.

    For each class times the bandwidth b, over the sum of (2 / q) exp(-1 / q): where distances are about b, as
    in many dimensions, the part of the means is |mean_real - mean_syn|^2. M3D's table 5 puts its loss in the
    place of DM's and IDM's without saying how their learning rates change; on this scale they stay.
    """
    mmd, bandwidth = _gaussian(real, syn)
    return (mmd * bandwidth).sum() / sum(2 / q * math.exp(-1 / q) for q in _QUOTIENTS)


def linear_mmd(real: View, syn: View) -> Tensor:
    """The same under K(a, b) = <a, b>, which sees the mean alone: DM's term."""
    return _mmd(*_products(real, syn), lambda p: p).sum()


def polynomial_mmd(real: View, syn: View) -> Tensor:
    """The same under K(a, b) = (<a, b> + 1)^2, which sees mean and covariance; in the scale of DM's term.

    Divided by 4 times the mean squared norm of the class's real embeddings: without that its gradient is some
    thousand times the linear kernel's, and no learning rate serves both.
    """
    norm = real.embedding.square().sum(2).mean(1).clamp_min(1e-12)
    return (_mmd(*_products(real, syn), lambda p: (p + 1).square()) / (4 * norm)).sum()


def _gaussian(real: View, syn: View) -> tuple[Tensor, Tensor]:
    """MMD^2 and bandwidth of each class, ``[k]``."""
    x, s = real.embedding, syn.embedding
    xx, ss, xs = _squares(x, x), _squares(s, s), _squares(x, s)
    n = x.shape[1] + s.shape[1]
    total = (xx.sum((1, 2)) + ss.sum((1, 2)) + 2 * xs.sum((1, 2))).detach()
    bandwidth = (total / (n * n - n)).clamp_min(1e-12)
    width = bandwidth[:, None, None]

    def kernel(d: Tensor) -> Tensor:
        return torch.stack([torch.exp(-d / (width * q)) for q in _QUOTIENTS]).sum(0)

    return _mmd(xx, ss, xs, kernel), bandwidth


def _mmd(xx: Tensor, ss: Tensor, xs: Tensor, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    return kernel(xx).mean((1, 2)) + kernel(ss).mean((1, 2)) - 2 * kernel(xs).mean((1, 2))


def _products(real: View, syn: View) -> tuple[Tensor, Tensor, Tensor]:
    x, s = real.embedding, syn.embedding
    return x @ x.mT, s @ s.mT, x @ s.mT


def _squares(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances ``[k, m, m']``, from products: the embeddings are long and the images few."""
    norms = a.square().sum(2)[:, :, None] + b.square().sum(2)[:, None, :]
    return (norms - 2 * a @ b.mT).clamp_min(0)
