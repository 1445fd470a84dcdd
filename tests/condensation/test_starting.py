"""Going on from a set: more iterations, more images of a class, more classes, another method."""

from dataclasses import replace

import pytest
import torch

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.starting import started, with_kept
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet

NETWORK = MakeConvNet((1, 8, 8), width=8, depth=1)
CONSTANTS = (0.5,), (0.3,)


def real(*names, n=12, normalisation=CONSTANTS):
    """Random images that belong to a name, with labels in the order of the names."""
    parts = []
    for name in names:
        generator = torch.Generator().manual_seed(sum(map(ord, name)))
        parts.append(torch.randint(0, 256, (n, 1, 8, 8), dtype=torch.uint8, generator=generator))
    labels = torch.arange(len(names)).repeat_interleave(n)
    return ImageSet.of(torch.cat(parts), labels, names=names, normalisation=normalisation)


def made(data, method="dm", ipc=2, **options):
    return condense(data, method, **{"ipc": ipc, "network": NETWORK, "iterations": 2} | options)


def of(condensed, name):
    """The images of a class."""
    return condensed.only([condensed.class_ids[condensed.names.index(name)]])


def alike(one, other):
    return all(torch.equal(one.stored[key], other.stored[key]) for key in one.stored)


@pytest.mark.parametrize("method", ["dm", "m3d", "dsa", "idm"])
def test_images_that_stay_are_to_the_bit_what_they_were_and_new_ones_move(method):
    """Classes are known by their names, whether they depend on others or not; m3d cuts pixels off at black."""
    before, data = made(real("red", "green"), method, ipc=1), real("green", "new", "red")
    after = made(data, method, start=before, only_new=True)
    unmoved, _ = started(build(method), before, data, 2, 0, only_new=True)
    first = CondensedSet.of(data, unmoved.synthetic.start(data, 2, 0), {}, 0)
    assert (after.names, after.counts) == (data.names, (2, 2, 2))
    for name in before.names:
        one = of(after, name)
        assert alike(one.first({one.class_ids[0]: 1}), of(before, name))
        assert not alike(one.last({one.class_ids[0]: 1}), of(first, name).last({one.class_ids[0]: 1}))
    assert not alike(of(after, "new"), of(first, "new"))


def test_stored_bytes_stay_too_and_other_normalisations_look_the_same():
    data = real("red", "green")
    before = made(data, ipc=1).coded("uint8")
    after = with_kept(made(data, start=before, only_new=True).coded("uint8"), before, data)
    assert alike(after.first({0: 1, 1: 1}), before)
    other = real("red", "green", normalisation=((0.4,), (0.2,)))
    after = made(other, start=before, only_new=True)
    assert (after.mean, after.std) == ((0.4,), (0.2,))
    assert torch.equal(after.first({0: 1, 1: 1}).to_pixels(), before.to_pixels())


def test_what_is_new_starts_where_a_larger_set_would_have_and_is_made_without_the_rest():
    data = real("red", "green", "new")
    small, large = made(data.only([0, 1]), ipc=1), build("dm").synthetic.start(data, 3, 0)
    recipe, seed = started(build("dm"), small, data, 3, 0, only_new=True)
    start = recipe.synthetic.start(data, 3, 0)
    assert torch.equal(start[:2, :1].flatten(0, 1), small.pixels)
    assert torch.equal(start[:2, 1:], large[:2, 1:])
    assert torch.equal(start[2], large[2])
    after = made(data, ipc=3, start=small, only_new=True)
    alone = made(data.only([2]), replace(recipe, iterations=2), ipc=3, seed=seed)
    torch.testing.assert_close(of(after, "new").pixels, alone.pixels, rtol=1e-4, atol=1e-4)


def test_another_method_goes_on_in_the_storage_of_the_set():
    data = real("red", "green", n=20)
    before = made(data, "idm", ipc=1)
    after = made(data, "ddm", start=before, iterations=1)
    assert (after.factor, after.recipe["name"], after.recipe["synthetic"]["of"]) == (2, "ddm", "idm")
    assert after.counts == (2, 2)
    assert not alike(after.first({0: 1, 1: 1}), before)


def test_random_numbers_are_new_each_time_it_goes_on():
    data, seeds, now = real("red", "green"), [], None
    for _ in range(3):
        now = made(data, start=now)
        seeds.append(now.seed)
    assert len({*seeds}) == 3
    assert now.recipe["synthetic"]["done"] == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": real("red", "blue")}, "the set has class 'green', of which the data have no images"),
        ({"ipc": 1}, "the set has 2 images of class 0, not 1: give as many"),
        ({"only_new": True}, "the set has 2 of every class: give more images per class"),
        ({"method": "random"}, "random does not go on from a set: leave start out"),
        ({"start": None, "only_new": True}, "only_new without a set to start from"),
        ({"start": "set.safetensors"}, "start 'set.safetensors': give a CondensedSet"),
        ({"only_new": 1}, "only_new 1: give True or False"),
    ],
)
def test_a_set_that_does_not_go_on_gets_a_line(change, said):
    data = real("red", "green")
    given = {"data": data, "method": "dm", "start": made(data), "ipc": 2, "network": NETWORK, **change}
    with pytest.raises(ValueError, match=":") as error:
        condense(given.pop("data"), given.pop("method"), **given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
