"""What a view computes, when it does, and what is differentiable: features and gradients of weights."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cl_condense.condensation import objectives
from cl_condense.condensation.view import Statistic, View, reading, statistics_of
from cl_condense.networks.contract import Features
from cl_condense.networks.convnet import ConvNet
from cl_condense.networks.resnet import ResNet

READ = Statistic("maps", lambda x: x.mean(1)), Statistic("convs", lambda x: x.float().amax((3, 4)).mean(1))
SHAPE = (3, 16, 16)


def convnet():
    torch.manual_seed(0)
    return ConvNet(SHAPE, 5, width=4).double()


def resnet():
    torch.manual_seed(1)
    return ResNet(SHAPE, 5, width=2, blocks=(1, 1, 1, 1)).double()


every_net = pytest.mark.parametrize("make", [convnet, resnet])


def images(k, m, seed=0):
    return torch.randn(k, m, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients_by_class(net, x, targets, create_graph=False):
    """One backward pass a class: a list over weights of ``[k, *shape]``."""
    weights = [p for p in net.parameters() if p.ndim > 1]
    rows = []
    for pictures, target in zip(x, targets, strict=True):
        loss = F.cross_entropy(net(pictures), torch.full((len(pictures),), int(target)))
        rows.append(torch.autograd.grad(loss, weights, create_graph=create_graph))
    return [torch.stack(each) for each in zip(*rows, strict=True)]


class Watched(nn.Module):
    """Notes what is asked of it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 3, 2)
        self.asked = []

    def features(self, x, taps=frozenset()):
        self.asked.append(("features", taps, tuple(x.shape)))
        return Features(x.flatten(1), self.layer(x).flatten(1), (x, x), (x,))

    def forward(self, x):
        self.asked.append(("forward",))
        return self.layer(x).flatten(1)


def test_everything_is_class_major():
    net, x = convnet(), images(3, 4)
    view, plain = View(net, x, statistics=READ), net.features(x.flatten(0, 1), frozenset({"maps", "convs"}))
    assert view.classes == 3
    assert view.embedding.shape == (3, 4, 64)
    assert view.logits.shape == (3, 4, 5)
    assert view.pooled.shape == (3, 4, 4, 4, 4)
    assert [x.shape for x in view.blocks(READ[0])] == [(3, 4, 16, 16), (3, 4, 8, 8)]
    assert [x.shape for x in view.blocks(READ[1])] == [(3, 4), (3, 4)]
    for c in range(3):
        torch.testing.assert_close(view.embedding[c], plain.embedding[4 * c : 4 * c + 4], rtol=1e-12, atol=0)
        torch.testing.assert_close(view.logits[c], net(x[c]), rtol=1e-9, atol=1e-12)
    assert view.targets.tolist() == [0, 1, 2]
    for got, maps in zip(view.blocks(READ[0]), plain.maps, strict=True):
        torch.testing.assert_close(got, maps.unflatten(0, (3, 4)).mean(1), rtol=1e-12, atol=0)


@every_net
def test_weight_gradients_are_of_every_weight_but_biases_and_norms_in_the_order_of_the_network(make):
    net = make()
    shapes = [(2, *p.shape) for p in net.parameters() if p.ndim > 1]
    assert len(shapes) == 1 + (2 if make is convnet else 1 + 4 * 2 + 3)
    assert [tuple(g.shape) for g in View(net, images(2, 3)).weight_gradients] == shapes
    assert all(p.grad is None for p in net.parameters())


@every_net
@pytest.mark.parametrize(("k", "m"), [(3, 2), (3, 12), (2, 40), (1, 1)])  # a CPU takes 32 images at a time
def test_weight_gradients_are_those_of_one_class_after_another(make, k, m):
    net, x, targets = make(), images(k, m), torch.tensor([4, 1, 3])[:k]
    got = View(net.requires_grad_(False), x, targets).weight_gradients
    want = gradients_by_class(net.requires_grad_(), x, targets)
    torch.testing.assert_close(list(got), want, rtol=1e-8, atol=1e-11)
    assert min(float(g.abs().max()) for g in got) > 1e-4


