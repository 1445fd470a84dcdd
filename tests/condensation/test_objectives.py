"""Every objective against the loops of reference.py, and what must hold for it whatever the numbers."""

import math

import pytest
import reference
import torch
import torch.nn.functional as F
from torch import nn

from cl_condense.condensation import objectives
from cl_condense.condensation.objectives.gaps import block_gaps
from cl_condense.condensation.recipe import Term
from cl_condense.condensation.view import View, statistics_of
from cl_condense.networks.classic import MLP
from cl_condense.networks.contract import Features
from cl_condense.networks.convnet import ConvNet

# Those that train networks are in test_unrolled.py.
UNROLLED = ["trajectory_matching", "unrolled_classification"]
EVERY = [name for name in objectives.__all__ if name not in ("Objective", *UNROLLED)]
READ = statistics_of(getattr(objectives, name) for name in EVERY)
GRADIENTS = ["gradient_matching", "contrastive_gradient_matching", "gradient_distance"]
OF_FEATURES = [name for name in EVERY if name not in GRADIENTS]
TELLING_APART = ["discrimination", "kernel_regression"]  # one class is nothing to tell from others
ACROSS_CLASSES = ["contrastive_gradient_matching", *TELLING_APART]
DIVERSITIES = ["intra_class_diversity", "two_neighbour_diversity"]
OF_SYNTHETIC = ["class_aware_regularisation", "trained_classification", "class_centralisation", *DIVERSITIES]
# The root of the characteristic functions' distance is kept from 0.
MATCHING = [n for n in EVERY if n not in (*OF_SYNTHETIC, *TELLING_APART, "characteristic_function")]
# The bandwidth is a mean over pairs of different images, the spread has an unbiased variance and a rank that
# depends on the number of images, the nearest neighbour of an image there twice is itself, IID sums, and a
# ridge is that of one image.
NOT_OF_AVERAGES = [
    *("gaussian_mmd", "scaled_gaussian_mmd", "principal_spread", "class_centralisation", "kernel_regression"),
    *DIVERSITIES,
]
CONSTANT_BANDWIDTH = ["gaussian_mmd", "scaled_gaussian_mmd"]  # finite differences would move it
# Images per class up to which the images do not matter: one has no spread, and that of two is symmetric.
STILL = {
    "class_centralisation": 1,
    "covariance_matching": 1,
    "intra_class_diversity": 1,
    "principal_spread": 1,
    "second_moments": 1,
    "third_moments": 2,
    "two_neighbour_diversity": 1,
}
SIZES = [(1, 5, 1), (3, 4, 2), (2, 6, 3), (2, 3, 7), (1, 9, 13), (1, 30, 20)]  # (k, m, ipc)


def each(names):
    return pytest.mark.parametrize("name", names)


class Ready(nn.Module):
    """A network whose features are there already."""

    def __init__(self, features):
        super().__init__()
        self.ready = features

    def features(self, x, taps=frozenset()):
        e = self.ready.embedding
        return self.ready._replace(pooled=e.unflatten(1, (-1, 2, 3) if e.shape[1] % 6 == 0 else (-1, 1, 1)))


