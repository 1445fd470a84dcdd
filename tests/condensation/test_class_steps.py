"""What class_steps makes of a paper's code that takes one optimiser step per class."""

import pytest
import torch

from cl_condense.common.rng import Purpose
from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.optimizer import PixelStep, joint
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.describe import about
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.training.augment import DSA

DIMENSIONS, ITERATIONS = 4, 25


def recipe(lr, momentum, **changes):
    return build("dm", lr=lr, momentum=momentum, **changes)


def problem(classes):
    """A different quadratic of every class at every iteration, as with a new network each time."""
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64}
    start = torch.randn(classes, DIMENSIONS, **options)
    curvature = 0.1 + torch.rand(ITERATIONS, classes, DIMENSIONS, **options)
    centre = torch.randn(ITERATIONS, classes, DIMENSIONS, **options)
    return start, lambda x, t, c: (curvature[t, c] * (x[c] - centre[t, c]).square()).sum()


def class_by_class(classes, lr, momentum):
    """Each class's images as its own step finds them, ``[iterations, classes, d]``, and all after the last."""
    start, loss = problem(classes)
    x = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([x], lr, momentum)
    seen = torch.empty(ITERATIONS, *start.shape, dtype=start.dtype)
    for t in range(ITERATIONS):
        for c in range(classes):
            seen[t, c] = x[c].detach()
            optimizer.zero_grad(set_to_none=False)
            loss(x, t, c).backward()
            optimizer.step()
    return seen, x.detach()


def jointly(classes, lr, momentum, **changes):
    """All classes' images as each step of the package finds them, and after the last one."""
    start, loss = problem(classes)
    real = ImageSet.of(torch.rand(classes, 1, 1, 1), range(classes))
    x = start.clone()
    step, seen = PixelStep(real, recipe(lr, momentum, **changes), x), []
    for t in range(ITERATIONS):
        seen.append(x.clone())
        leaf = x.clone().requires_grad_()
        sum(loss(leaf, t, c) for c in range(classes)).backward()
        step.gradient.copy_(leaf.grad)
        step(t / ITERATIONS)
    return torch.stack(seen), x, step


RATES = pytest.mark.parametrize(("lr", "momentum"), [(0.05, 0.5), (0.02, 0.8), (0.1, 0.0)])
EXACT = {"rtol": 1e-12, "atol": 1e-13}


@RATES
@pytest.mark.parametrize("classes", [1, 2, 3, 10])
def test_every_class_finds_in_every_iteration_what_a_loop_of_single_steps_would_leave_it(classes, lr, momentum):
    want, _ = class_by_class(classes, lr, momentum)
    got, _, _ = jointly(classes, lr, momentum, class_steps=True)
    torch.testing.assert_close(got, want, **EXACT)
    assert float((want[-1] - want[0]).abs().min()) > 1e-3, "it went somewhere"


@RATES
@pytest.mark.parametrize("classes", [1, 2, 10])
def test_after_the_last_iteration_it_is_the_loop_and_each_class_drifted_as_long_as_the_first(
    classes, lr, momentum
):
    """Class c has drifted K - 1 - c steps in the loop, and K - 1 here: the same for the first class."""
    _, want = class_by_class(classes, lr, momentum)
    _, got, step = jointly(classes, lr, momentum, class_steps=True)
    # Also the momentum that the loop has after each class's own step.
    velocity = step.state().get("momentum", torch.zeros_like(got))
    for c in range(classes):
        further = sum(momentum**i for i in range(classes - c, classes))
        torch.testing.assert_close(got[c] + lr * further * velocity[c], want[c], **EXACT)
    torch.testing.assert_close(got[0], want[0], **EXACT)


def test_without_class_steps_rate_and_momentum_are_the_recipes():
    assert joint(recipe(0.2, 0.5), 10) == (0.2, 0.5)
    moved = class_by_class(3, 0.05, 0.5)[0]
    assert float((jointly(3, 0.05, 0.5)[0] - moved).abs().max()) > 0.1


def test_halvings_halve_the_joint_rate():
    real = ImageSet.of(torch.rand(2, 1, 1, 1), [0, 1])
    x = torch.zeros(2, 1)
    step = PixelStep(real, recipe(0.2, 0.0, class_steps=True, halvings=(0.5, 0.5)), x)
    for done, moved in ((0.4, -0.2), (0.5, -0.25)):
        step.gradient.fill_(1.0)
        step(done)
        torch.testing.assert_close(x, torch.full((2, 1), moved))


@pytest.mark.parametrize(
    ("name", "ipc", "rate"),
    [("idm", 10, 0.2), ("m3d", 10, 1.0), ("idc", 10, 0.005), ("idc", 50, 0.025), ("idc", 1, 0.0005)],
)
def test_recipes_of_papers_that_step_class_by_class_have_their_numbers(name, ipc, rate):
    found = build(name, "cifar10").settled(ipc)
    assert (found.lr, found.momentum, found.class_steps) == (rate, 0.5, True)
    for classes, lr in ((1, rate), (2, 1.5 * rate), (10, 2 * rate * (1 - 2**-10))):
        assert joint(found, classes) == (pytest.approx(lr, rel=1e-12), 0.5**classes)


@pytest.mark.parametrize("name", ["dm+queue", "idm+iid", "idm+pixels", "idm+m3d", "m3d_linear"])
def test_what_is_built_on_them_steps_so_too_and_dm_and_the_inner_loops_do_not(name):
    assert build(name).class_steps
    for other in ("dm", "dm+m3d", "ddm", "dc", "dsa", "dcc", "cafe", "datadam", "iid"):
        assert not build(other).class_steps
    assert "class_steps: True" in about("idm")
    assert "lr: 0.2" in about("idm")


def test_mean_matching_with_a_step_a_class_is_its_plain_loop():
    generator = torch.Generator().manual_seed(0)
    real = ImageSet.of(torch.randn(24, 1, 8, 8, generator=generator), [3] * 12 + [7] * 12)
    network, seed = MakeConvNet(real.shape, width=4), 5
    made = recipe(0.2, 0.5, class_steps=True, augment=DSA("none"), real_per_class=6, iterations=4)
    job = Condensation(real, made, ipc=2, network=network, seed=seed)
    syn = real.take(real.draw(2, Purpose.START, seed)).requires_grad_()
    start, optimizer = syn.detach().clone(), torch.optim.SGD([syn], 0.2, 0.5)
    for iteration in range(4):
        net = network(2).requires_grad_(False)
        Initialiser(net)(seed, iteration)
        index = real.draw(6, Purpose.REAL_BATCH, seed, iteration)
        for c in range(2):
            torch.testing.assert_close(job.state()["pixels"][c], syn[c].detach(), rtol=1e-4, atol=1e-5)
            optimizer.zero_grad(set_to_none=False)
            a, b = (net.features(x).embedding.mean(0) for x in (real.take(index[c]), syn[c]))
            (a - b).square().sum().backward()
            optimizer.step()
        job.step()
    assert float((syn.detach() - start).abs().amax((1, 2, 3, 4)).min()) > 1e-2, "it went somewhere"
