"""Images stay where they lie: nothing copies a set, and what is taken is what a copy would give."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cl_condense.common.rng import Purpose
from cl_condense.data.ahead import Ahead, Batch, in_parts
from cl_condense.data.fingerprint import fingerprint
from cl_condense.data.imageset import ImageSet
from cl_condense.data.placing import lying, placed

LABELS = {"by class": [0, 0, 0, 1, 1, 2, 2, 2, 2], "mixed": [2, 0, 1, 2, 0, 2, 1, 0, 2]}
PIXELS = np.random.default_rng(0).integers(0, 256, (9, 3, 4, 5), dtype=np.uint8)


@pytest.fixture(params=["by class", "mixed", "mixed, channels last"])
def both(request, tmp_path):
    """A set whose images lie in a file, and the same in memory."""
    last = request.param.endswith("last")
    array = PIXELS.transpose(0, 2, 3, 1) if last else PIXELS
    np.save(tmp_path / "x.npy", array)
    there = np.load(tmp_path / "x.npy", mmap_mode="r")
    there = there.transpose(0, 3, 1, 2) if last else there
    labels = LABELS[request.param.split(",")[0]]
    return ImageSet.of(there, labels), ImageSet.of(PIXELS, labels)


def alike(one, other):
    assert (one.class_ids, one.counts, len(one)) == (other.class_ids, other.counts, len(other))
    assert (one.mean, one.std) == (other.mean, other.std)
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.take(one.every()), other.take(other.every()))
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.draw(3, 7), other.draw(3, 7))
    assert fingerprint(one) == fingerprint(other)


def test_a_file_is_mapped_and_gives_what_memory_gives(both):
    there, here = both
    alike(there, here)
    for classes in ([0, 2], [1], [1, 2]):
        alike(there.only(classes), here.only(classes))
    alike(there.only([0, 2]).only([2]), here.only([2]))
    alike(there.filled(5), here.filled(5))
    assert there[3][0].equal(here[3][0])
    assert there.picture().tobytes() == here.picture().tobytes()
    assert (lying(there), lying(here)) == ({"images_lay": "in a file"}, {"images_lay": "in memory"})


def test_no_part_of_a_set_is_a_copy(both):
    for real in both:
        whole = real.store.whole.untyped_storage().data_ptr()
        some = real.only([0, 2])
        for part in (some, some.only([2]), real.filled(5), real.to("cpu"), placed(real, "cpu")):
            assert part.store.whole.untyped_storage().data_ptr() == whole
        assert all(part.store.mapped == real.store.mapped for part in (real.only([0, 2]), real.to("cpu")))


def test_images_in_memory_are_copied_when_a_set_is_made():
    array = PIXELS.copy()
    real = ImageSet.of(array, LABELS["by class"])
    array[:] = 0
    assert torch.equal(real.images, torch.from_numpy(PIXELS))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_floats_of_a_file_are_looked_at_too(bad, tmp_path):
    values = np.linspace(-2, 3, PIXELS.size, dtype=np.float16).reshape(PIXELS.shape)
    np.save(tmp_path / "x.npy", values)
    real = ImageSet.of(np.load(tmp_path / "x.npy", mmap_mode="r"), LABELS["mixed"])
    alike_values = ImageSet.of(values, LABELS["mixed"])
    assert real.take(real.every()).equal(alike_values.take(real.every()))
    assert (real.mean, real.std) == (alike_values.mean, alike_values.std)
    values[4, 1, 2, 3] = bad
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(ValueError, match="image 4 has NaN or infinite pixels"):
        ImageSet.of(np.load(tmp_path / "x.npy", mmap_mode="r"), LABELS["mixed"])


def test_statistics_are_those_of_all_pixels():
    real = ImageSet.of(PIXELS, LABELS["mixed"])
    x = PIXELS.transpose(1, 0, 2, 3).reshape(3, -1) / 255
    np.testing.assert_allclose(real.mean, x.mean(1), rtol=1e-13)
    np.testing.assert_allclose(real.std, x.std(1, ddof=1), rtol=1e-13)
    assert ImageSet.of(np.full((1, 1, 1, 1), 7, np.uint8), [0]).std == (1e-3,)


def batch(real, number):
    return Batch(number, lambda: real.draw(2, Purpose.REAL_BATCH, 0, number))


@pytest.mark.parametrize("guess", [1, 5, None], ids=["right", "wrong", "none"])
def test_what_is_gathered_ahead_is_what_is_wanted(both, guess):
    there, here = both
    ahead = Ahead(there)
    for number in range(4):
        found = ahead.take(batch(there, number), lambda n=number: guess and batch(there, n + guess))
        assert found.equal(here.take(here.draw(2, Purpose.REAL_BATCH, 0, number)))
    assert torch.cat([*in_parts(there, there.every(), 4)]).equal(here.take(here.every()))


def test_what_goes_wrong_ahead_is_told_when_it_is_wanted(both):
    there, _ = both
    ahead = Ahead(there)
    far = Batch("far", torch.tensor([99]))
    ahead.take(batch(there, 0), lambda: far)
    ahead.take(batch(there, 1), lambda: far)  # not wanted after all
    with pytest.raises((IndexError, RuntimeError)):
        ahead.take(far, lambda: None)


def test_weights_follow_their_images(both):
    there, here = both
    real = replace(there, weights=torch.arange(9.0))
    assert real.only([0, 2]).weights.equal(replace(here, weights=torch.arange(9.0)).only([0, 2]).weights)