def view_of(features, classes):
    images = torch.zeros(classes, len(features.embedding) // classes, 1, 1, 1, requires_grad=True)
    net = Ready(features)
    return View(net, images, None, READ, torch.tensor(0.37), trained=net)


def random_view(classes, per_class, seed, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    n = classes * per_class

    def randn(*shape):
        return torch.randn(n, *shape, generator=generator, dtype=torch.float64) + offset

    maps = randn(3, 4, 4).relu(), randn(5, 2, 3).relu()
    convs = randn(4, 3, 3) + 0.5, randn(2, 5, 4)
    return view_of(Features(randn(24), randn(classes), maps, convs), classes)


def leaves_of(view):
    f = view.net.ready
    return [x.requires_grad_() for x in (f.embedding, f.logits, *f.maps, *f.convs)]


def gradients(value, leaves):
    return torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)


class Plain(nn.Module):
    """The same ConvNet, one image after the other."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def features(self, x, taps=frozenset()):
        return Features(*reference.convnet(self.net, x))

    def forward(self, x):
        return self.features(x).logits


def convnet(shape=(2, 8, 8), classes=4, width=3):
    """A ConvNet of two blocks with weights of every layer at random."""
    net, generator = ConvNet(shape, classes, width=width, depth=2).double(), torch.Generator()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator.manual_seed(p.numel()), dtype=torch.float64))
    return net


NET = convnet()


def images(k, m, seed, shape=(2, 8, 8)):
    """``[k, m, c, h, w]``."""
    generator = torch.Generator().manual_seed(seed)
    parts = (torch.randn(k, n, *shape, generator=generator, dtype=torch.float64) for n in (1, m))
    return sum(parts)


def value_of(name, real, syn, targets=None, net=NET, module=objectives):
    accuracy = torch.tensor(0.37, dtype=torch.float64)
    views = (View(net, x, targets, READ, accuracy, trained=net) for x in (real, syn))
    return getattr(module, name)(*views)


@each(OF_FEATURES)
@pytest.mark.parametrize(("k", "m", "ipc"), SIZES)
def test_value_and_gradient_equal_the_loops_over_features(name, k, m, ipc):
    real, syn = random_view(k, m, 1, offset=0.3), random_view(k, ipc, 2)
    leaves = leaves_of(syn)
    got, want = (getattr(module, name)(real, syn) for module in (objectives, reference))
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradients(got, leaves), gradients(want, leaves), rtol=1e-8, atol=1e-11)


@each(EVERY)
@pytest.mark.parametrize(("k", "ipc"), [(1, 3), (2, 1), (3, 2)])
def test_value_and_gradient_equal_the_loops_over_images(name, k, ipc):
    real, syn = images(k, 5, 1), images(k, ipc, 2).requires_grad_()
    targets = torch.tensor([2, 0, 3])[:k]
    got = value_of(name, real, syn, targets)
    want = value_of(name, real, syn, targets, Plain(NET), reference)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
    (grad,), (expected,) = gradients(got, [syn]), gradients(want, [syn])
    torch.testing.assert_close(grad, expected, rtol=1e-7, atol=1e-10)
    still = ipc <= STILL.get(name, 0) or (k == 1 and name in TELLING_APART)
    assert (float(grad.abs().max()) < 1e-12) == still
    assert grad.shape == syn.shape
    assert got.shape == ()


@each([name for name in EVERY if name not in CONSTANT_BANDWIDTH])
def test_derivatives_are_those_of_finite_differences(name):
    net = convnet((1, 4, 4), 2, width=2)
    real, syn = images(2, 3, 3, (1, 4, 4)), images(2, 2, 4, (1, 4, 4)).requires_grad_()
    # Along a random direction, which a wrong derivative of any pixel shows in.
    assert torch.autograd.gradcheck(lambda x: value_of(name, real, x, net=net), syn, fast_mode=True)


@each(CONSTANT_BANDWIDTH)
def test_derivatives_of_a_kernel_whose_bandwidth_stays(name, monkeypatch):
    real, syn = random_view(2, 4, 1), random_view(2, 3, 2)
    e = leaves_of(syn)[0]
    (grad,) = gradients(getattr(objectives, name)(real, syn), [e])
    fixed = [b for _, b in reference.gaussian_by_class(real, syn)]
    turn = iter([])
    monkeypatch.setattr(reference, "bandwidth", lambda x, s: next(turn))
    step, slopes = 1e-5, []
    for sign in (1, -1):
        turn = iter(fixed)
        moved = view_of(syn.net.ready._replace(embedding=e.detach() + sign * step * grad), 2)
        slopes.append(float(getattr(reference, name)(real, moved)))
    assert (slopes[0] - slopes[1]) / (2 * step) == pytest.approx(float(grad.square().sum()), rel=1e-6)


@each(MATCHING)
@pytest.mark.parametrize(("k", "m"), [(1, 1), (3, 2), (2, 5), (1, 20)])
def test_nothing_is_left_to_match_where_real_and_synthetic_images_are_the_same(name, k, m):
    if name in OF_FEATURES:
        value = getattr(objectives, name)(random_view(k, m, 3), random_view(k, m, 3))
        torch.testing.assert_close(value, torch.zeros_like(value), rtol=0, atol=1e-12)
    x = images(k, m, 3)
    value = value_of(name, x, x.clone().requires_grad_())
    rest = torch.zeros_like(value)
    if name in GRADIENTS[:2]:  # 1e-6 in the denominator makes a cosine less than 1
        for g in View(NET, x).weight_gradients:
            rows = (g if name == "gradient_matching" else g.mean(0, keepdim=True)).flatten(2)
            rest += (1e-6 / (rows.square().sum(2) + 1e-6)).sum()
    torch.testing.assert_close(value, rest, rtol=1e-9, atol=1e-10)


@each(EVERY)
@pytest.mark.parametrize("ipc", [2, 6])
def test_the_value_over_classes_is_the_sum_of_single_classes_but_of_those_that_look_across(name, ipc):
    real, syn, targets = images(3, 7, 4), images(3, ipc, 5), torch.tensor([3, 1, 0])
    parts = [slice(c, c + 1) for c in range(3)]
    alone = torch.stack([value_of(name, real[c], syn[c], targets[c]) for c in parts])
    together = value_of(name, real, syn, targets)
    if name in ACROSS_CLASSES:
        assert float((together - alone.sum()).abs()) > 0.01
    else:
        assert float(alone.abs().min()) > 1e-6
        torch.testing.assert_close(together, alone.sum(), rtol=1e-10, atol=0)


@each(EVERY)
@pytest.mark.parametrize("side", ["real", "syn"])
def test_another_class_changes_the_gradient_of_those_that_look_across(name, side):
    real, syn, other = images(2, 4, 6), images(2, 3, 7), images(2, 4, 8)
    changed = {"real": real.clone(), "syn": syn.clone()}
    changed[side][1] = other[1, : changed[side].shape[1]]
    found = []
    for pair in ({"real": real, "syn": syn}, changed):
        leaf = pair["syn"].clone().requires_grad_()
        found.append(gradients(value_of(name, pair["real"], leaf), [leaf])[0][0])
    assert float(found[0].abs().max()) > 1e-6
    assert torch.allclose(*found, rtol=1e-9, atol=1e-12) == (name not in ACROSS_CLASSES)


@each(EVERY)
def test_the_order_of_images_within_a_class_does_not_matter_but_between_classes_it_does(name):
    real, syn = images(2, 6, 6), images(2, 4, 7)
    value = value_of(name, real, syn)
    shuffled = value_of(name, real[:, [3, 0, 5, 1, 4, 2]], syn[:, [2, 3, 0, 1]])
    torch.testing.assert_close(shuffled, value, rtol=1e-10, atol=0)
    exchanged = value_of(name, real, syn.flip(0))
    alike = name in ("class_centralisation", *DIVERSITIES)
    assert (float((exchanged - value).abs()) < 1e-9) == alike


@each([name for name in EVERY if name not in NOT_OF_AVERAGES])
@pytest.mark.parametrize("times", [(2, 1), (1, 2), (3, 2)])
def test_repeating_every_image_changes_no_average(name, times):
    real, syn = images(2, 4, 8), images(2, 3, 9)
    repeated = (x.repeat_interleave(n, 1) for x, n in zip((real, syn), times, strict=True))
    torch.testing.assert_close(value_of(name, *repeated), value_of(name, real, syn), rtol=1e-10, atol=1e-12)


@each(EVERY)
@pytest.mark.parametrize("where", ["one image", "one picture", "real ones", "grey", "dead filters"])
def test_gradients_are_finite(name, where):
    real, syn, net = images(2, 4, 10), images(2, 3, 11), convnet()
    if where == "one image":
        real, syn = real[:, :1], syn[:, :1]
    elif where == "one picture":
        syn = syn[:, :1].expand(-1, 3, -1, -1, -1).clone()
    elif where == "real ones":
        syn = real[:, :3].clone()
    elif where == "grey":
        syn = torch.full_like(syn, 0.5)
    else:
        for norm in net.norms:
            nn.init.constant_(norm.bias[:2], -100.0)
    value = value_of(name, real, syn.requires_grad_(), net=net)
    assert bool(torch.isfinite(value))
    assert bool(torch.isfinite(gradients(value, [syn])[0]).all())


@each(OF_FEATURES)
def test_gradients_are_finite_where_maps_are_dead_or_of_one_position(name):
    maps, convs = (
        tuple(torch.zeros(4, 3, side, side, dtype=torch.float64) for side in (2, 1)) for _ in range(2)
    )
    embedding, logits = torch.randn(4, 3, dtype=torch.float64), torch.zeros(4, 2, dtype=torch.float64)
    real, syn = (view_of(Features(embedding.clone(), logits.clone(), maps, convs), 2) for _ in range(2))
    leaves = leaves_of(syn)
    value = getattr(objectives, name)(real, syn)
    assert bool(torch.isfinite(value))
    assert all(bool(torch.isfinite(g).all()) for g in gradients(value, leaves))


@pytest.fixture(scope="module", params=["pictures", "of one colour"])
def precisions(request):
    """Views of the papers' ConvNet in float32 and float64: ``{dtype: (real, syn)}``."""
    torch.manual_seed(2)
    net = ConvNet((3, 32, 32), 10).requires_grad_(False)
    smooth = F.interpolate(torch.randn(16, 3, 6, 6), (32, 32), mode="bicubic").view(2, 8, 3, 32, 32)
    real = smooth + 0.3 * torch.randn(2, 8, 3, 32, 32)
    syn = real[:, :3].flip(0) + 0.2 * torch.randn(2, 3, 3, 32, 32)
    if request.param == "of one colour":  # little spread on a large mean
        syn = 2 + 0.01 * syn
    views = {}
    for dtype in (torch.float32, torch.float64):
        net = net.to(dtype)
        views[dtype] = tuple(
            View(net, x.to(dtype), torch.tensor([7, 3]), READ, torch.tensor(0.6), trained=net)
            for x in (real, syn)
        )
        for view in views[dtype]:
            _ = view.embedding, view.weight_gradients
    return views


@each(EVERY)
def test_float32_agrees_with_float64_on_the_papers_network(name, precisions):
    got, want = (getattr(objectives, name)(*views) for views in precisions.values())
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), want, rtol=3e-4, atol=1e-7)  # diversity is a small difference


