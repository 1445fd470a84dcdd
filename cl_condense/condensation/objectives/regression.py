"""Kernel regression on the synthetic images, whose error on real ones is to be small (KIP, FRePo)."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_condense.condensation.view import View, reading

_RIDGE = 1e-6  # of the mean of the kernel's diagonal, as in both papers' code


@reading(labels=True)
def kernel_regression(real: View, syn: View) -> Tensor:
    """Error on real images of ridge regression on the synthetic ones, in the embedding (FRePo).

    sum over classes of the mean over real images of |K_rs (K_ss + r I)^-1 Y_s - Y_r|^2 / 2, with K the inner
    products of embeddings, r a millionth of the mean of K_ss's diagonal and Y the labels, less 1 / classes
    (arXiv:2206.00719, eq. 4). KIP (arXiv:2107.13034) has the kernels of infinitely wide networks in the place
    of K. The authors' code adds the mirrored synthetic images, and a margin of learned labels. It compares the
    classes of the view, whatever logits they have, and solves in float64.
    """
    s, x = (view.embedding.flatten(0, 1).double() for view in (syn, real))
    wanted, given = (view.labels.flatten(0, 1).double() - 1 / view.classes for view in (real, syn))
    kernel = s @ s.T
    ridge = (_RIDGE * kernel.diagonal().mean()).clamp_min(1e-12)
    # Without a look at whether it worked, for which a GPU would wait.
    factor = torch.linalg.cholesky_ex(kernel + ridge * torch.eye(len(s), device=s.device))[0]
    gaps = x @ (s.T @ torch.cholesky_solve(given, factor)) - wanted
    value = gaps.square().sum(1).view(real.classes, -1).mean(1).sum() / 2
    return value.to(syn.embedding.dtype)
