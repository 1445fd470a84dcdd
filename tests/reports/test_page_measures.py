"""The numbers behind a report's figures, against loops over images."""

import pytest
import torch

from cl_condense.reports.html import probe, tsne
from cl_condense.reports.html.consistency import consistency_ratio
from cl_condense.reports.html.drift import style_drift, styles
from cl_condense.reports.html.probe import Probe

pytestmark = pytest.mark.usefixtures("small_probe")


def test_consistency_is_the_share_of_neighbours_of_the_class():
    generator = torch.Generator().manual_seed(0)
    syn, real = (torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (70, 90))
    targets, real_targets = torch.arange(70) % 3, torch.arange(90) % 3
    for rows in (None, torch.arange(70)):
        x = syn if rows is None else real[:70]
        shares = {1: [], 4: []}
        for i in range(70):
            far = [(float((x[i] - y).norm()), int(t)) for y, t in zip(real, real_targets, strict=True)]
            near = sorted(far)[0 if rows is None else 1 :]  # a real image's nearest is itself
            for k, found in shares.items():
                found.append(sum(t == targets[i] for _, t in near[:k]) / k)
        expected = [float(torch.tensor(found).double().mean()) for found in shares.values()]
        found = consistency_ratio(x, targets, real, real_targets, neighbours=(1, 4), rows=rows)
        assert found == pytest.approx(expected)
        assert consistency_ratio(x, targets, real, real_targets, neighbours=(500,), rows=rows)[0] < 0.5


def test_style_drift_is_that_of_a_loop_over_images(digits_pair):
    train, test = digits_pair
    looked = Probe(train, test, depth=2)
    real, syn = (train.take(train.draw(m, 1, m)) for m in (6, 3))
    found = style_drift(styles(looked, real), styles(looked, syn))
    for layer in range(2):
        gaps = []
        for c in range(10):
            sums = []
            for images in (real[c], syn[c]):
                kinds = [0.0, 0.0, 0.0]
                for image in images:
                    maps = looked.net.features(image[None], frozenset({"maps"})).maps[layer][0].double()
                    gram = torch.einsum("ahw,bhw->ab", maps, maps) / maps.numel()
                    own = maps.mean((1, 2)), maps.var((1, 2), correction=0).sqrt(), gram
                    kinds = [a + b / len(images) for a, b in zip(kinds, own, strict=True)]
                sums.append(kinds)
            gaps.append([float((s - r).norm() / r.norm()) for r, s in zip(*sums, strict=True)])
        expected = torch.tensor(gaps).mean(0).tolist()
        assert [kind[layer] for kind in found] == pytest.approx(expected, rel=1e-4)
    assert style_drift(styles(looked, real), styles(looked, real)) == [[0.0, 0.0]] * 3


def test_the_network_learns_and_sees_all_real_images_or_as_many_of_each_class(digits_pair, monkeypatch):
    monkeypatch.setattr(probe, "EPOCHS", 4)
    looked = Probe(*digits_pair, depth=2)
    assert looked.accuracy > 0.5
    embedded, targets = looked.seen
    assert embedded.shape == (1438, 16)
    assert torch.equal(targets, digits_pair[0].targets)
    monkeypatch.setattr(probe, "_SEEN", 100)
    few, targets = Probe(*digits_pair, depth=2).seen
    assert torch.equal(targets, torch.arange(10).repeat_interleave(10))
    assert all(bool((embedded - one).abs().amax(1).min() < 1e-4) for one in few)


def test_tsne_keeps_apart_what_is_apart_and_gives_the_same_twice():
    generator = torch.Generator().manual_seed(0)
    near, far = torch.randn(30, 4, generator=generator), torch.randn(40, 4, generator=generator) + 100
    first, second = tsne.tsne(near, far)
    assert first.shape == (30, 2)
    assert second.shape == (40, 2)
    within = max(first.std(), second.std())
    assert ((first.mean(0) - second.mean(0)) ** 2).sum() ** 0.5 > within
    assert (tsne.tsne(near, far)[0] == first).all()
