import numpy as np
import pytest
import torch

from cl_condense.data import imageset
from cl_condense.data.imageset import ImageSet


def numbered(counts, classes=None, size=2):
    """Images in a mixed order: the first pixel counts within the class, the last is the label."""
    rows = [(i, c) for c, n in zip(classes or range(len(counts)), counts, strict=True) for i in range(n)]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    images = torch.zeros(len(rows), 1, size, size, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.tensor([i for i, _ in rows])
    images[:, 0, -1, -1] = torch.tensor([c for _, c in rows])
    return images, torch.tensor([c for _, c in rows])


def of_counts(counts, classes=None, **options):
    return ImageSet.of(*numbered(counts, classes), normalisation=([0.0], [1.0]), **options)


def test_images_are_sorted_by_class_and_keep_their_order_within():
    images, labels = numbered([90, 80, 70], [7, 1, 30])
    real = ImageSet.of(images, labels, names=[f"n{i}" for i in range(31)])
    assert (real.class_ids, real.counts, real.names) == ((1, 7, 30), (80, 90, 70), ("n1", "n7", "n30"))
    assert real.labels.tolist() == [1] * 80 + [7] * 90 + [30] * 70
    expected = torch.cat([images[labels == c] for c in (1, 7, 30)])
    assert torch.equal(real.images, expected)
    assert (len(real), real.shape, real.device) == (240, (1, 2, 2), torch.device("cpu"))


@pytest.mark.parametrize("convert", [torch.as_tensor, np.asarray, lambda x: x.tolist()])
def test_labels_may_be_a_tensor_an_array_or_a_list(convert):
    images, labels = numbered([2, 2])
    real = ImageSet.of(images.numpy(), convert(labels), weights=torch.arange(4.0))
    assert torch.equal(real.images, ImageSet.of(images, labels).images)
    assert real.weights.tolist() == torch.arange(4.0)[labels.argsort(stable=True)].tolist()


def test_uint8_images_are_normalised_by_their_own_statistics_or_by_given_ones():
    images = torch.randint(0, 256, (6, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    real = ImageSet.of(images, [0] * 6)
    x = real.take(torch.arange(6))
    assert x.dtype == torch.float32
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std((0, 2, 3)), torch.ones(3), atol=1e-5, rtol=0)
    given = ImageSet.of(images, [0] * 6, normalisation=([0.1, 0.2, 0.3], [0.5, 0.25, 2.0]))
    y = given.take(torch.tensor([[4, 1]]))
    assert y.shape == (1, 2, 3, 4, 5)
    for image, index in ((0, 4), (1, 1)):
        for c, (mean, std) in enumerate(((0.1, 0.5), (0.2, 0.25), (0.3, 2.0))):
            want = (images[index, c].double() / 255 - mean) / std
            torch.testing.assert_close(y[0, image, c].double(), want, atol=1e-5, rtol=1e-5)


def test_float_images_keep_their_values_and_span_black_to_white():
    images = torch.tensor([-2.0, 0.5, 1.0, 6.0]).view(2, 1, 1, 2)
    for dtype in (torch.float16, torch.float32, torch.float64):
        real = ImageSet.of(images.to(dtype), [1, 0])
        assert real.images.dtype == torch.float32
        assert torch.equal(real.take(torch.tensor([1, 0])), images)
        shown = real.take(torch.arange(2)) * torch.tensor(real.std) + torch.tensor(real.mean)
        assert (float(shown.min()), float(shown.max())) == pytest.approx((0, 1), abs=1e-6)


GOOD = torch.zeros(3, 1, 2, 2)
SPOILT = GOOD.clone()
SPOILT[1, 0, 1, 1] = float("nan")
ENDLESS = GOOD.clone()
ENDLESS[2] = float("inf")


@pytest.mark.parametrize(
    ("images", "labels", "options", "named"),
    [
        (GOOD[0], [0], {}, r"shape \(1, 2, 2\)"),
        (GOOD[:0], [], {}, r"shape \(0, 1, 2, 2\)"),
        (GOOD.int(), [0, 1, 2], {}, r"torch.int32"),
        (GOOD, [0, 1], {}, r"\(2,\) labels for 3 images"),
        (GOOD, [[0], [1], [2]], {}, r"\(3, 1\) labels"),
        (GOOD, [0, -4, 1], {}, r"label -4"),
        (SPOILT, [2, 1, 0], {}, r"image 1 has NaN"),
        (ENDLESS, [2, 1, 0], {}, r"image 2 has"),
        (GOOD, [0, 1, 3], {"names": ["a", "b", "c"]}, r"label 3 has no name: 3 "),
        (GOOD, [0, 1, 2], {"normalisation": ([0.1, 0.2], [1.0, 1.0])}, r"\[0.1, 0.2\].* 1 channel"),
        (GOOD, [0, 1, 2], {"normalisation": ([0.1], [0.0])}, r"\[0.0\]"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(images, labels, options, named):
    with pytest.raises(ValueError, match=named) as error:
        ImageSet.of(images, labels, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("weights", [[1.0] * 2, [1.0] * 4, [1.0, -2.0, 1.0], [1.0, float("nan"), 1.0]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="weight"):
        ImageSet.of(GOOD, [0, 1, 2], weights=torch.tensor(weights))


def test_weights_follow_the_images_to_their_device():
    images, labels = numbered([2, 2])
    real = ImageSet.of(images.to("meta"), labels, normalisation=([0.0], [1.0]), weights=torch.ones(4))
    assert real.weights.device == real.device


def test_only_keeps_some_classes_with_everything_that_belongs_to_them():
    real = of_counts([2, 3, 1, 2], [1, 4, 5, 9], names=list("abcdefghij"), weights=torch.arange(8.0))
    part = real.only([9, 4])
    keep = torch.isin(real.labels, torch.tensor([4, 9]))
    assert (part.class_ids, part.counts, part.names) == ((4, 9), (3, 2), ("e", "j"))
    assert part.labels.tolist() == [4, 4, 4, 9, 9]
    assert torch.equal(part.images, real.images[keep])
    assert torch.equal(part.weights, real.weights[keep])
    assert (part.mean, part.std) == (real.mean, real.std)
    with pytest.raises(ValueError, match="no images of class 2: the set has classes 1, 4, 5, 9"):
        real.only([4, 2])


def test_to_keeps_the_set():
    real = of_counts([2, 3], [3, 6], names=list("abcdefg"), weights=torch.arange(5.0))
    moved = real.to("meta")
    assert {moved.device.type, moved.weights.device.type, moved.draw(2, 1).device.type} == {"meta"}
    assert (moved.class_ids, moved.counts, moved.names, len(moved)) == ((3, 6), (2, 3), ("d", "g"), 5)
    assert torch.equal(real.to("cpu").images, real.images)


@pytest.mark.parametrize("m", [1, 3, 5, 7, 12, 23])
def test_draws_stay_within_the_class_and_repeat_as_little_as_possible(m):
    counts = [5, 1, 7, 12]
    real = of_counts(counts, [0, 3, 4, 8])
    for key in range(5):
        index = real.draw(m, 1, key)
        assert index.shape == (4, m)
        assert real.labels[index].tolist() == [[c] * m for c in (0, 3, 4, 8)]
        for row, n in zip(index, counts, strict=True):
            times = torch.bincount(row, minlength=len(real))
            times = times[times > 0].tolist() + [0] * (n - int((times > 0).sum()))
            assert set(times) <= {m // n, -(-m // n)}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("m", [2, 6])
def test_the_draw_of_a_class_does_not_depend_on_the_other_classes(m, weighted):
    weights = torch.rand(16, generator=torch.Generator().manual_seed(0)) if weighted else None
    real = of_counts([3, 9, 4], [2, 5, 6], weights=weights)
    index = real.draw(m, 1, 2)
    for row, c in enumerate(real.class_ids):
        alone = real.only([c])
        assert torch.equal(alone.images[alone.draw(m, 1, 2)[0]], real.images[index[row]])
    assert torch.equal(real.draw(m, 1, 2, rows=slice(1, 3)), index[1:3])
    assert torch.equal(real.draw(m, 1, 2, rows=slice(0, 1)), index[:1])
    for keys in ((2, 1), (1, 3), (1,)):
        assert not torch.equal(real.draw(m, *keys), index)


def test_classes_of_one_size_get_draws_of_their_own():
    within = of_counts([20, 20]).draw(10, 0) - torch.tensor([[0], [20]])
    assert not torch.equal(within[0], within[1])


def test_every_image_and_every_pair_is_drawn_equally_often():
    real = of_counts([6, 3])
    times = torch.zeros(9, 9)
    for key in range(3000):
        first, second = real.draw(2, key)[0].tolist()
        times[first, second] += 1
    pairs = times[:6, :6]
    assert float(pairs.diagonal().sum()) == float(times[6:].sum()) == 0
    off = pairs[~torch.eye(6, dtype=torch.bool)]
    assert float((off - 100).abs().max()) < 5 * 10


def test_weighted_draws_are_in_proportion_and_skip_images_of_no_weight():
    weights = torch.tensor([1.0, 0.0, 3.0, 4.0, 0.0, 5.0, 5.0, 0.0])
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1])
    real = ImageSet.of(torch.zeros(8, 1, 1, 1), labels, weights=weights)
    n = 8000
    index = real.draw(n, 3)
    times = torch.stack([torch.bincount(row, minlength=8) for row in index]).double() / n
    expected = torch.tensor([[1, 0, 3, 4, 0, 0, 0, 0], [0, 0, 0, 0, 0, 4, 4, 0]]) / 8
    assert bool((times[expected == 0] == 0).all())
    torch.testing.assert_close(times, expected.double(), atol=0.03, rtol=0)


@pytest.mark.parametrize("distinct", [False, True])
def test_a_weighted_draw_takes_each_image_as_often_as_its_share(distinct):
    weights = torch.tensor([8.0, 4.0, 2.0, 1.0, 1.0])
    real = ImageSet.of(torch.zeros(5, 1, 1, 1), [0] * 5, weights=weights)
    for key in range(20):
        times = torch.bincount(real.draw(4, key, distinct=distinct)[0], minlength=5).tolist()
        if distinct:
            assert max(times) == 1
            assert times[0] == 1, "more than its share of one draw is certain"
        else:
            assert times[:2] == [2, 1]
            assert sum(times[2:]) == 1


def test_a_weighted_draw_of_exactly_zero_skips_images_of_no_weight(monkeypatch):
    monkeypatch.setattr(imageset, "unit", lambda bits: torch.zeros(1, 1))
    real = ImageSet.of(torch.zeros(3, 1, 1, 1), [0, 0, 0], weights=torch.tensor([0.0, 2.0, 1.0]))
    assert all(0 not in real.draw(2, key) for key in range(20))


def test_targets_are_the_positions_of_the_classes():
    real = of_counts([2, 3, 1], [4, 9, 30])
    assert real.targets.tolist() == [0, 0, 1, 1, 1, 2]
    assert real.targets.dtype == torch.int64
    assert torch.equal(torch.tensor(real.class_ids)[real.targets], real.labels)
    assert real.only([9, 30]).targets.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("m", [1, 2, 10, 22, 23, 100])
def test_a_sample_has_images_of_the_set_with_the_positions_of_their_classes(m, weighted):
    weights = torch.rand(22, generator=torch.Generator().manual_seed(0)) if weighted else None
    real = of_counts([5, 1, 16], [0, 3, 8], weights=weights)
    for key in range(20):
        index, position = real.sample(m, 1, key)
        assert index.shape == position.shape == (m,)
        assert index.dtype == position.dtype == torch.int64
        assert 0 <= int(index.min()) <= int(index.max()) < 22
        assert torch.equal(torch.tensor(real.class_ids)[position], real.labels[index])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("m", [1, 4, 7, 20, 60, 333])
def test_every_class_comes_in_a_sample_as_often_as_its_share_says(m, weighted):
    counts = [3, 20, 10, 7]
    weights = torch.arange(1.0, 41.0) if weighted else None
    real = of_counts(counts, weights=weights)
    mass = (real.weights if weighted else torch.ones(40)).split(counts)
    share = m * torch.tensor([float(part.sum()) for part in mass]) / sum(float(part.sum()) for part in mass)
    keys, mean = 300, torch.zeros(4)
    for key in range(keys):
        times = torch.bincount(real.sample(m, key)[1], minlength=4)
        # The first and the last class share a part of the set with one other, those between with two.
        assert bool(((times - share).abs() < torch.tensor([1, 2, 2, 1])).all())
        mean += times / keys
    assert float((mean - share).abs().max()) < 5 * (0.5 / keys) ** 0.5


def test_classes_that_fill_whole_parts_come_exactly_as_often_as_their_share():
    real = of_counts([10, 30, 20])
    for key in range(20):
        assert torch.bincount(real.sample(12, key)[1]).tolist() == [2, 6, 4]


def test_a_sample_that_is_larger_than_the_set_repeats_its_images_evenly():
    real = of_counts([4, 6])
    for key in range(20):
        assert torch.bincount(real.sample(30, key)[0]).tolist() == [3] * 10


def test_every_image_is_sampled_equally_often_and_with_any_other_of_another_part():
    real, times = of_counts([4, 2]), torch.zeros(6, 6)
    for key in range(1800):
        first, second = real.sample(2, key)[0].tolist()
        times[first, second] += 1
    assert float(times[3:].sum() + times[:, :3].sum()) == 0
    assert float((times[:3, 3:] - 200).abs().max()) < 5 * 14


@pytest.mark.parametrize("m", [3, 40])
def test_the_keys_alone_decide_a_sample(m):
    real = of_counts([30, 50, 20])
    torch.manual_seed(1)
    before, first = torch.get_rng_state(), real.sample(m, 1, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(real.sample(m, 1, 2)[0], first[0])
    assert not any(torch.equal(real.sample(m, *keys)[0], first[0]) for keys in ((2, 1), (1, 3), (1,)))


def test_weighted_samples_are_in_proportion_and_skip_images_of_no_weight():
    weights = torch.tensor([1.0, 0.0, 3.0, 4.0, 0.0, 5.0, 3.0, 0.0])
    real = ImageSet.of(torch.zeros(8, 1, 1, 1), [0, 0, 0, 0, 0, 1, 1, 1], weights=weights)
    times = torch.bincount(real.sample(1600, 3)[0], minlength=8)
    assert bool((times[weights == 0] == 0).all())
    assert float((times - 100 * weights).abs().max()) < 2


@pytest.mark.parametrize("u", [0.0, 1 - 2**-24])
@pytest.mark.parametrize("m", [1, 2, 2560])
def test_the_least_and_the_largest_number_draw_no_image_of_no_weight(monkeypatch, m, u):
    monkeypatch.setattr(imageset, "uniform", lambda *keys: torch.full((m,), u))
    real = ImageSet.of(torch.zeros(4, 1, 1, 1), [0, 0, 1, 1], weights=torch.tensor([0.0, 2.0, 1.0, 0.0]))
    index, _ = real.sample(m, 0)
    assert set(index.tolist()) <= {1, 2}
    parts = ImageSet.of(torch.zeros(m, 1, 1, 1), [0] * m)
    assert parts.sample(m, 0)[0].tolist() == list(range(m)), "one of each part"
