"""DDM's terms (arXiv:2412.04748): style, and the diversity within a class; of the paper and of both codes."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_condense.condensation.objectives.gaps import block_gaps, squares
from cl_condense.condensation.objectives.means import MEAN_MAPS
from cl_condense.condensation.view import Statistic, View, reading

_EPS = 1e-5  # inside the square root of a standard deviation, as in DDM's code


def _moments(maps: Tensor, correction: int = 1) -> Tensor:
    """Class means ``[k, 2, c]`` of the per-image channel means and standard deviations."""
    x, n = maps.flatten(3), maps[0, 0, 0].numel()
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    mean = x.mean(3)
    # From the norm: it makes no copy of the maps, as x.square() does, and torch.var_mean is much slower on
    # a CPU. float32 loses nothing here, since means are not large against deviations.
    square = torch.linalg.vector_norm(x, dim=3).square() / n
    var = (square - mean.square()).clamp_min(0) * (n / max(1, n - correction))
    return torch.stack([mean.mean(1), (var + _EPS).sqrt().mean(1)], 1)


def _moments_of_blocks(blocks: Sequence[Tensor], correction: int = 1) -> tuple[Tensor, ...]:
    """``_moments`` of each: one pass over the maps of each block, and the rest for all of them at once."""
    found = []
    for maps in blocks:
        x = maps.flatten(3).to(torch.promote_types(maps.dtype, torch.float32))
        found.append(torch.var_mean(x, 3, correction=min(correction, x.shape[3] - 1)))
    var, mean = (torch.cat(each, 2) for each in zip(*found, strict=True))
    both = torch.stack([mean, (var + _EPS).sqrt()], 2).mean(1)
    return both.split([maps.shape[2] for maps in blocks], 2)


def _gram(maps: Tensor) -> Tensor:
    """Class means ``[k, c, c]`` of F F^T / (C N), F an image's maps; products in the precision of the maps."""
    f = maps.movedim(2, 4)
    if torch.compiler.is_compiling():  # convolutions then have channels last, so that this is no copy
        f = f.contiguous()
    f = f.flatten(2, 3).flatten(0, 1)
    grams = (f.transpose(1, 2) @ f).unflatten(0, maps.shape[:2])
    return grams.mean(1, dtype=torch.promote_types(maps.dtype, torch.float32)) / f[0].numel()


MOMENTS, GRAM = Statistic("maps", _moments, _moments_of_blocks), Statistic("maps", _gram)
CONV_MOMENTS = Statistic(
    "convs", functools.partial(_moments, correction=0), functools.partial(_moments_of_blocks, correction=0)
)
CONV_GRAM = Statistic("convs", _gram)


@reading(MOMENTS)
def style_moments(real: View, syn: View) -> Tensor:
    """Moments matching of DDM's style (eq. 4): gaps of channel-wise means and standard deviations.

    sum over classes and layers of (1 / C_l) (|mu_real - mu_syn|^2 + |sigma_real - sigma_syn|^2), on the maps
    after ReLU. mu and sigma are those of AdaIN, which the paper follows: over the positions of one image,
    then averaged over the images of the class. The paper leaves open how images are pooled; with per-image
    moments the target does not shrink with the number of images it is computed from, as it does in the
    authors' first code, ``mean_map_moments``.
    """
    return block_gaps(real.blocks(MOMENTS), syn.blocks(MOMENTS), averaged=True).sum()


@reading(GRAM)
def gram_matrices(real: View, syn: View) -> Tensor:
    """Correlation matching of DDM's style (eq. 5-6): gap of the class-mean Gram matrices.

    sum over classes and layers of |G_real - G_syn|_F^2 / (4 C_l^2 N_l^2) with G = F F^T of the maps after ReLU
    (C channels, N positions): the normalisation of Gatys et al. (arXiv:1508.06576), which the paper cites. The
    authors' first code is ``mean_gram_matrices``.
    """
    return block_gaps(real.blocks(GRAM), syn.blocks(GRAM)).sum() / 4


@reading(MEAN_MAPS)
def mean_map_moments(real: View, syn: View) -> Tensor:
    """Moments matching of DDM's first code: mean and standard deviation of the class-mean maps.

    sum over classes of the mean over layers of (1 / 2 C_l) (|mu_real - mu_syn|^2 + |sigma_real - sigma_syn|^2),
    mu and sigma over the positions of the maps after ReLU, averaged over the images of the class before; sigma
    is unbiased, with 1e-5 under the root. Their loop never resets the style of earlier classes, by mistake:
    class i from the end counts 1.5 (1 - 3^-i) times with three layers. That depends on the order of the classes
    and is not here; its mean over them is part of the weight (``methods.ddm``).
    """
    one, other = ([_of_class(x) for x in view.blocks(MEAN_MAPS)] for view in (real, syn))
    return block_gaps(one, other, averaged=True).mean() / 2  # of the mean's part and the deviation's


