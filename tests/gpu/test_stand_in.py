"""benchmarks/stand_in.py: it refuses what a GPU refuses, and sees what waits and what is launched."""

import pytest
import torch
from torch import nn
from torch.func import grad, vmap


@pytest.fixture
def gpu(load):
    with load("stand_in").StandIn() as device:
        yield device


@pytest.fixture
def x(gpu):
    made = torch.arange(6.0).view(2, 3).to(gpu.device)
    gpu.clear()
    return made


def test_a_tensor_says_where_it_is_and_has_a_cpus_values(gpu, x):
    assert (x.device, x.is_cuda, x.new_zeros(2).is_cuda) == (gpu.device, True, True)
    assert torch.arange(3, device="cuda").is_cuda
    net = nn.Linear(3, 2)
    there = nn.Linear(3, 2).to(gpu.device)
    there.load_state_dict(net.state_dict())
    there(x).square().mean().backward()
    net(x.cpu()).square().mean().backward()
    torch.testing.assert_close(there.weight.grad.cpu(), net.weight.grad)


def test_operands_of_two_devices_are_refused(gpu, x):
    for mixed in (
        lambda: x + torch.ones(3),
        lambda: torch.cat([x, torch.ones(1, 3)]),
        lambda: torch.ones(2, 3).add_(x),
        lambda: nn.Linear(3, 2)(x),
        lambda: torch.ones(4)[torch.tensor([1], device=gpu.device)],
        lambda: torch.where(torch.ones(2, 3) > 0, x, x),
        lambda: torch._foreach_add([x], [torch.ones(2, 3)]),
    ):
        with pytest.raises(RuntimeError, match="same device"):
            mixed()
    with pytest.raises(RuntimeError, match="generator of cpu"):
        torch.randperm(3, generator=torch.Generator(), device=gpu.device)
    assert (x + torch.tensor(1.0)).is_cuda  # a number


WAITS = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool((x > 0).all()),
    "tolist": lambda x: x.tolist(),
    "to the host": lambda x: x.cpu(),
    "to the device": lambda x: torch.ones(2).to(x.device),
    "a list": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "not pinned": lambda x: torch.ones(2).to(x.device, non_blocking=True),
    "pinned, but not said": lambda x: torch.ones(2).pin_memory().to(x.device),
    "into a tensor": lambda x: x.copy_(torch.zeros(2, 3)),
    "nonzero": lambda x: x.nonzero(),
    "a mask": lambda x: x[x > 2],
    "unique": lambda x: x.unique(),
    "repeats": lambda x: x[0].repeat_interleave(torch.tensor([1, 2, 3]).to(x.device)),
    "an index of the host": lambda x: x[torch.tensor([0])],
    "a place on the device": lambda x: x[x.argmax(0)[0]],
    "equal": lambda x: torch.equal(x, x + 1),
    "a number put in a place": lambda x: x.__setitem__(0, 1.0),
    "eigenvectors": lambda x: torch.linalg.eigh(x @ x.T),
    "synchronize": lambda x: torch.cuda.synchronize(),
}
NO_WAITS = {
    "pinned": lambda x: torch.ones(2).pin_memory().to(x.device, non_blocking=True),
    "a pinned list": lambda x: torch.tensor([1], pin_memory=True).to(x.device, non_blocking=True),
    "a number": lambda x: x.add_(1).mul_(torch.tensor(2.0)),
    "a place of the host": lambda x: x[0].fill_(1),
    "an index of the device": lambda x: x[torch.arange(1, device=x.device)],
    "known repeats": lambda x: x.repeat_interleave(2),
    "generators": lambda x: torch.cuda.set_rng_state(torch.cuda.get_rng_state()),
}


@pytest.mark.parametrize("what", WAITS)
def test_what_waits_is_seen(gpu, x, what):
    WAITS[what](x)
    assert gpu.waits


@pytest.mark.parametrize("what", NO_WAITS)
def test_what_does_not_wait_is_not_taken_for_it(gpu, x, what):
    NO_WAITS[what](x)
    assert not gpu.waits


def test_views_and_allocations_launch_nothing(gpu, x):
    torch.empty_like(x.t()[0].unsqueeze(0).detach().reshape(-1))
    assert not gpu.launches
    x.add_(1).relu()
    torch._foreach_mul([x, x], 2.0)
    assert gpu.launches == {"aten.add_": 1, "aten.relu": 1, "aten._foreach_mul": 1}
    torch.ones(3) + 1  # on the host
    assert gpu.launches.total() == 3


def test_gradients_of_each_row_are_of_the_device(gpu, x):
    seen = []

    def loss(row):
        seen.append((row.device, row.is_cuda))
        return row.square().sum()

    assert torch.equal(vmap(grad(loss))(x).cpu(), 2 * x.cpu())
    assert seen == [(gpu.device, True)]


def test_outside_of_it_nothing_is_left(load):
    there = torch.cuda.is_available()
    with load("stand_in").StandIn() as gpu:
        x = torch.ones(2, device=gpu.device)
        assert torch.cuda.is_available()
    assert torch.cuda.is_available() == there
    with pytest.raises(RuntimeError, match="outside"):
        x + 1
    nn.Linear(2, 1)(torch.ones(2)).backward()
