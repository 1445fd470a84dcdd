"""Sets in which the first k images of each class are good for every k."""

from collections import Counter

import pytest
import torch
from memories import mean_distance

from cl_condense.common.rng import Purpose
from cl_condense.condensation.multisize import prefix
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.training.augment import DSA

NETWORK = MakeConvNet((1, 8, 8), width=8, depth=1)
FEW = {"network": NETWORK, "seed": 3, "iterations": 4, "real_per_class": 6}


KINDS = ["ddm", "iid@epochs=1,size=2", "m3d", "dcc", "idc", "datadam", "dance@epochs=1,size=2"]


def problem(n=9):
    """Random images around a random picture of each class."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(3, 1, 1, 8, 8, generator=generator)
    images = pictures + torch.randn(3, n, 1, 8, 8, generator=generator)
    return ImageSet.of(images.flatten(0, 1), torch.tensor([2, 3, 11]).repeat_interleave(n))


def made(method, ipc=4, **options):
    return condense(problem(), method, ipc=ipc, **{**FEW, **options}).pixels


@pytest.mark.parametrize("method", ["dm", "idm"])
def test_with_the_full_size_alone_it_is_the_ordinary_method_to_the_bit(method):
    assert torch.equal(made(method), made(f"{method}@multisize=0"))
    assert torch.equal(made(method, ipc=1), made(f"{method}@multisize=0.5", ipc=1))
    assert not torch.equal(made(method), made(f"{method}@multisize=0.5"))
    assert "multisize" not in build("dm").settings()
    assert build("dm@multisize=0.5").settings()["multisize"] == 0.5


def test_it_is_its_plain_loop():
    """Class by class, on the first images of each, as many in an iteration as are drawn; one step for all."""
    real, seed, ipc, share = problem(), 3, 4, 0.75
    syn = real.take(real.draw(ipc, Purpose.START, seed)).requires_grad_()
    optimizer, dsa = torch.optim.SGD([syn], lr=1.0, momentum=0.5), DSA("color_crop_cutout_flip_scale_rotate")
    sizes = [prefix(share, ipc, seed, iteration) for iteration in range(10)]
    assert {*sizes} == {1, 2, 3, 4}
    for iteration, size in enumerate(sizes):
        net, loss = NETWORK(3), torch.tensor(0.0)
        Initialiser(net)(seed, iteration)
        for i, c in enumerate(real.class_ids):
            index = real.draw(6, Purpose.REAL_BATCH, seed, iteration)[i]
            warp = dsa.draw([c], seed, iteration)
            with torch.no_grad():
                target = net.features(dsa(real.take(index)[None], warp)[0]).embedding.mean(0)
            seen = net.features(dsa(syn[i : i + 1, :size], warp)[0]).embedding.mean(0)
            loss = loss + torch.sum((target - seen) ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = made("dm", iterations=10, multisize=share)
    torch.testing.assert_close(found, syn.detach().flatten(0, 1), rtol=1e-4, atol=1e-4)


def test_each_number_of_first_images_comes_as_often():
    found = Counter(prefix(0.5, 5, 7, iteration) for iteration in range(4000))
    assert abs(found.pop(5) - 2000) < 150
    assert {*found} == {1, 2, 3, 4}
    assert all(abs(n - 500) < 100 for n in found.values())


@pytest.mark.parametrize(
    "method", ["ddm", "iid@epochs=1,size=2", "m3d", "dcc", "idc", "datadam", "dance@epochs=1,size=2"]
)
def test_every_kind_of_method_looks_at_one_image(method):
    few = {"network": NETWORK, "seed": 3, "iterations": 2, "multisize": 0.99}
    assert bool(condense(problem(), method, ipc=3, **few).pixels.isfinite().all())


def test_a_first_image_stands_for_its_class_better_than_one_of_a_set():
    real, far = problem(n=40), {}
    for share in (0.0, 0.5):
        whole = condense(real, "dm", ipc=4, network=NETWORK, iterations=40, multisize=share)
        for n in (1, 4):
            some = whole.first(dict.fromkeys(real.class_ids, n))
            pairs = ((real.only([c]).images, some.only([c]).pixels) for c in real.class_ids)
            far[share, n] = sum(mean_distance(*pair) for pair in pairs)
    assert far[0.5, 1] < 0.8 * far[0.0, 1]
    assert far[0.5, 4] < 2 * far[0.0, 4]
