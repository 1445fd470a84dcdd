"""IID's constraints (arXiv:2404.00563): between the images of a class, and between features."""

from __future__ import annotations

from torch import Tensor

from cl_condense.condensation.objectives.gaps import squares
from cl_condense.condensation.view import View


def class_centralisation(real: View, syn: View) -> Tensor:
    """Squared distance of the synthetic embeddings from their class mean, summed over images (IID, eq. 3-4).

    The paper has max(0, exp(alpha d) - beta) of each distance d; its code has d alone, with the remark that
    this is simpler and does as well, and so has this. A sum over the images of a class too, to which the
    published weights belong: those of a mosaic count each. Zero for one image per class.
    """
    e = syn.embedding
    return (e - e.mean(1, keepdim=True)).square().sum()


def covariance_matching(real: View, syn: View) -> Tensor:
    """Squared Frobenius distance of the class's local covariance matrices, summed over classes (IID, eq. 5-7).

    sum over classes of |S_real - S_syn|^2 with S = mean over images of (Z - Zbar)(Z - Zbar)^T, Z the last
    pooled maps as channels x positions, Zbar their class mean. Without gradient for one image per class, whose
    S is zero.
    """
    return squares(_covariance(real), _covariance(syn)).sum()


def _covariance(view: View) -> Tensor:
    """``[k, c, c]``."""
    z = view.embedding[..., None] if view.pooled is None else view.pooled.flatten(3)
    z = (z - z.mean(1, keepdim=True)).transpose(1, 2).flatten(2)  # [k, c, m * positions]
    return z @ z.mT / view.images.shape[1]
