"""Images of one's own: what every kind of file becomes, how they get their size, which are taken."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Resize

from cl_condense.data.datasets import load
from cl_condense.data.image_file import opened
from cl_condense.data.preparation import Preparation, in_one
from cl_condense.data.shaping import as_size, fitted, fitted_tensor

GREYS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def saved(path, pixels, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def decoded(path, **options):
    return np.asarray(opened(path, **options))


def line(call, *args, **options):
    with pytest.raises(ValueError, match=r".") as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_stays_grey(mode, suffix, tmp_path):
    found = decoded(saved(tmp_path / f"x.{suffix}", GREYS, mode))
    expected = np.asarray(Image.fromarray(GREYS).convert("1").convert("L")) if mode == "1" else GREYS
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_of_grey_are_scaled_not_clipped(suffix, tmp_path):
    values = np.array([[0, 128, 129, 257, 32767, 32768, 65406, 65535]], np.uint16)
    path = tmp_path / f"x.{suffix}"
    if suffix == "pgm":  # which old Pillows do not write
        path.write_bytes(b"P5 8 1 65535\n" + values.astype(">u2").tobytes())
    else:
        saved(path, values)
    found = decoded(path)
    assert found.tolist() == [[0, 0, 1, 1, 127, 128, 254, 255]]  # v / 257, rounded


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None)
def test_sixteen_bits_are_rounded_to_the_nearest(values):
    from cl_condense.data.image_file import _scaled

    found = _scaled(np.array(values, np.uint16), 65535)
    assert found.tolist() == [round(v / 257) for v in values]


def test_sixteen_bits_of_colour_keep_the_upper_eight(tmp_path):
    values = np.array([[[0x1234, 0xABCD, 0xFFFF]]], ">u2")
    raw = b"\0" + values.tobytes()
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    ]
    (tmp_path / "x.png").write_bytes(png(chunks))
    assert decoded(tmp_path / "x.png").tolist() == [[[0x12, 0xAB, 0xFF]]]


def png(chunks):
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def test_transparency_is_dropped_as_torchvision_does(tmp_path):
    pixels = noise(0, 5, 6, 4)
    pixels[..., 3] = np.linspace(0, 255, 30).reshape(5, 6)
    assert np.array_equal(decoded(saved(tmp_path / "x.png", pixels)), pixels[..., :3])


@pytest.mark.parametrize(("suffix", "mode"), [("jpg", "CMYK"), ("tif", "CMYK"), ("png", "P"), ("tif", "LAB")])
def test_other_kinds_are_what_pillow_makes_of_them(suffix, mode, tmp_path):
    colours = np.repeat(np.repeat(noise(3, 2, 2, 3), 8, 0), 8, 1)
    if mode == "LAB":
        path = saved(tmp_path / "x.tif", Image.fromarray(colours, "RGB").convert("RGB"))
    else:
        path = saved(tmp_path / f"x.{suffix}", colours, mode, **({"quality": 100} if suffix == "jpg" else {}))
    found, expected = decoded(path), np.asarray(Image.open(path).convert("RGB"))
    assert np.array_equal(found, expected)
    if mode != "P":
        assert np.abs(found.astype(int) - colours).max() <= 8


@pytest.mark.parametrize("pixels", [np.zeros((2, 2), np.int32), np.zeros((2, 2), np.float32)])
def test_more_than_sixteen_bits_are_refused(pixels, tmp_path):
    path = saved(tmp_path / "x.tif", pixels)
    assert f"{path} has over 16 bits a channel" in line(opened, path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_upright(orientation, tmp_path):
    pixels, exif = np.repeat(np.repeat(noise(1, 2, 3), 16, 0), 16, 1), Image.Exif()
    exif[274] = orientation
    path = saved(tmp_path / "x.png", pixels, exif=exif)
    turned = [pixels, pixels[:, ::-1], pixels[::-1, ::-1], pixels[::-1], pixels.T, np.rot90(pixels, -1)]
    turned += [pixels[::-1, ::-1].T, np.rot90(pixels)]
    assert np.array_equal(decoded(path, upright=True), turned[orientation - 1])
    assert np.array_equal(decoded(path), pixels)


@pytest.mark.parametrize(
    ("wide", "high", "whole"), [(12, 4_000_000, True), (4_000_000, 12, False), (7000, 7000, False)]
)
def test_a_png_takes_no_room_for_what_it_claims(wide, high, whole, tmp_path):
    data = zlib.compress(bytes((3 * wide + 1) * high if whole else 0), 1)
    head = struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)
    (tmp_path / "x.png").write_bytes(png([(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]))
    del data
    tracemalloc.start()
    message = line(opened, tmp_path / "x.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "too many pixels" in message or "cannot hold" in message
    assert peak < 5e6  # Pillow's own memory is not counted here, but it is asked for after the check alone


def test_a_large_image_among_small_ones_is_not_decoded(tmp_path, monkeypatch):
    for name in ("a", "b"):
        for i in range(2):
            saved(tmp_path / name / f"{i}.png", noise(i, 4, 4))
    large = saved(tmp_path / "b" / "9.png", np.zeros((3000, 3000), np.uint8))
    monkeypatch.setattr(
        "cl_condense.data.gathering.opened", lambda f, *a, **k: opened(f, *a, **k) if f != large else 1 / 0
    )
    assert "images of 2 sizes" in line(load, "folder", tmp_path)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_a_square_is_torchvisions_resize_and_center_crop(high, wide, side):
    image = Image.fromarray(noise(0, high, wide, 3))
    expected = Compose([Resize(side), CenterCrop(side)])(image)
    assert np.array_equal(np.asarray(fitted(image, (side, side))), np.asarray(expected))


@given(st.tuples(*[st.integers(1, 40)] * 4))
@settings(max_examples=40, deadline=None)
def test_any_size_is_filled_from_the_middle(sizes):
    high, wide, *size = sizes
    found = np.asarray(fitted(Image.fromarray(np.full((high, wide), 77, np.uint8)), tuple(size)))
    assert found.shape == tuple(size)
    assert set(found.ravel().tolist()) == {77}  # no border was made up
    tensor = fitted_tensor(torch.full((2, 1, high, wide), 77, dtype=torch.uint8), tuple(size))
    assert tensor.shape == (2, 1, *size)
    assert tensor.unique().tolist() == [77]


def test_a_ribbon_does_not_fill_the_memory():
    found = fitted(Image.new("L", (60_000, 1), 9), (64, 64))
    assert found.size == (64, 64)


@pytest.mark.parametrize(
    ("given", "size"),
    [(64, (64, 64)), ("64", (64, 64)), ("48x64", (48, 64)), ((48, 64), (48, 64)), ([7], (7, 7))],
)
def test_sizes(given, size):
    assert as_size(given) == size


@pytest.mark.parametrize(
    "given", ["", "x", "48x", "48 x 64", "48X64", "1x2x3", "-4", (1, 2, 3), (), 1.5, True, "0", None]
)
def test_what_is_no_size(given):
    assert "size" in line(as_size, given)


def photos(root, classes=("cat", "dog"), n=5, **parts):
    """Images whose grey says class and number; in parts, or in none."""
    for part, many in (parts or {".": n}).items():
        for label, name in enumerate(classes):
            for i in range(many):
                saved(root / part / name / f"{i:02}.png", np.full((4, 4), 60 * label + i, np.uint8))
    return root


def greys(part):
    return part.images[:, 0, 0, 0].tolist()


def noted(*args, **options):
    notes = []
    found = load(*args, on_note=notes.append, **options)
    return (*found, notes)


@pytest.mark.parametrize("test", ["test", "val", "valid", "validation", "Testing"])
@pytest.mark.parametrize("train", ["train", "Training"])
def test_parts_by_the_names_that_people_give_them(train, test, tmp_path):
    first, second, notes = noted("folder", photos(tmp_path, **{train: 3, test: 2}))
    assert (first.counts, second.counts, notes) == ((3, 3), (2, 2), [])


def test_of_several_test_parts_the_first_is_taken_and_the_other_named(tmp_path):
    _, test, notes = noted("folder", photos(tmp_path, train=3, val=2, test=4))
    assert test.counts == (4, 4)
    assert [note.said for note in notes] == [f"{tmp_path / 'val'}: not looked at"]


@pytest.mark.parametrize("kind", ["train alone", "classes"])
def test_what_is_held_out_is_said(kind, tmp_path):
    photos(tmp_path, n=10, **({"train": 10} if kind == "train alone" else {}))
    train, test, notes = noted("folder", tmp_path)
    assert (train.counts, test.counts) == ((8, 8), (2, 2))
    (note,) = notes
    assert note.about == "held out"
    assert note.said.startswith(f"{tmp_path} has no test part: 4 of 20 images are held out for testing (20 %")


@pytest.mark.parametrize(("share", "held"), [(0.5, 5), (0.05, 1), (0.99, 9), (0.26, 3)])
def test_the_share_is_held_out(share, held, tmp_path):
    train, test = load("folder", photos(tmp_path, n=10), test_share=share)
    assert (train.counts, test.counts) == ((10 - held,) * 2, (held,) * 2)


def test_a_share_of_digits_too():
    assert sum(load("digits", test_share=0.5)[1].counts) == pytest.approx(1797 / 2, abs=5)


def test_images_below_the_class_at_any_depth_and_through_links(tmp_path):
    photos(tmp_path / "all", n=4)
    saved(tmp_path / "all" / "cat" / "of" / "2024" / "x.png", np.full((4, 4), 200, np.uint8))
    (tmp_path / "all" / "dog" / "again").symlink_to(tmp_path / "all" / "dog")  # a circle
    (tmp_path / "all" / "dog" / "more").symlink_to(tmp_path / "elsewhere")
    saved(tmp_path / "elsewhere" / "y.png", np.full((4, 4), 201, np.uint8))
    saved(tmp_path / "all" / "cat" / ".thumbs" / "z.png", np.full((4, 4), 202, np.uint8))
    train, test = load("folder", tmp_path / "all")
    assert sorted(greys(train) + greys(test)) == [0, 1, 2, 3, 60, 61, 62, 63, 200, 201]


def listed(root, rows, head="path,label", name="labels.csv"):
    (root / name).write_text("\n".join([head, *rows, ""]), "utf-8")
    return root / name


def loose(root, n=8):
    for i in range(n):
        saved(root / "images" / f"{i}.png", np.full((4, 4), i, np.uint8))
    return [f"images/{i}.png" for i in range(n)]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("by", ["file", "folder"])
def test_a_list_with_parts(separator, by, tmp_path):
    files = loose(tmp_path)
    rows = [
        separator.join([("b", "a")[i % 2], file, ("train", "val", "", "TEST")[i // 2]])
        for i, file in enumerate(files)
    ]
    table = listed(tmp_path, rows, separator.join(["\ufeffLabel", "filename", "split"]))
    train, test, notes = noted("folder", table if by == "file" else tmp_path)
    assert train.names == test.names == ("a", "b")
    assert (greys(train), greys(test), notes) == ([1, 5, 0, 4], [3, 7, 2, 6], [])


def test_numbers_as_labels_are_in_their_order(tmp_path):
    rows = [f"{file},{(10, 9)[i % 2]}" for i, file in enumerate(loose(tmp_path))]
    train, _, notes = noted("folder", listed(tmp_path, rows))
    assert train.names == ("9", "10")
    assert [note.about for note in notes] == ["held out"]


@pytest.mark.parametrize(
    ("head", "rows", "said"),
    [
        ("path,wrong", ["{0},a"], "has no column label, its first line has path, wrong"),
        ("wrong,label", ["{0},a"], "has no column path"),
        ("path,label", [], "lists no images"),
        ("", [], "has no column path, its first line has nothing"),
        ("path,label", ["{0},a", ",b"], "line 3 has no path"),
        ("path,label", ["{0},a", "{1}"], "line 3 has no label"),
        ("path,label", ["{0},a", "{0},b"], "images/0.png is there already, with another label or part"),
        ("path,label,split", ["{0},a,train", "{0},a,test"], "is there already"),
        ("path,label,split", ["{0},a,trian"], "line 2 is of part 'trian': write train, test or val"),
        ("path,label,split", ["{0},a,train", "{1},b,test"], "class 'a' has no test images"),
        ("path,label", ["{0},a", "missing.png,a"], "missing.png is not there"),
    ],
)
def test_lists_that_are_wrong(head, rows, said, tmp_path):
    files = loose(tmp_path)
    table = listed(tmp_path, [row.format(*files) for row in rows], head)
    assert said in line(load, "folder", table)


def test_folders_of_classes_go_before_a_list(tmp_path):
    photos(tmp_path)
    listed(tmp_path, ["cat/00.png,odd"])
    assert load("folder", tmp_path)[0].names == ("cat", "dog")


def test_damaged_files_are_skipped_and_listed(tmp_path):
    photos(tmp_path, n=6)
    bad = tmp_path / "cat" / "03.png"
    bad.write_bytes(bad.read_bytes()[:40])
    assert f"{bad} is damaged" in line(load, "folder", tmp_path)
    train, test, notes = noted("folder", tmp_path, skip_damaged=True)
    assert sum(train.counts) + sum(test.counts) == 11
    assert [(note.about, note.file) for note in notes] == [("skipped", bad), ("held out", None)]
    assert notes[0].record()["reason"].startswith("is damaged or no PNG")
    with pytest.warns(UserWarning, match="a file was skipped"):
        load("folder", tmp_path, skip_damaged=True)


def test_a_class_of_damaged_files_alone_cannot_be_skipped(tmp_path):
    photos(tmp_path, n=2)
    for file in (tmp_path / "cat").iterdir():
        file.write_text("no image")
    assert "class 'cat': none of its 2 files can be read" in line(load, "folder", tmp_path, skip_damaged=True)
    assert load("folder", tmp_path, skip_damaged=True, classes="dog")[0].names == ("dog",)


@pytest.mark.parametrize("as_what", ["text", "list", "file"])
def test_some_classes(as_what, tmp_path):
    photos(tmp_path / "all", ("ant", "bee", "cat"))
    (tmp_path / "some.txt").write_text("cat\n\nbee \n")
    wanted = {"text": "cat, bee", "list": ["cat", "bee"], "file": str(tmp_path / "some.txt")}[as_what]
    train, test = load("folder", tmp_path / "all", classes=wanted)
    assert train.names == test.names == ("bee", "cat")
    assert train.class_ids == test.class_ids == (0, 1)
    assert {grey // 60 for grey in greys(train)} == {1, 2}


@pytest.mark.parametrize("names", [("red, big", "owl"), ('a "b"', "c,d"), ("plain", "other")])
def test_names_with_commas_and_quotes_come_back_as_they_were(names, tmp_path):
    assert Preparation.of(classes=in_one(names)).classes == names


def test_a_text_that_is_no_list_of_names_is_one_line():
    assert "larger than field limit" in line(load, "digits", classes=f'"{"x" * 200_000}"')


def test_some_classes_of_a_known_set_count_from_0():
    whole, _ = load("digits")
    train, test = load("digits", classes=["7", "3"])
    assert (train.names, train.class_ids, test.class_ids) == (("3", "7"), (0, 1), (0, 1))
    assert torch.equal(train.images, whole.only([3, 7]).images)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classes": "cta"}, "class 'cta' is no class of the data set: did you mean 'cat'? known are 0 'cat'"),
        ({"classes": "cat,Cat"}, "classes 'cat' and 'Cat' are one"),
        ({"classes": " , "}, "name at least one"),
        ({"classes": "absent.txt"}, "absent.txt is not there"),
        ({"classes": [1]}, "class 1"),
        ({"channels": 2}, "channels 2: give 1 (grey) or 3"),
        ({"test_share": 1}, "test_share 1: give a finite number above 0 and below 1"),
        ({"test_share": "a"}, "test_share 'a'"),
        ({"skip_damaged": "yes"}, "skip_damaged"),
        ({"size": "64x"}, "size '64x': give a whole number of pixels, or height x width such as 48x64"),
    ],
)
def test_preparations_that_make_no_sense(options, said, tmp_path):
    assert said in line(load, "folder", photos(tmp_path), **options)


def test_a_share_of_what_has_a_test_part(tmp_path):
    photos(tmp_path, train=3, val=2)
    assert "test share 0.3:" in line(load, "folder", tmp_path, test_share=0.3)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_of_files(channels, tmp_path):
    photos(tmp_path)
    saved(tmp_path / "cat" / "colour.png", np.full((4, 4, 3), (10, 200, 30), np.uint8))
    train, test = load("folder", tmp_path, channels=channels)
    assert train.shape == test.shape == (channels, 4, 4)
    found = {tuple(image[:, 0, 0].tolist()) for image in torch.cat([train.images, test.images])}
    assert ((124,) if channels == 1 else (10, 200, 30)) in found  # ITU-R 601, as Pillow has it


def test_size_and_channels_of_a_known_set():
    whole, (train, test) = load("digits")[0], load("digits", size="12x8", channels=3)
    assert train.shape == test.shape == (3, 12, 8)
    assert torch.equal(train.images[:, 0], train.images[:, 2])
    assert (test.mean, len(train.mean)) == (train.mean, 3)
    assert train.mean[0] == pytest.approx(whole.mean[0], abs=0.02)
    assert load("digits", size=8)[0].images.equal(whole.images)


@pytest.mark.parametrize("classes", [1, 7, 300])
def test_any_number_of_classes(classes, tmp_path):
    names = [f"c{i:03}" for i in range(classes)]
    for name in names:
        for i in range(2):
            saved(tmp_path / name / f"{i}.png", np.zeros((2, 2), np.uint8))
    train, test = load("folder", tmp_path)
    assert train.names == tuple(names)
    assert train.counts == test.counts == (1,) * classes


def test_an_animation_is_its_first_picture(tmp_path):
    first, second = (Image.fromarray(np.full((4, 4), grey, np.uint8)) for grey in (10, 200))
    first.save(tmp_path / "x.tif", save_all=True, append_images=[second])
    assert np.unique(decoded(tmp_path / "x.tif")).tolist() == [10]
    with io.BytesIO() as raw:
        first.save(raw, "PNG", save_all=True, append_images=[second])
        (tmp_path / "y.png").write_bytes(raw.getvalue())
    assert np.unique(decoded(tmp_path / "y.png")).tolist() == [10]
