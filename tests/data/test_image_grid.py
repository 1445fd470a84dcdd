import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from cl_condense.data.image_grid import grid_page, image_grid, panel_grid

PNG = b"\x89PNG\r\n\x1a\n"


def noise(n, c, h, w):
    return torch.randint(1, 255, (n, c, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def grid(tmp_path, *arguments, **options):
    path = tmp_path / "grid.png"
    image_grid(*arguments, path=path, **options)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes().startswith(PNG)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def place(page, image, scale):
    """(row, column) of the only place where an image lies, all its pixels exactly so."""
    image = image.numpy().transpose(1, 2, 0)
    tile = np.broadcast_to(image, (*image.shape[:2], 3)).repeat(scale, 0).repeat(scale, 1)
    h, w = tile.shape[:2]
    ys, xs = np.nonzero((page[: 1 - h or None, : 1 - w or None] == tile[0, 0]).all(-1))
    found = [
        (int(y), int(x))
        for y, x in zip(ys, xs, strict=True)
        if np.array_equal(page[y : y + h, x : x + w], tile)
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("shape", "scale"),
    [((1, 8, 8), 8), ((3, 32, 32), 2), ((1, 28, 28), 2), ((3, 96, 64), 1), ((3, 70, 70), 1)],
)
def test_every_image_is_in_the_row_of_its_class(shape, scale, tmp_path):
    counts = [2, 1, 3]
    images = noise(6, *shape)
    page = grid(tmp_path, images, counts, ["cat", "dog", "owl"])
    places = [place(page, image, scale) for image in images]
    ys, xs = zip(*places, strict=True)
    assert ys[0] == ys[1] < ys[2] < ys[3] == ys[4] == ys[5]
    assert xs[0] == xs[2] == xs[3] < xs[1] == xs[4] < xs[5]
    gap = xs[1] - xs[0] - shape[2] * scale
    assert 1 <= gap <= 4
    assert 1 <= ys[2] - ys[0] - shape[1] * scale <= 4
    page = page.copy()
    for y, x in places:
        page[y : y + shape[1] * scale, x : x + shape[2] * scale] = 255
    assert (page[:, xs[0] :] == 255).all(), "white around the images"
    for y in set(ys):
        assert (page[y : y + shape[1] * scale, : xs[0]] < 128).any(), "a name beside each row"


def test_many_small_images_are_shown_smaller(tmp_path):
    images = noise(120, 1, 8, 8)
    page = grid(tmp_path, images, [12] * 10, [])
    place(page, images[-1], 4)


def test_two_channels_are_shown_as_the_first_in_grey(tmp_path):
    images = noise(2, 2, 8, 8)
    place(grid(tmp_path, images, [1, 1], []), images[1, :1], 8)


def test_classes_without_names_are_called_by_their_ids(tmp_path, monkeypatch):
    drawn = texts(monkeypatch)
    grid(tmp_path, noise(2, 1, 8, 8), [1, 1], [], ids=[17, 42])
    grid(tmp_path, noise(2, 1, 8, 8), [1, 1], [])
    assert drawn == ["17", "42", "0", "1"]


def texts(monkeypatch):
    drawn, draw = [], ImageDraw.ImageDraw.text

    def spy(self, xy, text, *arguments, **options):
        if text:
            box = self.textbbox(xy, text, arguments[1], options["anchor"])
            assert box[0] >= 0
            assert box[1] >= 0
            assert box[2] <= self.im.size[0]
            assert box[3] <= self.im.size[1]
            drawn.append(text)
        return draw(self, xy, text, *arguments, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
    return drawn


def test_long_names_are_shortened_and_not_clipped(tmp_path, monkeypatch):
    drawn = texts(monkeypatch)
    images = noise(2, 3, 4, 32)
    page = grid(tmp_path, images, [1, 1], ["a name\nthat would not fit on the page at all", "owl"])
    assert re.fullmatch(r"a name that w.*…", drawn[0])
    assert drawn[1] == "owl"
    (y, x), (other, _) = (place(page, image, 2) for image in images)
    assert other - y >= 18, "rows of low images leave room for their names"
    assert (page[:, x - 6 : x] == 255).all(), "no name reaches the images"


def test_at_most_twenty_images_a_class_are_shown(tmp_path, monkeypatch):
    drawn = texts(monkeypatch)
    images = noise(71, 1, 8, 8)
    page = grid(tmp_path, images, [50, 20, 0, 1], ["many", "some", "none", "one"])
    place(page, images[19], 8)
    with pytest.raises(AssertionError):
        place(page, images[20], 8)
    assert place(page, images[50], 8)[1] == place(page, images[70], 8)[1]
    assert drawn == ["many", "+30", "some", "none", "one"]


@pytest.mark.parametrize(("classes", "m"), [(26, 1), (40, 10), (100, 1), (100, 20), (200, 2)])
def test_many_classes_make_a_page_of_sensible_shape(classes, m, tmp_path, monkeypatch):
    drawn = texts(monkeypatch)
    images = noise(classes * m, 1, 8, 8)
    page = grid(tmp_path, images, [m] * classes, [f"class_{i}" for i in range(classes)])
    assert 0.5 <= page.shape[1] / page.shape[0] <= 2
    assert drawn == [f"class_{i}" for i in range(classes)]
    scale = 8 if classes * m <= 100 else 4
    first, second = (place(page, images[i * m], scale) for i in (0, 1))
    last = place(page, images[-1], scale)
    assert first[1] == second[1] < last[1]


@pytest.mark.parametrize(
    ("images", "counts", "names", "message"),
    [
        (torch.zeros(2, 1, 8, 8), [1, 1], [], "float32"),
        (noise(2, 1, 8, 8)[0], [1], [], r"\(1, 8, 8\)"),
        (noise(2, 1, 8, 8), [1, 2], [], "add up to 3 for 2 images"),
        (noise(2, 1, 8, 8), [], [], "add up to 0 for 2 images"),
        (noise(2, 1, 8, 8), [1, 1], ["cat"], "1 class names for 2 classes"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, counts, names, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        image_grid(images, counts, names, tmp_path / "grid.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("per_class", "beside"), [(1, True), (12, False)])
def test_panels_stand_under_their_titles(per_class, beside, tmp_path, monkeypatch):
    sets = {
        "random": noise(6 * per_class, 1, 8, 8),
        "a method of a long name": noise(6 * per_class, 1, 8, 8) // 2,
    }
    pages = {title: grid_page(images, [per_class] * 6, []) for title, images in sets.items()}
    drawn = texts(monkeypatch)
    panel_grid(pages, tmp_path / "grid.png")
    assert drawn == list(pages)
    with Image.open(tmp_path / "grid.png") as image:
        sheet = np.asarray(image.convert("RGB"))
    (y, x), (y2, x2) = (place(sheet, images[0], 8) for images in sets.values())
    assert (y == y2 and x < x2) if beside else (x == x2 and y < y2)


def test_no_panels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        panel_grid({}, tmp_path / "grid.png")
