"""What networks come to that train on the synthetic images, looked back through step by step (DD, MTT)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from cl_condense.condensation.view import View, reading

Weights = Mapping[str, Tensor]


@reading(labels=True)
def unrolled_classification(real: View, syn: View) -> Tensor:
    """Cross-entropy of real images under the network trained on the synthetic ones (DD, arXiv:1811.10959).

    Its equation 4, averaged over the images of a class and summed over classes; their code averages over all.
    """
    return real.loss_under(trained_on(syn))


@reading(labels=True)
def trajectory_matching(real: View, syn: View) -> Tensor:
    """Where training on the synthetic images leads, against where it led on real ones (MTT, arXiv:2203.11932).

    |theta_N - theta*|^2 / |theta_0 - theta*|^2 (eq. 2), theta_0 and theta* the network at two epochs of a
    training on real images, theta_N what N steps on the synthetic images make of theta_0. Over all classes.
    """
    target = dict(syn.of_trained.net.named_parameters())
    start = {name: p.detach() for name, p in syn.net.named_parameters()}
    return _apart(trained_on(syn), target) / _apart(start, target).clamp_min(1e-12)


def trained_on(syn: View) -> Weights:
    """Weights of the network after the steps of plain gradient descent that the view's ``unroll`` says.

    On the mean cross-entropy of the images of a step, with the labels of the view; differentiable in the images
    and in the labels.

    Raises:
        ValueError: for a view without them.
    """
    if syn.unroll is None:
        raise ValueError("an objective that trains the network: give a source that says how, an Unrolled")
    steps, rate, each = syn.unroll
    m = syn.images.shape[1]
    each = min(each or m, m)
    weights: Weights = {name: p.detach().requires_grad_() for name, p in syn.net.named_parameters()}
    with torch.enable_grad():
        for step in range(steps):
            begin = step * each % m
            images, labels = (x.roll(-begin, 1)[:, :each].flatten(0, 1) for x in (syn.images, syn.labels))
            log_p = F.log_softmax(functional_call(syn.net, dict(weights), (images,)), 1)[:, syn.targets]
            loss = -(labels * log_p).sum(1).mean()
            slopes = torch.autograd.grad(loss, [*weights.values()], create_graph=True)
            weights = {n: p - rate * g for (n, p), g in zip(weights.items(), slopes, strict=True)}
    return weights


def _apart(one: Weights, other: Weights) -> Tensor:
    return torch.stack([F.mse_loss(one[name], p, reduction="sum") for name, p in other.items()]).sum()