@every_net
@pytest.mark.parametrize("trainable", [False, True])
def test_weight_gradients_are_differentiable_in_synthetic_images(make, trainable):
    net, targets = make(), torch.tensor([2, 0])
    x, generator = images(2, 3).requires_grad_(), torch.Generator().manual_seed(1)
    want = gradients_by_class(net, x, targets, create_graph=True)
    along = [torch.randn(g.shape, generator=generator, dtype=torch.float64) for g in want]
    got = View(net.requires_grad_(trainable), x, targets).weight_gradients
    found = [
        torch.autograd.grad(sum((a * g).sum() for a, g in zip(along, each, strict=True)), x)[0]
        for each in (got, want)
    ]
    torch.testing.assert_close(*found, rtol=1e-8, atol=1e-10)
    assert float(found[0].abs().amax((2, 3, 4)).min()) > 1e-4  # every image
    sum(g.square().sum() for g in View(net, x, targets).weight_gradients).backward()
    assert all(p.grad is None for p in net.parameters())


def test_targets_are_the_logits_of_the_classes():
    net, x = convnet(), images(2, 3)
    default, same, other = (
        View(net, x, targets).weight_gradients[-1] for targets in (None, torch.arange(2), torch.tensor([0, 3]))
    )
    assert torch.equal(default, same)
    assert torch.equal(default[0], other[0])
    # A classifier's gradient falls in the row of the class alone, for embeddings that are not negative.
    assert [int(row) for row in (other.sum(2) < 0).long().argmax(1)] == [0, 3]
    assert (other.sum(2) < 0).sum(1).tolist() == [1, 1]


@every_net
def test_real_images_leave_no_graph_though_the_network_is_trained(make):
    net = make()
    real, syn = View(net, images(2, 3)), View(net, images(2, 3).requires_grad_())
    for view, differentiable in ((real, False), (syn, True)):
        looks = view.embedding, view.logits, *view.weight_gradients
        assert {x.requires_grad for x in looks} == {differentiable}


def test_a_view_is_as_differentiable_as_it_was_where_it_was_made():
    net, x = convnet(), images(2, 3).requires_grad_()
    view = View(net, x)
    with torch.no_grad():
        within = View(net, x)
        looks = view.embedding, *view.weight_gradients
    assert all(x.requires_grad for x in looks)
    assert not any(x.requires_grad for x in (within.embedding, *within.weight_gradients))
    assert torch.is_grad_enabled()


def test_nothing_is_computed_before_it_is_looked_at_and_nothing_twice():
    net = Watched()
    view = View(net, torch.randn(3, 2, 1, 2, 2), statistics=READ[:1])
    assert view.classes == 3
    assert net.asked == []
    assert (view.embedding.shape, view.logits.shape) == ((3, 2, 4), (3, 2, 3))
    assert net.asked == [("features", frozenset({"maps"}), (6, 1, 2, 2))]
    first = view.weight_gradients
    assert net.asked[1:] == [("features", frozenset(), (2, 1, 2, 2))] * 3
    count = len(net.asked)
    assert view.weight_gradients is first
    assert view.embedding is view.embedding
    with pytest.raises(ValueError, match="not made with"):
        view.blocks(READ[1])
    assert len(net.asked) == count


TRAIN = ("trajectory_matching", "unrolled_classification")  # the network, whose outputs come after that


@pytest.mark.parametrize("name", [name for name in objectives.__all__ if name not in ("Objective", *TRAIN)])
def test_objectives_look_at_features_or_at_gradients_and_not_at_both(name):
    net = Watched()
    objective, accuracy = getattr(objectives, name), torch.tensor(0.5)
    read = statistics_of([objective])
    trained = {"trained": net} if name.startswith("trained") else {}
    views = [View(net, torch.randn(2, 3, 1, 2, 2), None, read, accuracy, **trained) for _ in range(2)]
    objective(*views)
    views = [view.of_trained if trained else view for view in views]
    computed = {each for view in views for each in ("_seen", "weight_gradients") if each in vars(view)}
    assert computed == {"weight_gradients" if "gradient" in name else "_seen"}


class Counting(ConvNet):
    """Counts the images of each forward pass."""

    def features(self, x, taps=frozenset()):
        self.seen = [*getattr(self, "seen", []), len(x)]
        return super().features(x, taps)


