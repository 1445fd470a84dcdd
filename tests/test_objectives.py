import pytest
import reference
import torch

from cl_condense import objectives
from cl_condense.features import Features, View
from cl_condense.networks import ConvNet

NAMES = [
    "mean_matching",
    "style_moments",
    "gram_matrices",
    "intra_class_diversity",
    "relative_moments",
    "conv_gram_matrices",
    "principal_spread",
]
TAPS = frozenset({"maps", "convs"})
SIZES = [(1, 5, 1), (3, 4, 2), (2, 6, 3), (2, 3, 7), (1, 9, 13), (1, 30, 20)]  # (k, m, ipc)

every_objective = pytest.mark.parametrize("name", NAMES)


def random_view(classes, per_class, seed, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    n = classes * per_class

    def randn(*shape):
        return torch.randn(n, *shape, generator=generator, dtype=torch.float64) + offset

    maps = randn(3, 4, 4).relu(), randn(5, 2, 3).relu()
    convs = randn(4, 3, 3) + 0.5, randn(2, 5, 4)
    return View(Features(randn(24), randn(2), maps, convs), classes)


def leaves_of(view):
    f = view.features
    return [x.requires_grad_() for x in (f.embedding, *f.maps, *f.convs)]


def select(view, index, classes):
    e, logits, maps, convs = view.features
    taps = (tuple(x[index] for x in layers) for layers in (maps, convs))
    return View(Features(e[index], logits[index], *taps), classes)


def gradients(value, leaves):
    return torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)


@every_objective
@pytest.mark.parametrize(("k", "m", "ipc"), SIZES)
def test_value_and_gradient_equal_the_loops_over_features(name, k, m, ipc):
    real, syn = random_view(k, m, 1, offset=0.3), random_view(k, ipc, 2)
    leaves = leaves_of(syn)
    got, want = (getattr(module, name)(real, syn) for module in (objectives, reference))
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradients(got, leaves), gradients(want, leaves), rtol=1e-8, atol=1e-11)


@every_objective
@pytest.mark.parametrize("ipc", [1, 2, 4])
def test_value_and_gradient_equal_the_loops_over_images(name, ipc):
    torch.manual_seed(0)
    net = ConvNet((2, 8, 8), 2, width=3, depth=2).double().requires_grad_(False)
    real, syn = (torch.randn(2 * m, 2, 8, 8, dtype=torch.float64) for m in (5, ipc))
    syn.requires_grad_()
    got = getattr(objectives, name)(*(View(net.features(x, TAPS), 2) for x in (real, syn)))
    plain = (Features(*reference.convnet(net, x)) for x in (real, syn))
    want = getattr(reference, name)(*(View(f, 2) for f in plain))
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
    (grad,) = gradients(got, [syn])
    torch.testing.assert_close(grad, *gradients(want, [syn]), rtol=1e-7, atol=1e-10)
    assert ipc == 1 or float(grad.abs().max()) > 1e-6


@every_objective
def test_derivatives_are_those_of_finite_differences(name):
    torch.manual_seed(1)
    net = ConvNet((1, 4, 4), 2, width=2, depth=1).double().requires_grad_(False)
    real = View(net.features(torch.randn(8, 1, 4, 4, dtype=torch.float64), TAPS), 2)
    syn = torch.randn(6, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    objective = getattr(objectives, name)
    assert torch.autograd.gradcheck(lambda x: objective(real, View(net.features(x, TAPS), 2)), syn)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "intra_class_diversity"])
@pytest.mark.parametrize(("k", "m"), [(1, 1), (3, 2), (2, 5), (1, 20)])
def test_nothing_is_left_to_match_where_real_and_synthetic_images_are_the_same(name, k, m):
    value = getattr(objectives, name)(random_view(k, m, 3), random_view(k, m, 3))
    torch.testing.assert_close(value, torch.zeros_like(value), rtol=0, atol=1e-12)