@pytest.mark.parametrize("k", [1, 3])
def test_characteristic_functions_of_the_same_images_are_the_same_and_do_not_see_the_scale(k):
    for other in (random_view(k, 4, 3), random_view(k, 4, 3)):
        ready = other.net.ready
        scaled = view_of(ready._replace(embedding=3 * ready.embedding), k)
        value = objectives.characteristic_function(random_view(k, 4, 3), scaled)
        torch.testing.assert_close(value, torch.full_like(value, k * 0.5e-12**0.5), rtol=1e-6, atol=0)


def test_frequencies_are_drawn_anew_for_each_iteration_and_seed():
    values = set()
    for keys in ((0, 0), (0, 1), (1, 0), (0, 0)):
        views = (View(NET, images(2, 3, i), keys=keys) for i in (1, 2))
        values.add(float(objectives.characteristic_function(*views)))
    assert len(values) == 3
    assert max(values) < 1.2 * min(values), "of one distance"


def test_cross_entropy_is_that_of_the_trained_end():
    other, x, targets = convnet(), images(2, 3, 1).requires_grad_(), torch.tensor([3, 1])
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(0.5)
    view = View(NET, x, targets, trained=other)
    value = objectives.trained_classification(view, view)
    logits = other(x.flatten(0, 1))
    want = 2 * F.cross_entropy(logits, targets.repeat_interleave(3))
    torch.testing.assert_close(value, want)
    torch.testing.assert_close(gradients(value, [x]), gradients(want, [x]))
    with pytest.raises(ValueError, match="give a source that has them, a BlendedPool") as error:
        _ = View(NET, x).of_trained
    assert "\n" not in str(error.value)


