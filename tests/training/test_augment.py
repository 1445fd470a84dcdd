"""The batched operations against a plain transcription, image by image and pixel by pixel."""

import math
import re
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cl_condense.training import augment, warping
from cl_condense.training.augment import DSA, Warp

GROUPS = ("color", "crop", "cutout", "flip", "scale", "rotate")
MIXED = ("rotate", "crop", "color", "cutout", "crop", "flip", "scale", "color", "flip", "cutout")
EVERY = DSA(every=True)
SHAPES = [(3, 8, 8), (1, 28, 28), (3, 32, 32), (3, 12, 8), (2, 9, 14)]


def plain_color(img, u):
    c, h, w = len(img), len(img[0]), len(img[0][0])
    at = [(i, j) for i in range(h) for j in range(w)]
    img = [[[v + (u[0] - 0.5) * 1.0 for v in row] for row in plane] for plane in img]
    for i, j in at:
        m = sum(img[k][i][j] for k in range(c)) / c
        for k in range(c):
            img[k][i][j] = (img[k][i][j] - m) * (u[1] * 2.0) + m
    m = sum(img[k][i][j] for k in range(c) for i, j in at) / (c * h * w)
    return [[[(v - m) * (u[2] + 0.5) + m for v in row] for row in plane] for plane in img]


def plain_crop(img, u):
    h, w = len(img[0]), len(img[0][0])
    shift = [int(n * 0.125 + 0.5) for n in (h, w)]
    ty, tx = (int(u[i] * (2 * shift[i] + 1)) - shift[i] for i in (0, 1))
    inside = [[0 <= i + ty < h and 0 <= j + tx < w for j in range(w)] for i in range(h)]
    return [[[p[i + ty][j + tx] if inside[i][j] else 0.0 for j in range(w)] for i in range(h)] for p in img]


def plain_cutout(img, u):
    h, w = len(img[0]), len(img[0][0])
    hole = set()
    size = [int(n * 0.5 + 0.5) for n in (h, w)]
    oy, ox = (int(u[i] * (n + (1 - size[i] % 2))) for i, n in enumerate((h, w)))
    for a in range(size[0]):
        for b in range(size[1]):
            i, j = a + oy - size[0] // 2, b + ox - size[1] // 2
            hole.add((min(max(i, 0), h - 1), min(max(j, 0), w - 1)))
    return [[[0.0 if (i, j) in hole else p[i][j] for j in range(w)] for i in range(h)] for p in img]


def plain_flip(img, u):
    return [[row[::-1] for row in p] for p in img] if u[0] < 0.5 else img


def bilinear(img, theta):
    h, w = len(img[0]), len(img[0][0])
    out = [[[0.0] * w for _ in range(h)] for _ in img]
    for i in range(h):
        for j in range(w):
            x, y = (2 * j + 1) / w - 1, (2 * i + 1) / h - 1
            px = ((theta[0][0] * x + theta[0][1] * y + 1) * w - 1) / 2
            py = ((theta[1][0] * x + theta[1][1] * y + 1) * h - 1) / 2
            left, top = math.floor(px), math.floor(py)
            for b, a in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
                if 0 <= a < h and 0 <= b < w:
                    weight = (1 - abs(px - b)) * (1 - abs(py - a))
                    for k, plane in enumerate(img):
                        out[k][i][j] += weight * plane[a][b]
    return out


def plain_scale(img, u):
    sx, sy = (1 / 1.2 + v * (1.2 - 1 / 1.2) for v in u[:2])
    return bilinear(img, [[sx, 0.0], [0.0, sy]])


def plain_rotate(img, u):
    a = (u[0] - 0.5) * 2 * 15 / 180 * math.pi
    return bilinear(img, [[math.cos(a), math.sin(-a)], [math.sin(a), math.cos(a)]])


PLAIN = dict(
    zip(GROUPS, (plain_color, plain_crop, plain_cutout, plain_flip, plain_scale, plain_rotate), strict=True)
)


