"""Classes that come back: every image of the stream is as likely to be in the memory as any other."""

import pickle
from collections import Counter
from dataclasses import replace

import pytest
import torch
from memories import class_memory, noise

from cl_condense.data.imageset import ImageSet
from cl_condense.memory import class_memory as class_memory_module
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet

START = replace(build("dm"), iterations=1, lr=1e-12, augment=replace(build("dm").augment, strategy="none"))
"""DM, but its images stay what they start as."""

MOSAIC = replace(START, synthetic=build("idm").synthetic)


LOOKS = (1, 2, 3, 5, 10, 20)
"""After so many experiences the memory is looked at."""


def numbered(number, n=5, side=8):
    """An experience of n images of class 3 whose pixels are its number."""
    return ImageSet.of(torch.full((n, 1, side, side), float(number)), [3] * n)


def kept(method, sizes, seeds, budget=20, looks=None):
    """How many images of each experience are in the memory after so many experiences, over all seeds."""
    found = {look: Counter() for look in looks or [len(sizes)]}
    for seed in range(seeds):
        memory = class_memory(
            budget, method=method, seed=seed, network=MakeConvNet((1, 8, 8), width=1, depth=1)
        )
        for number, size in enumerate(sizes):
            memory.update(numbered(number, size))
            if number + 1 in found:
                shown = memory.condensed.decode()[0][:, 0, 4, 4]
                found[number + 1].update(shown.round().int().tolist())
    return {look: [counts[number] for number in range(look)] for look, counts in found.items()}


def within_4_errors(found, shares):
    total = sum(found)
    for count, share in zip(found, shares, strict=True):
        error = (total * share * (1 - share)) ** 0.5  # of independent draws; those without replacement err less
        assert abs(count - total * share) <= 4 * error + 1e-9, (found, share)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["random", START], ids=["random", "start"])
def test_every_experience_is_kept_alike(method):
    """400 images at each look; did images of the memory count as one each, late experiences would prevail."""
    for look, found in kept(method, [40] * 20, seeds=10, budget=40, looks=LOOKS).items():
        assert sum(found) == 400
        within_4_errors(found, [1 / look] * look)
        assert min(found) > 2, "of 20 or more: by chance once in two million"


def test_the_images_of_mosaics_are_drawn_alike():
    (found,) = kept(MOSAIC, [48] * 6, seeds=15, budget=8).values()
    assert sum(found) == 15 * 8 * 4
    within_4_errors(found, [1 / 6] * 6)


def test_experiences_count_by_their_images():
    sizes = [20, 160, 40, 100, 320]
    (found,) = kept("random", sizes, seeds=30).values()
    within_4_errors(found, [n / sum(sizes) for n in sizes])


@pytest.mark.parametrize("way", ["pickle", "file"])
def test_the_number_of_the_experience_survives(tmp_path, way):
    whole = class_memory(5, seed=3)
    resumed = class_memory(5, seed=3)
    for number in range(10):
        whole.update(numbered(number))
        if way == "pickle":
            resumed = pickle.loads(pickle.dumps(resumed))
        elif number:
            resumed.save(tmp_path / "memory.safetensors")
            resumed = class_memory(5, seed=3)
            resumed.load(tmp_path / "memory.safetensors")
        resumed.update(numbered(number))
        assert torch.equal(whole.condensed.pixels, resumed.condensed.pixels)
        assert resumed.experiences == whole.experiences == number + 1


def test_an_experience_that_fails_does_not_count():
    memory = class_memory(5)
    memory.update(noise(0))
    with pytest.raises(ValueError, match="cannot hold"):
        memory.update(noise(*range(1, 9)))
    assert memory.experiences == 1


def test_memories_of_before_are_refused_by_name(tmp_path):
    memory = class_memory(5)
    memory.update(noise(0))
    path = tmp_path / "memory.safetensors"
    memory.condensed.save(path, seen=[[0, 12]], format=[False, True])
    with pytest.raises(ValueError, match="all experiences drew the same random numbers") as error:
        class_memory(5).load(path)
    assert str(path) in str(error.value)


def test_every_experience_has_a_seed_of_its_own(monkeypatch):
    seeds, made = [], class_memory_module.condense

    def watched(*args, seed, **options):
        seeds.append(seed)
        return made(*args, seed=seed, **options)

    monkeypatch.setattr(class_memory_module, "condense", watched)
    memory = class_memory(5)
    for number in range(4):
        memory.update(numbered(number))
    assert len(set(seeds)) == len(seeds) == 4


def test_recondensing_draws_anew_at_every_experience():
    """The same images shrunk to the same size twice start from other ones."""
    seen = []
    memory = class_memory(12, method=START)
    memory.update(noise(0, n=12))
    for c in (1, 2):
        memory.update(noise(c, n=12))
        seen.append(memory.condensed.only([0]).pixels)
    first, second = (x[:, 0, 0, 0].tolist() for x in seen)
    assert second != first[: len(second)]


def test_classes_are_filled_up_by_their_own_images():
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 1, 4, 4).contiguous()
    real = ImageSet.of(images, [0, 0, 1, 1, 1], normalisation=((0.0,), (1.0,)))
    full = real.filled(5)
    assert full.counts == (5, 5)
    assert full.images[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0, 2, 3, 4, 2, 3]
    assert real.filled(2) is real