@each(DIVERSITIES)
@pytest.mark.parametrize("ipc", [1, 2, 3, 8, 13])
def test_diversity_is_never_positive_and_zero_for_one_image(ipc, name):
    for seed in range(5):
        syn = random_view(2, ipc, seed)
        leaves = leaves_of(syn)
        value = getattr(objectives, name)(random_view(2, 3, 0), syn)
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
            syn, view_of(syn.net.ready._replace(embedding=syn.net.ready.embedding * by), 1)
        )
        for by in (0.5, 2.0)
    )
    assert float(far) < float(near) < 0


@pytest.mark.parametrize(("ipc", "alike"), [(2, True), (3, False), (10, True), (13, False), (20, False)])
def test_the_first_code_looks_at_two_neighbours_where_the_paper_looks_at_a_fifth(ipc, alike):
    views = random_view(2, 3, 0), random_view(2, ipc, 1)
    paper, first = (getattr(objectives, name)(*views) for name in DIVERSITIES)
    assert (float((paper - first).abs()) < 1e-12) == alike


def test_moments_of_mean_maps_see_what_all_images_share_and_others_each_image():
    """Maps that cancel: every image has spread, their mean has none."""
    x = torch.randn(1, 3, 4, 4, dtype=torch.float64)
    maps = torch.cat([x, -x])[:, None].expand(2, 3, 3, 4, 4)[:, 0]
    ready = Features(torch.zeros(2, 6).double(), torch.zeros(2, 2).double(), (maps,), (maps,))
    still = ready._replace(maps=(torch.zeros_like(maps),))
    views = view_of(ready, 1), view_of(still, 1)
    assert objectives.mean_map_moments(*views).item() == pytest.approx(0, abs=1e-12)
    assert objectives.style_moments(*views).item() > 0.1


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_gram_matrices_of_the_first_code_are_the_papers_times_four_over_the_layers(layers):
    views = []
    for seed in (1, 2):
        generator = torch.Generator().manual_seed(seed)
        maps = tuple(torch.randn(4, 3, 2, 2, generator=generator) for _ in range(layers))
        views.append(view_of(Features(torch.zeros(4, 6), torch.zeros(4, 2), maps, maps), 2))
    paper, first = objectives.gram_matrices(*views), objectives.mean_gram_matrices(*views)
    torch.testing.assert_close(first, 4 / layers * paper)