def images(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def warp_of(groups, *keys, images=None):
    return Warp(tuple(groups), DSA().draw(range(len(groups)), *keys, images=images).u)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_matches_the_plain_operations(shape, per_image):
    m = 2
    x = images(len(MIXED), m, *shape)
    warp = warp_of(MIXED, *shape, images=m if per_image else None)
    got = DSA()(x, warp)
    assert got.shape == x.shape
    for row, group in enumerate(MIXED):
        for i in range(m):
            u = warp.u[row, i if per_image else 0].tolist()
            want = torch.tensor(PLAIN[group](x[row, i].tolist(), u), dtype=torch.float64)
            torch.testing.assert_close(
                got[row, i], want, rtol=0, atol=1e-12, msg=lambda s, g=group: f"{g}: {s}"
            )


@pytest.mark.parametrize("group", GROUPS)
def test_rows_of_one_group_and_float32(group):
    x = images(3, 4, 3, 16, 16)
    warp = warp_of([group] * 3, 5)
    together = DSA()(x, warp)
    alone = [DSA()(x[i : i + 1], Warp((group,), warp.u[i : i + 1])) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-14)
    single = DSA()(x.float(), warp)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [8, 28, 32, 64, 96, 224])
def test_crop_copies_pixels_exactly_in_float32(size):
    s = int(size * 0.125 + 0.5)
    u = (torch.arange(2 * s + 1) + 0.5) / (2 * s + 1)
    warp = Warp(("crop",) * len(u), torch.stack([u, u.flip(0), u], dim=-1)[:, None])
    x = images(1, 1, 1, size, size, dtype=torch.float32).expand(len(u), 1, 1, size, size)
    got = DSA()(x, warp)
    padded = torch.nn.functional.pad(x[0, 0, 0], (s, s, s, s))
    for i in range(2 * s + 1):
        assert torch.equal(got[i, 0, 0], padded[i : i + size, 2 * s - i : 2 * s - i + size])


@pytest.mark.parametrize("group", GROUPS)
def test_real_and_synthetic_images_of_a_row_share_parameters(group):
    one = images(3, 1, 3, 16, 16)
    warp = warp_of([group] * 3, 1)
    real, syn = (DSA()(one.expand(-1, m, -1, -1, -1), warp) for m in (7, 2))
    for m in range(7):
        torch.testing.assert_close(real[:, m], syn[:, m % 2], rtol=0, atol=1e-14)
    own = DSA()(one.expand(-1, 7, -1, -1, -1), warp_of([group] * 3, 1, images=7))
    torch.testing.assert_close(own[:, :1], syn[:, :1], rtol=0, atol=1e-14)
    assert not torch.allclose(own, own[:, :1])


def test_draw_of_a_row_does_not_depend_on_the_others():
    for m in (None, 5):
        all_rows = DSA().draw(range(40), 3, 8, images=m)
        some = DSA().draw([17, 2, 39], 3, 8, images=m)
        assert some.u.shape == (3, m or 1, 3)
        assert some.u.dtype == torch.float32
        assert torch.equal(some.u, all_rows.u[[17, 2, 39]])
        assert some.groups == tuple(all_rows.groups[i] for i in (17, 2, 39))
        assert len(set(all_rows.u[:, 0, 0].tolist())) == 40
    assert torch.equal(DSA().draw([6], 3, images=4).u, DSA().draw([6], 3, images=9).u[:, :4])
    again, other = (DSA().draw(range(40), *keys, images=5) for keys in ((3, 8), (3, 9)))
    assert torch.equal(again.u, all_rows.u)
    assert again.groups == all_rows.groups
    assert not (other.u == all_rows.u).any()
    assert other.groups != all_rows.groups


@pytest.fixture(scope="module")
def drawn():
    """For each group the rows of 24 000 that drew it, as a warp."""
    warp = DSA().draw(range(24_000), 11, 4)
    rows = {g: [i for i, drew in enumerate(warp.groups) if drew == g] for g in GROUPS}
    return {g: Warp((g,) * len(at), warp.u[at]) for g, at in rows.items()}


