"""CutMix of whole batches against a loop over rows, images and pixels."""

import math

import pytest
import torch
from reference import mixed_with

from cl_condense.common.rng import Purpose, permutation, uniform

SHAPES = [(3, 4, 2, 8, 8), (2, 5, 1, 9, 14), (4, 1, 3, 7, 3), (1, 6, 3, 32, 32)]


def images(r, m, c, h, w, dtype=torch.float64):
    """No two pixels are equal."""
    return torch.arange(r * m * c * h * w, dtype=dtype).view(r, m, c, h, w)


def plain(row, i, probability, *keys):
    """Of one row: mixed images as nested lists, partners, share."""
    m, _, h, w = row.shape
    coin, lam, *centre = (float(uniform(Purpose.MIX, *keys, 1, torch.tensor(i), k)) for k in range(4))
    partner = permutation(m, Purpose.MIX, *keys, 0, torch.tensor([i])).tolist()
    own, out, changed = row.tolist(), row.tolist(), 0
    if coin >= probability:
        return out, partner, 1.0
    at = [int(u * size) for u, size in zip(centre, (h, w), strict=True)]
    half = [int(size * math.sqrt(1 - lam)) // 2 for size in (h, w)]
    (top, left), (bottom, right) = zip(
        *((max(c - s, 0), min(c + s, n)) for c, s, n in zip(at, half, (h, w), strict=True)), strict=True
    )
    for y in range(top, bottom):
        for x in range(left, right):
            changed += 1
            for k, other in enumerate(partner):
                for plane, source in zip(out[k], own[other], strict=True):
                    plane[y][x] = source[y][x]
    return out, partner, 1 - changed / (h * w)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_matches_the_plain_loop(shape, probability):
    x = images(*shape)
    for key in range(12):
        mixed, partner, share = mixed_with(x, probability, key, 3)
        assert (mixed.dtype, partner.dtype, share.dtype) == (x.dtype, torch.int64, x.dtype)
        for i, row in enumerate(x):
            want, order, own = plain(row, i, probability, key, 3)
            assert mixed[i].tolist() == want
            assert partner[i].tolist() == order
            assert float(share[i]) == pytest.approx(own, abs=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_share_is_that_of_pixels_outside_one_box_inside_of_which_is_the_partner(dtype):
    r, m, h, w = 300, 4, 10, 6
    x = images(r, m, 2, h, w, dtype=dtype)
    before = x.clone()
    mixed, partner, share = mixed_with(x, 1.0, 5)
    assert torch.equal(x, before)
    assert torch.equal(partner.sort(1).values, torch.arange(m).expand(r, m))
    other = partner != torch.arange(m)
    boxes = 0
    for i in range(r):
        if not other[i].any():
            continue
        changed = (mixed[i] != x[i])[other[i]]
        box = changed[0, 0]
        assert (changed == box).all()  # the same for all images and channels
        assert torch.equal(box, box.any(1)[:, None] & box.any(0))
        assert all(int(side.int().diff().abs().sum()) <= 2 for side in (box.any(0), box.any(1)))
        assert torch.equal(mixed[i][..., box], x[i][partner[i]][..., box])
        assert torch.equal(mixed[i][..., ~box], x[i][..., ~box])
        assert float(share[i]) == pytest.approx(1 - int(box.sum()) / (h * w), abs=1e-6)
        boxes += bool(box.any())
    assert boxes > 200


def test_no_row_is_mixed_with_probability_zero_and_every_one_with_one():
    x = images(2000, 2, 1, 16, 16, dtype=torch.float32)
    mixed, _, share = mixed_with(x, 0.0, 1)
    assert torch.equal(mixed, x)
    assert torch.equal(share, torch.ones(2000))
    everything = mixed_with(x, 1.0, 1)[2]
    # Half of the whole side is 0 where sqrt(1 - lambda) < 2 / 16: in a 64th of the draws.
    assert float((everything < 1).float().mean()) == pytest.approx(1 - 1 / 64, abs=0.015)
    half = mixed_with(x, 0.5, 1)[2]
    assert torch.equal(half[half < 1], everything[half < 1])
    assert 0.44 < float((half < 1).float().mean()) < 0.55


def expected_share(*sides):
    """Mean over lambda and the centre, which is exact but for a sum over lambda in 100 000 parts."""
    total, parts = 0.0, 100_000
    cut = [[sum(min(c + s, n) - max(c - s, 0) for c in range(n)) / n**2 for s in range(n)] for n in sides]
    for k in range(parts):
        ratio = math.sqrt((k + 0.5) / parts)
        total += math.prod(of[int(n * ratio) // 2] for of, n in zip(cut, sides, strict=True))
    return 1 - total / parts


@pytest.mark.parametrize("sides", [(32, 32), (9, 14)])
def test_the_share_is_distributed_as_the_paper_says(sides):
    n = 20_000
    share = mixed_with(torch.zeros(n, 1, 1, *sides), 1.0, 7)[2]
    # Standard deviation of a number in [0, 1]: at most a half.
    assert abs(float(share.mean()) - expected_share(*sides)) < 5 * 0.5 / math.sqrt(n)
    # Without borders the share would be lambda, of mean a half; they leave more of an image, and rounding too.
    assert 0.65 < float(share.mean()) < 0.75
    assert float(share.max()) == 1
    largest = math.prod((n - 1) // 2 * 2 for n in sides)
    assert float(share.min()) == pytest.approx(1 - largest / math.prod(sides), abs=1e-6)


def test_a_box_reaches_every_pixel_and_the_middle_most_often():
    x = torch.arange(2.0).view(1, 2, 1, 1, 1).expand(4000, 2, 1, 8, 8)
    mixed, partner, _ = mixed_with(x, 1.0, 2)
    swapped = mixed[partner[:, 0] == 1][:, 0, 0].mean(0)
    assert float(swapped.min()) > 0.05
    assert float(swapped[3:5, 3:5].mean()) > float(swapped[[0, 0, 7, 7], [0, 7, 0, 7]].mean()) + 0.1


def test_keys_and_the_number_of_a_row_alone_decide_what_it_draws():
    x = images(6, 5, 2, 8, 8)
    first, again, other = (mixed_with(x, 0.7, *keys) for keys in ((3, 1), (3, 1), (1, 3)))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[1], other[1])
    assert not torch.equal(first[2], other[2])
    for got, want in zip(mixed_with(x[:4], 0.7, 3, 1), first, strict=True):
        assert torch.equal(got, want[:4])
    changed = x.clone()
    changed[[0, 2, 3, 4, 5]] += 1000
    assert all(torch.equal(a[1], b[1]) for a, b in zip(mixed_with(changed, 0.7, 3, 1), first, strict=True))
    assert len({tuple(row) for row in first[1].tolist()}) > 3
    assert len(set(first[2].tolist())) > 3


def test_stays_on_the_device_and_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    # A meta tensor has no values: to look at one is an error.
    mixed, partner, share = mixed_with(images(3, 4, 2, 8, 8).to("meta"), 0.5, 1)
    assert {v.device.type for v in (mixed, partner, share)} == {"meta"}
    mixed_with(images(3, 4, 2, 8, 8), 0.5, 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_gradients_reach_an_image_through_its_partners():
    x = images(2, 3, 1, 6, 6).requires_grad_()
    weight = images(2, 3, 1, 6, 6).cos()
    mixed, partner, share = mixed_with(x, 1.0, 4)
    assert not share.requires_grad
    (grad,) = torch.autograd.grad((mixed * weight).sum(), x)
    for i in range(2):
        box = (mixed[i] == x[i][partner[i]]).all(0)[0]
        want = torch.where(box, torch.zeros_like(grad[i]), weight[i])
        for k in range(3):
            want[partner[i, k]] += torch.where(box, weight[i, k], torch.zeros_like(grad[i, k]))
        torch.testing.assert_close(grad[i], want)


def test_rows_with_keys_and_numbers_of_their_own_draw_as_they_would_alone():
    x, keys, numbers = images(4, 5, 2, 8, 8), [7, 7, 2**62, 3], [0, 1, 0, 4]
    own = [torch.tensor(column)[:, None] for column in (keys, numbers)]
    together = mixed_with(x, 0.7, own[0], 6, rows=own[1])
    for i in range(4):
        alone = mixed_with(x[[i] * (numbers[i] + 1)], 0.7, keys[i], 6)
        assert all(torch.equal(a[i], b[numbers[i]]) for a, b in zip(together, alone, strict=True))