def test_the_centralisation_of_twice_as_many_images_is_twice_as_large():
    views = [view_of(Features(e, e), 1) for e in (torch.eye(4), torch.eye(4).repeat(2, 1))]
    once, twice = (objectives.class_centralisation(view, view).item() for view in views)
    assert (once, twice) == (pytest.approx(3.0), pytest.approx(6.0))


def test_a_real_class_with_repeated_images_spreads_in_no_further_directions():
    torch.manual_seed(3)
    net = ConvNet((3, 32, 32), 2).requires_grad_(False)
    view = View(net, torch.randn(3, 3, 32, 32)[torch.arange(12) % 3][None])
    assert objectives.principal_spread(view, view).item() == pytest.approx(0, abs=1e-3)


def test_attention_of_a_network_of_one_block_is_nothing_to_match():
    real, syn = random_view(2, 4, 1), random_view(2, 3, 2)
    real, syn = (view_of(v.net.ready._replace(maps=v.net.ready.maps[:1]), 2) for v in (real, syn))
    assert objectives.attention_matching(real, syn).item() == 0


def test_class_aware_regularisation_is_proportional_to_the_accuracy_in_percent():
    net, x, targets = ConvNet((2, 8, 8), 5, width=4), images(3, 4, 1).float(), torch.tensor([4, 1, 2])
    per_image = F.cross_entropy(net(x.flatten(0, 1)), targets.repeat_interleave(4), reduction="none")
    for accuracy in (0.0, 0.01, 0.5, 1.0):
        syn = View(net, x, targets, accuracy=torch.tensor(accuracy))
        got = objectives.class_aware_regularisation(View(net, x, targets), syn)
        torch.testing.assert_close(got, 100 * accuracy * per_image.sum().detach() / 4)


