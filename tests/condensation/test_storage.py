"""How synthetic images are stored, started and decoded."""

import pytest
import torch
import torch.nn.functional as F

from cl_condense.common.rng import Purpose
from cl_condense.condensation.storage import Partition, Pixels, decode
from cl_condense.data.imageset import ImageSet

TOP_LEFT, BOTTOM_LEFT, TOP_RIGHT, BOTTOM_RIGHT = 1.0, 2.0, 3.0, 4.0


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def images(counts=(40, 25, 30), shape=(3, 8, 12)):
    labels = torch.tensor([1, 4, 7]).repeat_interleave(torch.tensor(counts))
    return ImageSet.of(noise(len(labels), *shape), labels)


def mosaic(h=4, w=6):
    picture = torch.empty(h, w)
    picture[: h // 2, : w // 2], picture[h // 2 :, : w // 2] = TOP_LEFT, BOTTOM_LEFT
    picture[: h // 2, w // 2 :], picture[h // 2 :, w // 2 :] = TOP_RIGHT, BOTTOM_RIGHT
    return picture


def test_a_mosaic_decodes_to_its_cells_column_by_column():
    stored = mosaic()[None, None]
    decoded = decode(stored, 2)
    assert decoded.shape == (4, 1, 4, 6)
    for image, value in zip(decoded, (TOP_LEFT, BOTTOM_LEFT, TOP_RIGHT, BOTTOM_RIGHT), strict=True):
        assert torch.equal(image, torch.full((1, 4, 6), value))


def test_the_decoded_images_of_a_class_come_cell_by_cell():
    stored = torch.stack([mosaic(), mosaic() + 10])[:, None]
    assert decode(stored, 2)[:, 0, 0, 0].tolist() == [1, 11, 2, 12, 3, 13, 4, 14]


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("lead", [(), (1,), (4,)])
def test_decoding_enlarges_each_cell_bilinearly(lead, factor):
    ipc, c, h, w = 2, 3, 6, 12
    stored = noise(*lead, ipc, c, h, w)
    decoded = decode(stored, factor)
    assert decoded.shape == (*lead, ipc * factor**2, c, h, w)
    a, b = h // factor, w // factor
    for k, rows in enumerate(stored.view(-1, ipc, c, h, w)):
        want = []
        for column in range(factor):
            for row in range(factor):
                for image in rows:
                    cell = image[:, row * a : (row + 1) * a, column * b : (column + 1) * b]
                    want.append(F.interpolate(cell[None], (h, w), mode="bilinear", align_corners=False)[0])
        torch.testing.assert_close(decoded.view(-1, ipc * factor**2, c, h, w)[k], torch.stack(want))


def test_factor_one_decodes_to_the_stored_images():
    stored = noise(2, 3, 1, 5, 7)
    assert torch.equal(decode(stored, 1), stored)


@pytest.mark.parametrize("factor", [1, 2])
def test_gradients_reach_every_stored_pixel(factor):
    stored = noise(2, 3, 1, 8, 8).requires_grad_()
    decode(stored, factor).sum().backward()
    assert stored.grad is not None
    # Enlarging spreads a pixel over factor^2 pixels in all, more or less at the borders of its cell.
    assert float(stored.grad.min()) > 0
    assert float(stored.grad.sum()) == pytest.approx(stored.numel() * factor**2, rel=1e-5)


def cells(start, factor):
    """Cells [k, ipc * factor^2, c, h / factor, w / factor] of stored images."""
    h, w = start.shape[-2] // factor, start.shape[-1] // factor
    rows = [part.split(w, -1) for part in start.split(h, -2)]
    return torch.cat([cell for row in rows for cell in row], 1)


@pytest.mark.parametrize("resize", ["bilinear", "nearest"])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_a_partition_starts_as_a_mosaic_of_different_real_images_made_smaller(factor, resize):
    real = images((40, 34, 33))
    start = Partition(factor, resize).start(real, 2, seed=3)
    assert start.shape == (3, 2, 3, 8, 12)
    assert start.dtype == torch.float32
    size = (8 // factor, 12 // factor)
    for c, own in zip(real.class_ids, cells(start, factor), strict=True):
        members = real.only([c])
        x = members.take(torch.arange(len(members)))
        small = x[..., ::factor, ::factor]  # the nearest pixel, as torch has it, is the first of its cell
        if resize == "bilinear":
            small = F.interpolate(x, size, mode="bilinear", align_corners=False)
        apart = (own[:, None] - small).abs().flatten(2).amax(2)
        assert float(apart.min(1).values.max()) < 1e-5
        assert len(set(apart.argmin(1).tolist())) == 2 * factor**2


@pytest.mark.parametrize(("factor", "shape"), [(3, (1, 8, 9)), (3, (1, 9, 8)), (5, (1, 8, 8))])
def test_a_factor_that_does_not_divide_the_sides_is_an_error(factor, shape):
    with pytest.raises(ValueError, match=f"factor {factor} does not divide images of {shape[1]}x{shape[2]}"):
        Partition(factor).start(images(shape=shape), 1, seed=0)


@pytest.mark.parametrize("factor", [0, -2])
def test_a_factor_below_one_is_an_error(factor):
    with pytest.raises(ValueError, match=f"factor {factor}: give"):
        Partition(factor)


def test_another_way_to_make_images_smaller_is_an_error():
    with pytest.raises(ValueError, match="unknown resize 'area': known are bilinear, nearest"):
        Partition(2, "area")


def test_pixels_start_at_different_images_of_their_class():
    real = images()
    start = Pixels().start(real, 20, seed=1)
    assert torch.equal(start, real.take(real.draw(20, Purpose.START, 1)))
    for c, own in zip(real.class_ids, start, strict=True):
        members = real.only([c])
        same = (own[:, None] == members.take(torch.arange(len(members)))).flatten(2).all(2)
        assert same.sum(1).tolist() == [1] * 20
        assert int(same.any(0).sum()) == 20


def test_noise_is_standard_normal_and_of_one_piece():
    start = Pixels("noise").start(images(shape=(3, 16, 16)), 20, seed=1)
    assert start.shape == (3, 20, 3, 16, 16)
    n = start.numel()
    assert abs(float(start.mean())) < 4 / n**0.5
    assert abs(float(start.var()) - 1) < 4 * (2 / n) ** 0.5
    assert abs(float(start.pow(3).mean())) < 4 * (15 / n) ** 0.5
    assert abs(float(start.pow(4).mean()) - 3) < 4 * (96 / n) ** 0.5
    assert len(start.flatten().unique()) > 0.99 * n
    rows = start.view(60, -1)
    related = torch.corrcoef(rows) - torch.eye(60)
    assert float(related.abs().max()) < 5.5 / rows.shape[1] ** 0.5


@pytest.mark.parametrize("synthetic", [Pixels(), Pixels("noise"), Partition(2)], ids=str)
def test_the_start_of_a_class_depends_on_the_seed_and_the_class_alone(synthetic):
    real = images()
    together = synthetic.start(real, 4, seed=5)
    assert torch.equal(together, synthetic.start(real, 4, seed=5))
    assert not torch.equal(together, synthetic.start(real, 4, seed=6))
    assert not torch.equal(together[0], together[1])
    for i, c in enumerate(real.class_ids):
        assert torch.equal(together[i], synthetic.start(real.only([c]), 4, seed=5)[0])


def test_more_images_keep_the_first_ones():
    real = images()
    for synthetic in (Pixels(), Pixels("noise")):
        assert torch.equal(synthetic.start(real, 9, 5)[:, :4], synthetic.start(real, 4, 5))