def _of_class(maps: Tensor) -> Tensor:
    """Mean and standard deviation ``[k, 2, c]`` of each channel of ``[k, c, h, w]``."""
    x = maps.flatten(2)
    mean = x.mean(2)
    var = (x - mean[..., None]).square().sum(2) / max(1, x.shape[2] - 1)
    return torch.stack([mean, (var + _EPS).sqrt()], 1)


@reading(GRAM)
def mean_gram_matrices(real: View, syn: View) -> Tensor:
    """Correlation matching of DDM's first code: 4/3 of ``gram_matrices`` for three layers.

    sum over classes of the mean over layers of |G_real - G_syn|_F^2 with G = F F^T / (C N) of the maps after
    ReLU. Classes count as in ``mean_map_moments``.
    """
    return block_gaps(real.blocks(GRAM), syn.blocks(GRAM)).mean()


def intra_class_diversity(real: View, syn: View) -> Tensor:
    """Intra-class diversity of DDM (eq. 8-9), to be minimised: minus the divergence from the neighbours.

    sum over classes of the mean over images i of -KL(softmax(e_i) || softmax(mean of the embeddings of the
    nearest k images of the class)), k = 0.2 ipc but at least 1 and at most ipc - 1; gradients flow through
    the neighbours' mean too, as in the authors' first code. With one image per class it is zero. It has no
    lower bound: see REPRODUCIBILITY.md for what that does.
    """
    return _diversity(syn.embedding, round(0.2 * syn.embedding.shape[1]))


def two_neighbour_diversity(real: View, syn: View) -> Tensor:
    """``intra_class_diversity`` with k = 2 whatever the budget, as in DDM's first code."""
    return _diversity(syn.embedding, 2)


def _diversity(e: Tensor, near: int) -> Tensor:
    """Minus the divergence from the mean of the ``near`` nearest, but at least 1 and at most all others."""
    ipc = e.shape[1]
    if ipc == 1:
        return e.sum() * 0.0
    near = max(1, min(ipc - 1, near))
    with torch.no_grad():
        apart = torch.cdist(e, e)
        apart.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        index = apart.topk(near, largest=False).indices
    rows = torch.arange(len(e), device=e.device)[:, None, None]
    log_p, log_q = F.log_softmax(e, -1), F.log_softmax(e[rows, index].mean(2), -1)
    return -(log_p.exp() * (log_p - log_q)).sum(-1).mean(1).sum()


@reading(CONV_MOMENTS)
def relative_moments(real: View, syn: View) -> Tensor:
    """Moments matching as DDM's authors later released it: before the norm, relative to the real moments.

    sum over classes of the mean over layers of half of |mu_real - mu_syn|^2 / |mu_real|^2 and the same for
    sigma, per-image moments of the convolutions' outputs, averaged over the class; variances are biased here.
    """
    both = zip(real.blocks(CONV_MOMENTS), syn.blocks(CONV_MOMENTS), strict=True)
    gaps = [(squares(a, b).mean(2) / (a.square().mean(2) + 1e-8)).sum() for a, b in both]
    return torch.stack(gaps).mean() / 2  # of the mean's part and the deviation's


@reading(CONV_GRAM)
def conv_gram_matrices(real: View, syn: View) -> Tensor:
    """Correlation matching as DDM's authors later released it: on the convolutions' outputs.

    sum over classes of the mean over layers of |G_real - G_syn|_F^2, with G = F F^T / (C N).
    """
    return block_gaps(real.blocks(CONV_GRAM), syn.blocks(CONV_GRAM)).mean()


def principal_spread(real: View, syn: View) -> Tensor:
    """The bounded diversity that DDM's authors released later: match the spread of the real class.

    sum over classes of the mean over the top r principal directions of the real class of
    (std_syn - std_real)^2, divided by the mean of std_real^2; r = ipc - 1, at most 16. Zero where a class has
    one image. The directions are exact here (eigenvectors of the inner products of the real embeddings), the
    authors' code approximates them by a randomised method.
    """
    s, x = syn.embedding, real.embedding
    rank = min(s.shape[1] - 1, x.shape[1] - 1, 16)
    if rank < 1:
        return s.sum() * 0.0
    with torch.no_grad():
        x = x - x.mean(1, keepdim=True)
        squares, left = torch.linalg.eigh(x @ x.transpose(1, 2))
        squares, left = squares[:, -rank:], left[..., -rank:]
        there = squares > 1e-6 * squares[:, -1:]  # no further directions where images repeat
        axes = x.transpose(1, 2) @ (left * torch.where(there, squares, torch.inf).rsqrt()[:, None])
        target = torch.where(there, squares / (x.shape[1] - 1), 0.0).sqrt()
    spread = ((s @ axes).var(1) + 1e-12).sqrt()  # plain std has no gradient where images coincide
    gap = (spread - target).square().mean(1) / (target.square().mean(1) + 1e-8)
    return gap.sum()