def test_class_aware_regularisation_says_what_gives_a_network_its_accuracy():
    view = View(NET, images(2, 3, 1))
    with pytest.raises(ValueError, match=r"^[^\n]*accuracy[^\n]*$"):
        objectives.class_aware_regularisation(view, view)


def test_a_single_class_leaves_nothing_to_tell_apart():
    real, syn = images(1, 4, 1), images(1, 3, 2)
    assert value_of("discrimination", real, syn).item() == pytest.approx(0, abs=1e-12)
    alone, contrasted = (value_of(name, real, syn) for name in GRADIENTS[:2])
    torch.testing.assert_close(alone, contrasted, rtol=1e-12, atol=0)


def test_the_linear_kernel_is_mean_matching_and_the_polynomial_sees_the_covariance_too():
    real, syn = random_view(2, 6, 1), random_view(2, 4, 2)
    torch.testing.assert_close(objectives.linear_mmd(real, syn), objectives.mean_matching(real, syn))
    e = syn.net.ready.embedding.unflatten(0, (2, 4))
    wider = view_of(syn.net.ready._replace(embedding=(2 * e - e.mean(1, keepdim=True)).flatten(0, 1)), 2)
    torch.testing.assert_close(objectives.linear_mmd(syn, wider), torch.zeros((), dtype=torch.float64))
    assert objectives.polynomial_mmd(syn, wider).item() > 0.1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_scaled_gaussians_grow_as_squared_distances_do_and_plain_ones_have_no_scale(scale):
    views = random_view(2, 6, 1, offset=0.3), random_view(2, 4, 2)
    larger = [view_of(v.net.ready._replace(embedding=v.net.ready.embedding * scale), 2) for v in views]
    for name, by in (("gaussian_mmd", 1.0), ("scaled_gaussian_mmd", scale**2)):
        value = getattr(objectives, name)
        torch.testing.assert_close(value(*larger), by * value(*views), rtol=1e-9, atol=0)


@pytest.mark.parametrize("shift", [0.03, 0.3, 1.0])
def test_gaussians_between_the_corners_of_a_simplex_and_the_same_corners_shifted(shift):
    """All squared distances are known: 2 between corners, and shift^2 more where one of the two is shifted."""
    m, gap = 20, shift**2
    x = torch.eye(m, m + 1, dtype=torch.float64)
    s = x + shift * F.one_hot(torch.tensor(m)).double()
    real, syn = (view_of(Features(e, e), 1) for e in (x, s))
    b = 2 * m * ((m - 1) * 2 + (m - 1) * (2 + gap) + gap) / (2 * m * (2 * m - 1))

    def kernel(d):
        return sum(math.exp(-d / (b * q)) for q in (1 / 4, 1 / 2, 1, 2, 4))

    mmd = 2 * (kernel(0) - kernel(gap) + (m - 1) * (kernel(2) - kernel(2 + gap))) / m
    assert objectives.gaussian_mmd(real, syn).item() == pytest.approx(mmd, rel=1e-9)
    scaled = objectives.scaled_gaussian_mmd(real, syn).item()
    slope = sum(2 / q * math.exp(-1 / q) for q in (1 / 4, 1 / 2, 1, 2, 4))
    assert scaled == pytest.approx(mmd * b / slope, rel=1e-9)


