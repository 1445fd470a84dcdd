import pytest
import torch
import torch.nn.functional as F
import torchvision.models
from noise import images

from cl_condense.networks.densenet import DenseNet
from cl_condense.networks.init import Initialiser

BLOCKS = (6, 12, 24, 16)


def size(net):
    return sum(p.numel() for p in net.parameters())


def counted(channels, classes, growth):
    """Parameters of the published network: convolutions without bias, norms with scale and shift."""
    width = 2 * growth
    total = channels * width * 9
    for i, layers in enumerate(BLOCKS):
        for _ in range(layers):
            total += 2 * width + width * 4 * growth  # norm, 1x1
            total += 2 * 4 * growth + 4 * growth * growth * 9  # norm, 3x3
            width += growth
        if i < 3:
            total += 2 * width + width * (width // 2)
            width //= 2
    return total + 2 * width + width * classes + classes


@pytest.mark.parametrize(("channels", "classes", "growth"), [(3, 10, 12), (3, 100, 12), (1, 7, 12), (3, 10, 4)])
def test_number_of_parameters_is_the_sum_over_the_layers(channels, classes, growth):
    assert size(DenseNet((channels, 32, 32), classes, growth=growth)) == counted(channels, classes, growth)


def test_number_of_parameters_is_that_of_the_authors_network_and_of_torchvisions_but_for_the_stem():
    with torch.device("meta"):
        assert size(DenseNet((3, 32, 32), 10)) == 1_000_618
        theirs = size(torchvision.models.densenet121(num_classes=10)) - (3 * 64 * 49 + 2 * 64) + 3 * 64 * 9
        assert size(DenseNet((3, 32, 32), 10, growth=32)) == theirs


def published(net, x):
    """The layers as IDC's code runs them, from the weights in their order; old channels before the new ones."""
    weights = iter(list(net.parameters()))

    def norm(x):
        return F.relu(F.batch_norm(x, None, None, next(weights), next(weights), training=True))

    x = F.conv2d(x, next(weights), padding=1)
    for i, layers in enumerate(BLOCKS):
        for _ in range(layers):
            y = F.conv2d(norm(x), next(weights))
            x = torch.cat([x, F.conv2d(norm(y), next(weights), padding=1)], 1)
        if i < 3:
            x = F.avg_pool2d(F.conv2d(norm(x), next(weights)), 2)
    embedding = F.avg_pool2d(norm(x), 4).flatten(1)
    return embedding, F.linear(embedding, next(weights), next(weights))


def test_outputs_and_gradient_equal_the_layers_written_out():
    net = DenseNet((3, 32, 32), 5, growth=4).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim == 1:
                p.add_(torch.randn(p.shape, generator=generator, dtype=p.dtype) * 0.3)
    x = images(3, 3, 32, 32).double().requires_grad_()
    f, (embedding, logits) = net.features(x), published(net, x)
    torch.testing.assert_close((f.embedding, f.logits), (embedding, logits), rtol=1e-9, atol=1e-11)
    grads = (torch.autograd.grad(y.sin().sum(), x) for y in (f.logits, logits))
    torch.testing.assert_close(*grads, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 128, 128)])
def test_the_embedding_is_as_wide_at_any_size(shape):
    with torch.device("meta"):
        f = DenseNet(shape, 10).features(torch.empty(2, *shape))
    assert (f.embedding.shape, f.logits.shape, f.maps, f.pooled) == ((2, 384), (2, 10), (), None)


def test_training_moves_the_running_statistics_and_evaluation_takes_them():
    net, x = DenseNet((3, 8, 8), 5, growth=2), images(4, 3, 8, 8)
    trained = net.train()(x)
    before = {name: b.clone() for name, b in net.named_buffers()}
    evaluated = net.eval()(x)
    assert not torch.allclose(trained, evaluated, atol=1e-3)
    torch.testing.assert_close(net(x[:1]), evaluated[:1])
    assert all(torch.equal(b, before[name]) for name, b in net.named_buffers())


def test_weights_have_torchs_distribution_and_depend_on_the_key_alone():
    nets = [DenseNet((3, 8, 8), 5, growth=2) for _ in range(2)]
    for net in nets:  # torchvision's are normal: above this bound
        assert all(m.weight.abs().max() <= m.weight[0].numel() ** -0.5 for m in net.modules() if is_conv(m))
        Initialiser(net)(3, 4)
    first, again = (net.state_dict() for net in nets)
    assert all(torch.equal(v, again[name]) for name, v in first.items())
    Initialiser(nets[0])(4, 3)
    assert not any(torch.equal(p, again[name]) for name, p in nets[0].named_parameters() if p.ndim > 1)


def is_conv(module):
    return isinstance(module, torch.nn.Conv2d)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: DenseNet((3, 7, 32), 5), "DenseNet.*7x32.*8x8 or more"),
        (lambda: DenseNet((3, 32, 32), 5, growth=0), "by 0"),
        (lambda: DenseNet((3, 8, 8), 5, growth=1).features(images(2, 3, 8, 8), {"maps"}), 'DenseNet.*"maps"'),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(make, named):
    with pytest.raises(ValueError, match=named) as error:
        make()
    assert "\n" not in str(error.value)