def apply_to(image, warp):
    n = len(warp.groups)
    return DSA()(image.expand(n, 1, *image.shape), warp)[:, 0]


def assert_uniform(values, low, high):
    """Of about 4000 values: inside, close to both ends, and each tenth of the range as full as the others."""
    span = high - low
    assert low - 1e-9 <= float(values.min()) < low + 0.003 * span
    assert high - 0.003 * span < float(values.max()) <= high + 1e-9
    assert_even(torch.histc((values - low) / span, 10, 0, 1))


def assert_even(counts):
    """Each count within five standard deviations of the mean count."""
    n, p = float(counts.sum()), 1 / len(counts)
    assert float((counts - n * p).abs().max()) < 5 * math.sqrt(n * p * (1 - p))


def test_groups_are_equally_likely(drawn):
    assert_even(torch.tensor([float(len(drawn[g].groups)) for g in GROUPS]))
    subset = DSA("crop_flip").draw(range(1000), 2).groups
    assert_even(torch.tensor([float(subset.count("crop")), float(subset.count("flip"))]))


def test_crop_takes_every_shift_up_to_an_eighth(drawn):
    spot = torch.zeros(1, 32, 32)
    spot[0, 16, 15] = 1
    _, _, i, j = apply_to(spot, drawn["crop"]).nonzero().unbind(1)
    shifts = torch.stack([16 - i, 15 - j])
    for axis in shifts:
        assert sorted(set(axis.tolist())) == list(range(-4, 5))
        assert_even(torch.bincount(axis + 4).float())
    assert len({tuple(t) for t in shifts.T.tolist()}) == 81


def test_cutout_takes_every_centre_and_both_borders(drawn):
    kept = apply_to(torch.ones(1, 32, 32), drawn["cutout"])[:, 0]
    want = {(max(0, o - 8), min(31, o + 7)) for o in range(33)}
    for axis in (1, 2):
        gone = (kept == 0).any(axis)
        first, last = gone.int().argmax(1), 31 - gone.flip(1).int().argmax(1)
        assert set(zip(first.tolist(), last.tolist(), strict=True)) == want
        inner = (first > 0) & (last < 31)
        assert_even(torch.bincount(first[inner])[1:].float())
        assert int((last == 7).sum()) == pytest.approx(len(kept) / 33, rel=0.3)
        assert int((first == 24).sum()) == pytest.approx(len(kept) / 33, rel=0.3)


def test_flip_is_a_fair_coin(drawn):
    got = apply_to(torch.tensor([[[1.0, 2.0]]]), drawn["flip"])[:, 0, 0]
    assert {tuple(v) for v in got.tolist()} == {(1.0, 2.0), (2.0, 1.0)}
    assert_even(torch.bincount(got[:, 0].long())[1:].float())
    never, always = (DSA(prob_flip=p)(torch.arange(4.0).view(1, 1, 1, 1, 4), warp_of(["flip"])) for p in (0, 1))
    assert never.flatten().tolist() == [0, 1, 2, 3]
    assert always.flatten().tolist() == [3, 2, 1, 0]


def coordinates(n):
    at = (2 * torch.arange(n, dtype=torch.float64) + 1) / n - 1
    return torch.stack([at.expand(n, n), at[:, None].expand(n, n)])


def test_scale_range(drawn):
    got = apply_to(coordinates(32), drawn["scale"])[:, :, 20, 18]
    sx, sy = got[:, 0] / (5 / 32), got[:, 1] / (9 / 32)
    for s in (sx, sy):
        assert_uniform(s, 1 / 1.2, 1.2)
    assert abs(float(torch.corrcoef(torch.stack([sx, sy]))[0, 1])) < 0.08


def test_rotate_range(drawn):
    got = apply_to(coordinates(32), drawn["rotate"])[:, :, 16, 20]
    turned = torch.atan2(got[:, 1], got[:, 0]) - math.atan2(1 / 32, 9 / 32)
    assert_uniform(turned * 180 / math.pi, -15, 15)