@pytest.mark.parametrize("shift", [0.01, 0.1])
def test_scaled_gaussians_of_many_images_at_one_distance_are_the_gap_of_the_means(shift):
    m = 1000
    x = torch.eye(m, m + 1, dtype=torch.float64)
    real, syn = (view_of(Features(e, e), 1) for e in (x, x + shift * F.one_hot(torch.tensor(m)).double()))
    want = objectives.mean_matching(real, syn).item()
    assert objectives.scaled_gaussian_mmd(real, syn).item() == pytest.approx(want, rel=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("statistic", [s for s in READ if s.together], ids=lambda s: s.tap)
def test_moments_of_all_blocks_together_are_those_of_each(statistic, dtype):
    blocks = [torch.rand(2, 3, c, side, side).to(dtype) for c, side in ((4, 8), (6, 2), (4, 1))]
    leaves = [[x.clone().requires_grad_() for x in blocks] for _ in range(2)]
    found = statistic.together(leaves[0]), tuple(statistic.mean(x) for x in leaves[1])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    for each in found:
        sum((x * torch.arange(1.0, x.numel() + 1).view_as(x)).sum() for x in each[:2]).backward()
    for one, other in zip(*(own[:2] for own in leaves), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("channels", [(4, 4, 4), (4, 6)])
def test_gaps_of_blocks_are_sums_of_squares_whatever_their_shapes(channels, averaged):
    real, syn = ([torch.rand(3, 2, c) for c in channels] for _ in range(2))
    squares = [(r - s) ** 2 for r, s in zip(real, syn, strict=True)]
    want = [(x.mean(-1) if averaged else x).sum() for x in squares]
    torch.testing.assert_close(block_gaps(real, syn, averaged=averaged), torch.stack(want))


def of_three_blocks():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ConvNet((2, 16, 16), 2, width=3, depth=3).double()


def of_chosen(name, blocks):
    """An objective of some blocks of a ConvNet of three, images of two classes."""
    net = of_three_blocks()
    objective = getattr(objectives, name)
    views = (View(net, images(2, 4, seed, (2, 16, 16)), None, statistics_of([objective])) for seed in (1, 2))
    return Term(objective, blocks=blocks).of(*views).item()


@pytest.mark.parametrize("name", ["attention_matching", "plain_attention_matching"])
def test_attention_of_chosen_blocks_leaves_out_the_networks_last_alone(name):
    one, two = of_chosen(name, 1), of_chosen(name, 2)
    assert min(one, two) > 0
    assert of_chosen(name, 13) == one
    assert [of_chosen(name, blocks) for blocks in (12, 21, 0)] == pytest.approx([one + two] * 3)
    with pytest.raises(ValueError, match="all blocks but the last: choose one before it, such as blocks=1"):
        of_chosen(name, 3)


def test_the_weight_of_cafes_last_layer_is_that_of_the_networks_last_block():
    one, two, three = (of_chosen("layer_matching", block) for block in (1, 2, 3))
    assert [of_chosen("layer_matching", blocks) for blocks in (0, 312)] == pytest.approx(
        [one + two + three] * 2
    )
    net = of_three_blocks()
    maps = [net.features(images(2, 4, seed, (2, 16, 16)).flatten(0, 1), {"maps"}).maps for seed in (1, 2)]
    means = [[each.unflatten(0, (2, 4)).mean(1) for each in own] for own in maps]
    gaps = [(a - b).square().sum().item() for a, b in zip(*means, strict=True)]
    assert [one, two, three] == pytest.approx([0.1 * gaps[0], 0.1 * gaps[1], gaps[2]])


@pytest.mark.parametrize("blocks", [11, 101, 10])
def test_a_block_counts_once(blocks):
    with pytest.raises(ValueError, match=f"blocks {blocks}: give digits from 1, each once, such as 13"):
        Term(objectives.attention_matching, blocks=blocks)


def test_gradients_of_convolutions_want_some():
    net = MLP((2, 8, 8), 2).double()
    real, syn = (View(net, images(2, 3, seed)) for seed in (1, 2))
    with pytest.raises(ValueError, match="gradients of convolutions are matched, and it has none"):
        objectives.gradient_distance(real, syn)
