"""t-SNE of real and condensed features (DDM, fig. 1b and 4a; IID, arXiv:2404.00563, fig. 1)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from torch import Tensor

CLASSES, REAL, SYN = 10, 100, 50  # at most: classes shown, and images of each
SEED = 0
PERPLEXITY = 30


def tsne(syn: Tensor, real: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places ``[s, 2]`` and ``[r, 2]`` of condensed and real images, embedded together.

    scikit-learn's t-SNE from a PCA, perplexity 30 (less where there are fewer than 91 images), one seed. DDM
    shows two categories, IID ten classes of CIFAR-10 under a pre-trained ResNet-18; no settings are stated.

    Args:
        syn: embeddings ``[s, d]``.
        real: embeddings ``[r, d]``; r + s is at least 3.
    """
    x = torch.cat([syn, real]).cpu().numpy().astype(np.float64)
    perplexity = min(PERPLEXITY, (len(x) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=SEED).fit_transform(x)
    places = places.round(3)
    return places[: len(syn)], places[len(syn) :]
