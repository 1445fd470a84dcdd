"""Memories and experiences for them, without Avalanche."""

import torch

from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.training.augment import DSA

NETWORK = MakeConvNet((1, 8, 8), width=8)
METHODS = ["random", "dm"]


def class_memory(max_size=None, *, method="random", **options):
    return ClassMemory(max_size, method=method, **{"network": NETWORK, "iterations": 2} | options)


def random_images(*classes, n=12, seed=0):
    """n random images ``[n, 1, 8, 8]`` for each class, or of (class, n) pairs, and their labels."""
    pairs = [c if isinstance(c, tuple) else (c, n) for c in classes]
    labels = torch.cat([torch.full((n,), c) for c, n in pairs])
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(labels), 1, 8, 8, generator=generator), labels


def noise(*classes, **options):
    """The same as a set."""
    return ImageSet.of(*random_images(*classes, **options))


def pixels_of(*classes, **options):
    """Such a set of uint8 pixels, in one normalisation."""
    images, labels = random_images(*classes, **options)
    pixels = (images * 40 + 128).clamp(0, 255).to(torch.uint8)
    return ImageSet.of(pixels, labels, normalisation=((0.5,), (0.2,)))


def counts(condensed):
    return dict(zip(condensed.class_ids, condensed.counts, strict=True))


def equal(a, b):
    """Whether two condensed sets are the same to the bit."""
    assert counts(a) == counts(b)
    assert a.stored.keys() == b.stored.keys()
    assert all(torch.equal(a.stored[name], b.stored[name]) for name in a.stored)


def mean_distance(a, b):
    """Squared distance of two sets' mean embeddings, over networks that condensation has not seen."""
    nets = RandomNets().start(SourceContext(ImageSet.of(a, [0] * len(a)), NETWORK, DSA(), 999))
    means = [torch.stack([nets.at(i).net.features(x).embedding.mean(0) for i in range(10)]) for x in (a, b)]
    return float((means[0] - means[1]).square().sum())


def message(error):
    assert "\n" not in str(error.value)
    return str(error.value)