@pytest.mark.parametrize("differentiable", [False, True])
@pytest.mark.parametrize(("k", "m", "parts"), [(2, 19, [10, 9] * 2), (5, 5, [15, 10]), (3, 16, [16] * 3)])
def test_many_images_go_through_in_parts_and_give_what_they_give_together(differentiable, k, m, parts):
    net = Counting((3, 32, 32), 4, width=8).requires_grad_(False)
    images = torch.randn(k, m, 3, 32, 32).requires_grad_(differentiable)
    view = View(net, images, statistics=READ)
    got = view.embedding, view.logits, view.pooled, *view.blocks(READ[0]), *view.blocks(READ[1])
    assert net.seen == parts
    f = ConvNet.features(net, images.flatten(0, 1), frozenset({"maps", "convs"}))
    tapped = [(READ[0], x) for x in f.maps] + [(READ[1], x) for x in f.convs]
    blocks = [statistic.mean(x.unflatten(0, (k, m))) for statistic, x in tapped]
    want = *(x.unflatten(0, (k, m)) for x in (f.embedding, f.logits, f.pooled)), *blocks
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    if differentiable:
        losses = [sum(x.square().sum() for x in each) for each in (got, want)]
        gradients = [torch.autograd.grad(loss, images)[0] for loss in losses]
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("m", "parts"), [(40, [20] * 4), (65, [22] * 6), (32, [32] * 2)])
def test_weight_gradients_of_many_images_are_those_of_parts_of_one_size(m, parts):
    net = Counting((3, 32, 32), 4, width=8).double().requires_grad_(False)
    x = torch.randn(2, m, 3, 32, 32, dtype=torch.float64)
    got = View(net, x).weight_gradients
    assert net.seen == parts
    want = gradients_by_class(net.requires_grad_(), x, torch.arange(2))
    torch.testing.assert_close(list(got), want, rtol=1e-8, atol=1e-11)


def test_a_frozen_network_is_frozen_after_its_weight_gradients_and_another_is_not():
    for trainable in (False, True):
        net = convnet().requires_grad_(trainable)
        net.classifier.bias.requires_grad_(False)
        _ = View(net, images(2, 3)).weight_gradients
        assert {p.requires_grad for p in net.convs.parameters()} == {trainable}
        assert not net.classifier.bias.requires_grad


def test_weight_gradients_of_real_images_have_the_precision_of_the_networks_and_synthetic_ones_float32():
    net = ConvNet((3, 32, 32), 4, width=32).requires_grad_(False)
    x = torch.randn(2, 40, 3, 32, 32)
    full, reduced = (View(net, x, precision=p).weight_gradients for p in ("float32", "bfloat16"))
    for a, b in zip(full, reduced, strict=True):
        assert b.dtype == torch.float32
        assert 0 < (a - b).norm() < 0.15 * a.norm()
    x.requires_grad_()
    full, same = (View(net, x, precision=p).weight_gradients for p in ("float32", "bfloat16"))
    assert all(map(torch.equal, full, same))


@every_net
def test_the_loss_under_other_weights_has_the_value_and_the_gradient_of_one_pass(make):
    net, x, targets = make().requires_grad_(False), images(3, 4), torch.tensor([4, 1, 3])
    before = {name: p.clone() for name, p in net.state_dict().items()}
    found = []
    for of_view in (True, False):
        torch.manual_seed(2)
        weights = {name: (p + 0.1 * torch.randn_like(p)).requires_grad_() for name, p in net.named_parameters()}
        if of_view:
            loss = View(net, x, targets).loss_under(weights)
        else:
            logits = torch.func.functional_call(net, weights, (x.flatten(0, 1),))
            each = F.cross_entropy(logits, targets.repeat_interleave(4), reduction="none")
            loss = each.view(3, 4).mean(1).sum()
        found.append([loss, *torch.autograd.grad(loss, [*weights.values()])])
    torch.testing.assert_close(*found, rtol=1e-8, atol=1e-10)
    assert all(torch.equal(p, before[name]) for name, p in net.state_dict().items())
    assert not any(p.requires_grad for p in net.parameters())


def test_images_that_depend_on_one_another_stay_together():
    net = Counting((3, 32, 32), 4, width=8, norm="batch").requires_grad_(False)
    assert View(net, torch.randn(2, 35, 3, 32, 32)).embedding.shape[:2] == (2, 35)
    assert net.seen == [70]


def test_an_objective_says_what_it_reads_and_each_is_read_once():
    @reading(*READ)
    def both(real, syn):
        return None

    @reading(READ[1])
    def one(real, syn):
        return None

    assert statistics_of([one, both, lambda real, syn: None]) == (READ[1], READ[0])


def test_reduced_precision_gives_float32_near_the_full_one():
    net = ConvNet((3, 32, 32), 4, width=32).requires_grad_(False)
    read = statistics_of(getattr(objectives, name) for name in objectives.__all__)
    images = torch.randn(2, 20, 3, 32, 32)
    full, reduced = (View(net, images, statistics=read, precision=p) for p in ("float32", "bfloat16"))
    pairs = [(full.embedding, reduced.embedding), (full.logits, reduced.logits)]
    for statistic in read:
        pairs += zip(full.blocks(statistic), reduced.blocks(statistic), strict=True)
    for x, y in pairs:
        assert y.dtype == torch.float32
        assert 0 < (x - y).norm() < 0.03 * x.norm()