def test_color_ranges(drawn):
    grey, hue = torch.tensor([1.0, -1.0]).double(), torch.tensor([1.0, 0.0, -1.0]).double()
    got = apply_to((grey + hue[:, None])[:, None], drawn["color"])[:, :, 0]
    means = got.mean(1)
    contrast = (means[:, 0] - means[:, 1]) / 2
    saturation = (got[:, 0, 0] - got[:, 2, 0]) / 2 / contrast
    for values, low, high in ((means.mean(1), -0.5, 0.5), (saturation, 0, 2), (contrast, 0.5, 1.5)):
        assert_uniform(values, low, high)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("groups", [*((g, g) for g in GROUPS), MIXED[:7]], ids=[*GROUPS, "mixed"])
def test_gradients(groups, per_image):
    x = images(len(groups), 2, 2, 5, 4).requires_grad_()
    warp = warp_of(groups, 7, images=2 if per_image else None)
    # Of rows of several kinds in one direction: each kind alone is looked at value by value.
    assert torch.autograd.gradcheck(lambda x: DSA()(x, warp), x, fast_mode=len(set(groups)) > 1)
    assert torch.autograd.grad(DSA()(x, warp).square().sum(), x)[0].abs().sum() > 0
    with torch.no_grad():
        assert torch.equal(DSA()(x, warp), DSA()(x.detach(), warp))


@pytest.mark.parametrize("groups", [*((g,) * 3 for g in GROUPS), MIXED], ids=[*GROUPS, "mixed"])
def test_leaves_its_input_and_the_global_generator_alone(groups):
    x = images(len(groups), 3, 3, 12, 12, dtype=torch.float32)
    before, state = x.clone(), torch.get_rng_state()
    warp = warp_of(groups, 1)
    numbers = warp.u.clone()
    first = DSA()(x, warp)
    kept = first.clone()
    assert not torch.equal(first, x)
    assert torch.equal(DSA()(x, warp_of(groups, 1)), kept)
    assert torch.equal(x, before)
    assert torch.equal(warp.u, numbers)
    assert torch.equal(torch.get_rng_state(), state)
    first.zero_()
    assert torch.equal(x, before)