@every_objective
@pytest.mark.parametrize("ipc", [2, 6])
def test_the_value_over_classes_is_the_sum_of_single_classes(name, ipc):
    k, m = 3, 7
    objective = getattr(objectives, name)
    real, syn = random_view(k, m, 4, offset=0.2), random_view(k, ipc, 5)
    alone = [
        objective(
            select(real, slice(c * m, (c + 1) * m), 1),
            select(syn, slice(c * ipc, (c + 1) * ipc), 1),
        )
        for c in range(k)
    ]
    assert all(float(value.abs()) > 1e-6 for value in alone)
    torch.testing.assert_close(objective(real, syn), torch.stack(alone).sum(), rtol=1e-10, atol=0)


@every_objective
def test_the_order_of_images_within_a_class_does_not_matter(name):
    objective = getattr(objectives, name)
    real, syn = random_view(2, 6, 6), random_view(2, 4, 7)
    shuffled = (
        select(real, torch.tensor([3, 0, 5, 1, 4, 2, 11, 6, 8, 7, 10, 9]), 2),
        select(syn, torch.tensor([2, 3, 0, 1, 5, 7, 4, 6]), 2),
    )
    exchanged = real, select(syn, torch.tensor([4, 5, 6, 7, 0, 1, 2, 3]), 2)
    torch.testing.assert_close(objective(*shuffled), objective(real, syn), rtol=1e-10, atol=0)
    if name != "intra_class_diversity":
        assert float((objective(*exchanged) - objective(real, syn)).abs()) > 1e-6


@every_objective
def test_gradients_are_finite_where_all_images_of_a_class_coincide(name):
    real, syn = random_view(2, 5, 8), random_view(2, 4, 9)
    syn = select(syn, torch.tensor([0, 0, 0, 0, 4, 4, 4, 4]), 2)
    leaves = leaves_of(syn)
    for g in gradients(getattr(objectives, name)(real, syn), leaves):
        assert bool(torch.isfinite(g).all())


@every_objective
def test_gradients_are_finite_where_maps_are_dead_or_of_one_position(name):
    maps, convs = (
        tuple(torch.zeros(4, 3, side, side, dtype=torch.float64) for side in (2, 1)) for _ in range(2)
    )
    real = View(Features(torch.randn(4, 3, dtype=torch.float64), torch.zeros(4, 2), maps, convs), 2)
    syn = select(real, torch.arange(4), 2)
    leaves = leaves_of(syn)
    value = getattr(objectives, name)(real, syn)
    assert bool(torch.isfinite(value))
    assert all(bool(torch.isfinite(g).all()) for g in gradients(value, leaves))


@every_objective
def test_float32_loses_little(name):
    torch.manual_seed(2)
    net = ConvNet((3, 16, 16), 2, width=4).requires_grad_(False)
    flat = 2 + 0.01 * torch.randn(4, 3, 16, 16)  # little spread on a large mean: images of one colour
    real, syn = torch.randn(10, 3, 16, 16), torch.cat([torch.randn(4, 3, 16, 16), flat])
    got = getattr(objectives, name)(*(View(net.features(x, TAPS), 2) for x in (real, syn)))
    net.double()
    want = getattr(reference, name)(*(View(net.features(x.double(), TAPS), 2) for x in (real, syn)))
    torch.testing.assert_close(got.double(), want, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("ipc", [1, 2, 3, 8, 13])
def test_diversity_is_never_positive_and_zero_for_one_image(ipc):
    for seed in range(5):
        syn = random_view(2, ipc, seed)
        leaves = leaves_of(syn)
        value = objectives.intra_class_diversity(random_view(2, 3, 0), syn)
        assert value.requires_grad
        if ipc == 1:
            assert value.item() == 0
            assert all(bool((g == 0).all()) for g in gradients(value, leaves))
        else:
            assert value.item() < 0


def test_diversity_rewards_images_that_lie_further_apart():
    syn = random_view(1, 6, 3)
    near, far = (
        objectives.intra_class_diversity(
            syn, View(syn.features._replace(embedding=syn.features.embedding * by), 1)
        )
        for by in (0.5, 2.0)
    )
    assert float(far) < float(near) < 0


def test_a_real_class_with_repeated_images_spreads_in_no_further_directions():
    torch.manual_seed(3)
    net = ConvNet((3, 32, 32), 2).requires_grad_(False)
    view = View(net.features(torch.randn(3, 3, 32, 32)[torch.arange(12) % 3]), 1)
    assert objectives.principal_spread(view, view).item() == pytest.approx(0, abs=1e-3)
