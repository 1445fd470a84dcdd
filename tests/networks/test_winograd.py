"""Winograd's convolution is torch's, forwards and backwards."""

import pytest
import torch
import torch.nn.functional as F

from cl_condense.networks.winograd import conv3x3


def both(x, weight, gradient):
    """Images and gradients of both ways, ours first."""
    plain = F.conv2d(x.permute(0, 3, 1, 2), weight, padding=1).permute(0, 2, 3, 1)
    ours = conv3x3(x, weight)
    leaves = [t for t in (x, weight) if t.requires_grad]
    return [(y.detach(), *torch.autograd.grad(y, leaves, gradient)) for y in (ours, plain)]


@pytest.mark.parametrize("shape", [(1, 4, 4, 1), (2, 8, 8, 3), (3, 16, 8, 5), (1, 4, 12, 7)])
@pytest.mark.parametrize("filters", [1, 6])
@pytest.mark.parametrize("wanted", ["x", "weight", "both"])
def test_outputs_and_gradients_are_those_of_torchs_convolution(shape, filters, wanted):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64).requires_grad_(wanted != "weight")
    weight = torch.randn(filters, shape[3], 3, 3, dtype=torch.float64).requires_grad_(wanted != "x")
    ours, plain = both(x, weight, torch.randn(*shape[:3], filters, dtype=torch.float64))
    for a, b in zip(ours, plain, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-12 * max(1.0, float(b.abs().max())))


def test_in_float32_it_is_off_by_less_than_a_ten_thousandth():
    torch.manual_seed(0)
    x, weight = torch.randn(4, 16, 16, 64, requires_grad=True), torch.randn(64, 64, 3, 3, requires_grad=True)
    for a, b in zip(*both(x, weight, torch.randn(4, 16, 16, 64)), strict=True):
        assert float((a - b).abs().max()) < 1e-4 * float(b.abs().max())