class Operations(TorchDispatchMode):
    """Counts them by name."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))

    def __enter__(self):
        self.found = Counter()
        super().__enter__()
        return self.found


def test_each_kind_of_operation_runs_once_and_equal_groups_are_not_copied():
    x, mixed, alike = images(len(MIXED), 2, 3, 8, 8), warp_of(MIXED), warp_of(["scale"] * len(MIXED))
    for warp in (mixed, alike):
        DSA()(x, warp)
    with Operations() as found:
        DSA()(x, mixed)
    assert (found["grid_sampler_2d"], found["addcmul"], found["stack"]) == (2, 1, 2)
    assert found.total() - sum(found[view] for view in ("split_with_sizes", "unbind", "view", "unsqueeze")) < 25
    with Operations() as found:
        DSA()(x, alike)
    assert (found["grid_sampler_2d"], found["stack"]) == (1, 0)


def test_what_a_draw_comes_to_is_worked_out_once_for_all_images_of_a_kind(monkeypatch):
    calls = []
    monkeypatch.setattr(augment, "settle", lambda *args: calls.append(args) or warping.settle(*args))
    warp = warp_of(MIXED)
    for x in (images(len(MIXED), m, 3, 8, 8) for m in (2, 3)):
        assert torch.equal(DSA()(x, warp), DSA()(x, warp_of(MIXED)))
    assert len(calls) == 1 + 2
    for other in (images(len(MIXED), 2, 3, 8, 9), images(len(MIXED), 2, 3, 8, 8, dtype=torch.float32)):
        assert torch.equal(DSA()(other, warp), DSA()(other, warp_of(MIXED)))
    x = images(len(MIXED), 2, 3, 8, 8)
    assert not torch.equal(DSA(ratio_rotate=90.0)(x, warp), DSA()(x, warp))


def test_draws_are_those_of_earlier_records():
    warp = DSA().draw([0, 1, 5], 3, 8, images=2)
    assert warp.groups == ("cutout", "crop", "flip")
    assert (warp.u[2] * 2**24).int().tolist() == [[3534679, 16307230, 10739483], [11516179, 13203147, 159843]]


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 12, 9)])
def test_every_group_runs_after_the_other_with_its_own_numbers(shape, per_image):
    m = 2
    x = images(12, m, *shape)
    warp = EVERY.draw(range(12), *shape, images=m if per_image else None)
    chains = [row.split("_") for row in warp.groups]
    assert {chain[2] for chain in chains} == {"crop", "scale", "rotate"}
    got, single = EVERY(x, warp), x
    for row, chain in enumerate(chains):
        for i in range(m):
            want, u = x[row, i].tolist(), warp.u[row, i if per_image else 0].tolist()
            for k, group in enumerate(chain):
                want = PLAIN[group](want, u[3 * k : 3 * k + 3])
            torch.testing.assert_close(got[row, i], torch.tensor(want, dtype=torch.float64), rtol=0, atol=1e-12)
    for k, groups in enumerate(zip(*chains, strict=True)):
        single = DSA()(single, Warp(groups, warp.u[..., 3 * k : 3 * k + 3]))
    assert torch.equal(got, single)


def test_every_shares_a_shared_draw_between_real_and_synthetic_images():
    one = images(6, 1, 3, 16, 16)
    shared, own = (EVERY.draw(range(6), 2, images=m) for m in (None, 5))
    assert (shared.u.shape, own.u.shape) == ((6, 1, 12), (6, 5, 12))
    assert shared.groups == own.groups
    real, syn = (EVERY(one.expand(-1, m, -1, -1, -1), shared) for m in (5, 2))
    for i in range(5):
        torch.testing.assert_close(real[:, i], syn[:, i % 2], rtol=0, atol=1e-14)
    each = EVERY(one.expand(-1, 5, -1, -1, -1), own)
    torch.testing.assert_close(each[:, :1], syn[:, :1], rtol=0, atol=1e-14)
    for i in range(1, 5):
        assert not any(torch.allclose(a, b) for a, b in zip(each[:, i], each[:, 0], strict=True))


@pytest.mark.parametrize("m", [None, 3])
def test_every_draws_for_a_row_what_its_keys_and_id_say(m):
    all_rows, some = (EVERY.draw(rows, 3, 8, images=m) for rows in (range(40), [17, 2, 39]))
    assert torch.equal(some.u, all_rows.u[[17, 2, 39]])
    assert some.groups == tuple(all_rows.groups[i] for i in (17, 2, 39))
    assert all_rows.u.unique().numel() == all_rows.u.numel() == 40 * (m or 1) * 12
    other = EVERY.draw(range(40), 3, 9, images=m)
    assert not (other.u == all_rows.u).any()
    assert other.groups != all_rows.groups


def test_every_takes_one_of_crop_scale_and_rotate_and_all_that_is_left():
    drawn = EVERY.draw(range(6000), 1).groups
    rest = ("crop", "scale", "rotate")
    counts = [drawn.count(f"flip_color_{word}_cutout") for word in rest]
    assert sum(counts) == 6000
    assert_even(torch.tensor(counts, dtype=torch.float32))
    for strategy, chains in {
        "color_crop_cutout": {"color_crop_cutout"},
        "cutout_color_flip": {"flip_color_cutout"},
        "rotate_scale": {"scale", "rotate"},
        "scale_flip_crop": {"flip_crop", "flip_scale"},
        "cutout": {"cutout"},
    }.items():
        dsa = DSA(strategy, every=True)
        warp = dsa.draw(range(200), 5)
        assert set(warp.groups) == chains
        assert warp.u.shape == (200, 1, 3 * len(next(iter(chains)).split("_")))
    x = images(2, 3, 1, 8, 8)
    off = DSA("none", every=True)
    assert torch.equal(off(x, off.draw([0, 1], 4)), x)


def test_idc_changes_color_and_place_and_cuts_out_in_every_row():
    dsa = DSA("color_crop_cutout", every=True)
    x = images(50, 1, 3, 16, 16).abs() + 5
    got = dsa(x, dsa.draw(range(50), 6))
    assert not (got == x).flatten(1).any()  # color leaves no pixel as it was
    gone = (got == 0).all(2)[:, 0]
    assert (gone.flatten(1).sum(1) >= 16).all()  # a hole of 8 x 8 in a corner keeps a quarter
    assert (gone.flatten(1).sum(1) > 64).any()  # and crop adds a border


@pytest.mark.parametrize("per_image", [False, True])
def test_every_lets_gradients_through(per_image):
    x = images(5, 2, 2, 5, 4).requires_grad_()
    warp = EVERY.draw(range(5), 1, images=2 if per_image else None)
    assert len(set(warp.groups)) > 1
    assert torch.autograd.gradcheck(lambda x: EVERY(x, warp), x, fast_mode=True)
    assert (torch.autograd.grad(EVERY(x, warp).square().sum(), x)[0].flatten(1).abs().sum(1) > 0).all()


def test_settings_reach_the_operations():
    x = images(4, 3, 3, 16, 16)
    still = {
        "scale": DSA(ratio_scale=1.0),
        "rotate": DSA(ratio_rotate=0.0),
        "crop": DSA(ratio_crop_pad=0.0),
        "cutout": DSA(ratio_cutout=0.0),
    }
    for group, dsa in still.items():
        torch.testing.assert_close(dsa(x, warp_of([group] * 4)), x, rtol=0, atol=1e-13)
    flat = DSA(brightness=0.0, saturation=0.0, contrast=1.0)
    warp = warp_of(["color"] * 4)
    grey = x.mean(2, keepdim=True)
    mean = grey.mean((3, 4), keepdim=True)
    want = (grey - mean) * (1 + warp.u[..., 2].double()[..., None, None, None]) + mean
    torch.testing.assert_close(flat(x, warp), want.expand_as(x), rtol=0, atol=1e-13)


def test_strategies():
    digits = DSA("color_crop_cutout_scale_rotate")
    assert set(digits.draw(range(500), 0).groups) == {*GROUPS} - {"flip"}
    assert set(DSA().draw(range(500), 0).groups) == {*GROUPS}
    x = images(2, 3, 1, 8, 8)
    off = DSA("none")
    assert torch.equal(off(x, off.draw([0, 1], 4)), x)


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("color_rotation", "'rotation' is unknown.*did you mean 'rotate'.*rotate joined"),
        ("color-crop", "'color-crop' is unknown"),
        ("colour", "did you mean 'color'"),
        ("none_crop", "'none' is unknown"),
        ("", "'' is unknown.*'none' alone"),
        ("crop_flip_crop", "'crop' twice"),
    ],
)
def test_refuses_unknown_strategies(strategy, said):
    with pytest.raises(ValueError, match=said) as error:
        DSA(strategy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("setting", [{"ratio_scale": 0.0}, {"ratio_crop_pad": -0.1}, {"ratio_cutout": -1.0}])
def test_refuses_ratios_out_of_range(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"{name}.*{value}.*at least"):
        DSA(**setting)


def test_refuses_a_warp_of_other_rows_or_images():
    warp = DSA().draw([0, 1, 2], 0, images=4)
    for shape in ((2, 4), (3, 5)):
        with pytest.raises(ValueError, match=re.escape("3 rows, 4 draws each, does not fit")):
            DSA()(images(*shape, 1, 4, 4), warp)


@pytest.mark.parametrize("every", [False, True])
def test_rows_with_keys_of_their_own_draw_as_they_would_alone(every):
    dsa, rows, keys = DSA(every=every), [0, 1, 0, 4], [7, 7, 2**62, 3]
    together = dsa.draw(rows, keys, 6, images=3)
    for i, (row, key) in enumerate(zip(rows, keys, strict=True)):
        alone = dsa.draw([row], key, 6, images=3)
        assert together.groups[i] == alone.groups[0]
        assert torch.equal(together.u[i], alone.u[0])
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        dsa.draw(rows, keys, [1, 2])
