import os
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from cl_condense.common.progress import Progress
from cl_condense.data import decoding
from cl_condense.data.datasets import load
from cl_condense.data.imagenet import MEAN, SETS, STD, class_names, load_imagenet

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (120, 120, 120)]


@pytest.fixture(autouse=True)
def no_cache_variable(monkeypatch):
    monkeypatch.delenv("CL_CONDENSE_CACHE", raising=False)


@pytest.fixture
def decodings(monkeypatch):
    """The files that are decoded, as they are."""
    files, lock, original = [], threading.Lock(), decoding.opened

    def opened(file, *args):
        with lock:
            files.append(str(file))
        return original(file, *args)

    monkeypatch.setattr(decoding, "opened", opened)
    return files


def refused(*args, **kwargs):
    with pytest.raises(ValueError, match=r".") as caught:
        load(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def few(monkeypatch, name, n=3):
    """Lets the set have its first classes alone."""
    monkeypatch.setitem(SETS, name, replace(SETS[name], first=n))
    return list(class_names(name))


def put(path, colour, size=(64, 64), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "RGB" if isinstance(colour, tuple) else "L"
    Image.new(mode, size, colour).save(path, format=options.pop("format", "JPEG"), quality=95, **options)


def tiny(root, wnids, n=2):
    """TinyImageNet's layout: n training images of each class and n - 1 for validation, in turn."""
    root = root / "tiny-imagenet-200"
    lines = []
    for label, wnid in enumerate(wnids):
        for i in range(n):
            put(root / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", COLOURS[label])
    for i in range((n - 1) * len(wnids)):
        label = i % len(wnids)
        put(root / "val" / "images" / f"val_{i}.JPEG", COLOURS[label])
        lines.append(f"val_{i}.JPEG\t{wnids[label]}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("\n".join(reversed(wnids)))
    put(root / "test" / "images" / "test_0.JPEG", COLOURS[0])
    return root


def full(root, wnids, n=2, size=(150, 130)):
    """ImageNet's layout, and fast.ai's: n training images of each class, and one for validation."""
    for label, wnid in enumerate(wnids):
        for i in range(n):
            put(root / "train" / wnid / f"{wnid}_{i}.JPEG", COLOURS[label % 4], size)
        put(root / "val" / wnid / f"ILSVRC2012_val_{label:08}.JPEG", COLOURS[label % 4], size)
    return root


def colours(images):
    """The mean colour of each image."""
    return images.images.float().mean((2, 3)).round().int().tolist()


def near(found, expected):
    return np.abs(np.array(found) - np.array(expected)).max() <= 2


@pytest.mark.parametrize(
    ("name", "n", "first"),
    [
        ("tinyimagenet", 200, ("n01443537", "goldfish")),
        ("imagenette", 10, ("n01440764", "tench")),
        ("imagewoof", 10, ("n02096294", "Australian terrier")),
        ("imagenet10", 10, ("n02869837", "bonnet")),
        ("imagenet100", 100, ("n02869837", "bonnet")),
        ("imagenet1k", 1000, ("n01440764", "tench")),
    ],
)
def test_class_lists(name, n, first):
    named = class_names(name)
    assert len(named) == len(set(named.values())) == n
    assert next(iter(named.items())) == first
    assert set(named) <= set(class_names("imagenet1k"))
    if name in ("tinyimagenet", "imagenet1k"):
        assert list(named) == sorted(named)


def test_the_lists_of_mtt_are_indices_into_imagenet():
    ids = list(class_names("imagenet1k"))
    nette = [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]
    woof = [193, 182, 258, 162, 155, 167, 159, 273, 207, 229]
    assert list(class_names("imagenette")) == [ids[i] for i in nette]
    assert list(class_names("imagewoof")) == [ids[i] for i in woof]
    assert list(class_names("imagenet10")) == list(class_names("imagenet100"))[:10]
    assert class_names("imagewoof")["n02115641"] == "dingo"
    # two ids each go by the name of crane and maillot
    assert class_names("imagenet1k")["n03126707"] == "crane"
    assert class_names("imagenet1k")["n02012849"] == "crane (bird)"


@pytest.mark.parametrize("below", [".", "tiny-imagenet-200"])
def test_tinyimagenet(below, tmp_path, monkeypatch):
    wnids = few(monkeypatch, "tinyimagenet")
    tiny(tmp_path, wnids, 3)
    train, test = load("tinyimagenet", str(tmp_path / below))
    # labels follow the sorted ids, not wnids.txt; validation images are the test set
    assert train.class_ids == test.class_ids == (0, 1, 2)
    assert (train.counts, test.counts) == ((3, 3, 3), (2, 2, 2))
    assert train.names == test.names == tuple(class_names("tinyimagenet").values())
    assert train.names[0] == "goldfish"
    assert train.shape == test.shape == (3, 64, 64)
    assert train.images.dtype == torch.uint8
    for part in (train, test):
        assert near(colours(part), [COLOURS[label] for label in part.labels.tolist()])
        assert (part.mean, part.std) == (MEAN, STD)
    assert list((tmp_path / "tiny-imagenet-200").glob(".cl-condense-cache/tinyimagenet-64-*.npy"))


def test_grey_and_other_images_become_rgb(tmp_path, monkeypatch):
    wnids = few(monkeypatch, "tinyimagenet", 2)
    images = tiny(tmp_path, wnids) / "train" / wnids[0] / "images"
    put(images / f"{wnids[0]}_0.JPEG", 77)
    put(images / f"{wnids[0]}_1.JPEG", (10, 200, 30), format="PNG")  # as one file of ImageNet is
    (images / "._x.JPEG").write_bytes(b"what a Mac leaves")
    (images.parent / f"{wnids[0]}_boxes.txt").write_text("0\t0\t63\t63")
    cmyk = Image.new("RGB", (64, 64), (90, 90, 90)).convert("CMYK")
    cmyk.save(tmp_path / "tiny-imagenet-200" / "train" / wnids[1] / "images" / f"{wnids[1]}_0.JPEG")
    train, _ = load("tinyimagenet", tmp_path)
    assert train.counts == (2, 2)
    assert near(colours(train)[:3], [(77, 77, 77), (10, 200, 30), (90, 90, 90)])


@pytest.mark.parametrize("name", ["imagenette", "imagewoof"])
@pytest.mark.parametrize("layout", ["fast.ai", "fast.ai, inside", "ImageNet"])
def test_ten_classes_of_two_layouts(name, layout, tmp_path):
    wnids = list(class_names(name))
    inside = tmp_path / f"{name}2"
    root = full(tmp_path if layout == "ImageNet" else inside, wnids)
    if layout == "ImageNet":
        put(root / "train" / "n02085620" / "0.JPEG", COLOURS[0])  # a class of neither
    train, test = load(name, inside if layout == "fast.ai, inside" else tmp_path)
    assert train.shape == test.shape == (3, 128, 128)
    assert (train.counts, test.counts) == ((2,) * 10, (1,) * 10)
    assert train.names[0] == {"imagenette": "tench", "imagewoof": "Australian terrier"}[name]
    for part in (train, test):
        assert near(colours(part), [COLOURS[label % 4] for label in part.labels.tolist()])
    assert (train.mean, train.std) == (MEAN, STD)


def gradient(wide, high):
    """Red grows from left to right, green from top to bottom."""
    x, y = np.meshgrid(np.linspace(0, 255, wide), np.linspace(0, 255, high))
    return Image.fromarray(np.stack([x, y, np.full_like(x, 128)], 2).astype(np.uint8))


@pytest.mark.parametrize("size", [(200, 130), (130, 200), (128, 128), (60, 90)])
def test_squashed_images_show_everything(size, tmp_path, monkeypatch):
    (wnid,) = few(monkeypatch, "imagenette", 1)
    for file in ("train/{}/a.JPEG", "val/{}/b.JPEG"):
        put(tmp_path / file.format(wnid), 0)
        gradient(*size).save(tmp_path / file.format(wnid), format="JPEG", quality=95)
    image = load("imagenette", tmp_path)[0].images[0].float()
    assert image[0, :, 0].mean() < 12
    assert image[0, :, -1].mean() > 243
    assert image[1, 0].mean() < 12
    assert image[1, -1].mean() > 243


@pytest.mark.parametrize("size", [(300, 230), (230, 301), (224, 224), (100, 90)])
def test_cropped_images_are_idcs(size, tmp_path, monkeypatch):
    (wnid,) = few(monkeypatch, "imagenet10", 1)
    full(tmp_path, [wnid], 1)
    image = gradient(*size)
    image.save(tmp_path / "train" / wnid / f"{wnid}_0.JPEG", format="PNG")
    train, test = load("imagenet10", tmp_path)
    assert train.shape == test.shape == (3, 224, 224)
    expected = functional.pil_to_tensor(functional.center_crop(functional.resize(image, 224), 224))
    assert torch.equal(train.images[0], expected)


def test_imagenet100_has_all_of_the_list(tmp_path, monkeypatch):
    monkeypatch.setitem(SETS, "imagenet100", replace(SETS["imagenet100"], side=8))
    full(tmp_path, list(class_names("imagenet100")), 1, (12, 10))
    train, test = load("imagenet100", tmp_path)
    assert train.class_ids == test.class_ids == tuple(range(100))
    assert near(colours(train), [COLOURS[i % 4] for i in range(100)])


def test_imagenet1k_has_a_thousand_classes(tmp_path):
    for wnid in class_names("imagenet1k"):
        for part in ("train", "val"):
            put(tmp_path / part / wnid / "a.JPEG", 99, (9, 7))
    train, test = load("imagenet1k", tmp_path)
    assert train.counts == test.counts == (1,) * 1000
    assert train.shape == (3, 64, 64)
    assert train.names[-1] == "toilet tissue"
    (tmp_path / "val" / "n15075141" / "a.JPEG").unlink()
    assert f"{tmp_path / 'val' / 'n15075141'} (class 'toilet tissue') has no images" in refused(
        "imagenet1k", tmp_path
    )


def test_large_jpegs_are_decoded_small_and_look_the_same(tmp_path):
    noise = np.random.default_rng(0).normal(0, 20, (600, 800, 3))
    image = Image.fromarray((np.asarray(gradient(800, 600)) + noise).clip(0, 255).astype(np.uint8))
    image.save(tmp_path / "a.jpg", quality=95)
    image.save(tmp_path / "a.png")
    assert decoding.opened(tmp_path / "a.jpg", 128).size == (200, 150)
    assert decoding.opened(tmp_path / "a.jpg", 301).size == (800, 600)
    assert decoding.opened(tmp_path / "a.png", 128).size == (800, 600)
    small, whole = (decoding._pixels(tmp_path / f, 64, "squash").astype(int) for f in ("a.jpg", "a.png"))
    assert np.abs(small - whole).mean() < 2


def test_a_second_load_decodes_nothing(tmp_path, monkeypatch, decodings):
    wnids = few(monkeypatch, "tinyimagenet")
    root = tiny(tmp_path, wnids)
    monkeypatch.setattr(decoding, "_CHUNK", 4)
    seen = []
    train, test = load("tinyimagenet", tmp_path, on_progress=seen.append)
    assert sorted(decodings) == sorted(map(str, root.glob("[tv][ra]*/**/*.JPEG")))
    assert seen == [Progress("decoding", i, 9) for i in (4, 8, 9)]
    decodings.clear(), seen.clear()
    again, test_again = load("tinyimagenet", root, on_progress=seen.append)
    assert decodings == seen == []
    assert torch.equal(train.images, again.images)
    assert torch.equal(test.images, test_again.images)
    assert again.class_ids == train.class_ids


def test_images_are_mapped_copy_on_write(tmp_path, monkeypatch):
    tiny(tmp_path, few(monkeypatch, "tinyimagenet"))
    load("tinyimagenet", tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train, test = load("tinyimagenet", tmp_path)
    assert train.images.data_ptr() + train.images.numel() == test.images.data_ptr()
    before = train.images.clone()
    train.images.zero_()
    assert torch.equal(load("tinyimagenet", tmp_path)[0].images, before)


@pytest.mark.parametrize("change", ["content", "time", "more", "fewer", "name"])
def test_changed_files_are_decoded_anew(change, tmp_path, monkeypatch, decodings):
    wnids = few(monkeypatch, "tinyimagenet")
    images = tiny(tmp_path, wnids) / "train" / wnids[0] / "images"
    load("tinyimagenet", tmp_path)
    decodings.clear()
    first = images / f"{wnids[0]}_0.JPEG"
    if change == "content":
        put(first, (1, 2, 3), optimize=True)
    elif change == "time":
        os.utime(first, ns=(0, 1))
    elif change == "more":
        put(images / "more.JPEG", COLOURS[0])
    elif change == "fewer":
        first.unlink()
    else:
        first.rename(images / "other.JPEG")
    train, _ = load("tinyimagenet", tmp_path)
    assert len(decodings) == 9 + {"more": 1, "fewer": -1}.get(change, 0)
    if change == "content":
        assert near(colours(train)[0], (1, 2, 3))


def test_another_size_is_another_file(tmp_path, monkeypatch):
    full(tmp_path, few(monkeypatch, "imagenette", 1))
    load("imagenette", tmp_path)
    few(monkeypatch, "imagenet1k", 1)
    assert load("imagenet1k", tmp_path)[0].shape == (3, 64, 64)
    assert load("imagenette", tmp_path)[0].shape == (3, 128, 128)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "shape", "type"])
def test_a_damaged_cache_is_written_again(damage, tmp_path, monkeypatch, decodings):
    root = tiny(tmp_path, few(monkeypatch, "tinyimagenet"))
    before = load("tinyimagenet", tmp_path)[0].images.clone()
    (cached,) = root.glob(".cl-condense-cache/*")
    whole = cached.read_bytes()
    if damage in ("shape", "type"):
        np.save(cached, np.zeros((9, 3, 64, 64) if damage == "type" else (8, 3, 64, 64), np.int8))
    else:
        cached.write_bytes({"cut": whole[:-1], "empty": b"", "text": b"hello" * 100}[damage])
    decodings.clear()
    assert torch.equal(load("tinyimagenet", tmp_path)[0].images, before)
    assert len(decodings) == 9
    assert cached.read_bytes() == whole


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_decoding_goes_on(error, tmp_path, monkeypatch, decodings):
    root = tiny(tmp_path, few(monkeypatch, "tinyimagenet"))
    whole = load("tinyimagenet", tmp_path)[0].images.clone()
    (cached,) = root.glob(".cl-condense-cache/*")
    before = cached.read_bytes()
    cached.unlink(), decodings.clear()
    monkeypatch.setattr(decoding, "_CHUNK", 4)

    def stop(progress):
        raise error

    with pytest.raises(error):
        load("tinyimagenet", tmp_path, on_progress=stop)
    assert len(decodings) == 4
    (left,) = root.glob(".cl-condense-cache/*.partial")
    with left.open("ab") as file:
        file.write(b"half an image")
    assert torch.equal(load("tinyimagenet", tmp_path)[0].images, whole)
    assert len(decodings) == 9
    assert list(root.glob(".cl-condense-cache/*")) == [cached]
    assert cached.read_bytes() == before


def test_what_goes_on_is_no_file_of_another_kind(tmp_path, monkeypatch, decodings):
    root = tiny(tmp_path, few(monkeypatch, "tinyimagenet"))
    whole = load("tinyimagenet", tmp_path)[0].images.clone()
    (cached,) = root.glob(".cl-condense-cache/*")
    cached.unlink(), decodings.clear()
    cached.with_suffix(".partial").write_bytes(b"something else" * 10_000)
    assert torch.equal(load("tinyimagenet", tmp_path)[0].images, whole)
    assert len(decodings) == 9


def test_a_run_that_was_killed_at_the_very_end_has_lost_nothing(tmp_path, monkeypatch, decodings):
    root = tiny(tmp_path, few(monkeypatch, "tinyimagenet"))

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            load("tinyimagenet", tmp_path)
    assert [file.suffix for file in root.glob(".cl-condense-cache/*")] == [".partial"]
    assert len(load("tinyimagenet", tmp_path)[0]) == 6
    assert len(decodings) == 9
    assert len(list(root.glob(".cl-condense-cache/tinyimagenet-*"))) == 1


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch, decodings):
    root = tiny(tmp_path, few(monkeypatch, "tinyimagenet"))
    mkdir = Path.mkdir

    def denied(self, *args, **kwargs):
        if root in self.parents:
            raise PermissionError(13, "Permission denied", str(self))
        mkdir(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", denied)
    message = refused("tinyimagenet", tmp_path)
    assert f"kept in {root / '.cl-condense-cache'} (Permission denied)" in message
    assert "CL_CONDENSE_CACHE" in message
    assert decodings == []
    elsewhere = tmp_path / "a" / "b"
    monkeypatch.setenv("CL_CONDENSE_CACHE", str(elsewhere))
    assert len(load("tinyimagenet", tmp_path)[0]) == 6
    assert len(list(elsewhere.iterdir())) == 1
    assert not (root / ".cl-condense-cache").exists()


def test_a_full_disk_is_told_before_decoding(tmp_path, monkeypatch, decodings):
    tiny(tmp_path, few(monkeypatch, "tinyimagenet"))
    usage = decoding.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda _: usage._replace(free=9 * 3 * 64 * 64 - 1))
    message = refused("tinyimagenet", tmp_path)
    assert "are needed" in message
    assert "CL_CONDENSE_CACHE" in message
    assert decodings == []


@pytest.mark.parametrize("content", ["short", "text", "empty", "gif"])
def test_a_damaged_image_is_named(content, tmp_path, monkeypatch):
    wnids = few(monkeypatch, "imagenette", 2)
    full(tmp_path, wnids)
    bad = tmp_path / "train" / wnids[1] / f"{wnids[1]}_1.JPEG"
    whole = bad.read_bytes()
    contents = {"short": whole[: len(whole) // 2], "text": b"hello", "empty": b"", "gif": b"GIF89a"}
    bad.write_bytes(contents[content])
    assert f"{bad} is damaged" in refused("imagenette", tmp_path)
    assert list(tmp_path.glob(".cl-condense-cache/*")) == []


@pytest.mark.parametrize(
    "most", [12000, 6000]
)  # Pillow warns above the limit and refuses above twice the limit
def test_images_of_too_many_pixels_are_refused(most, tmp_path, monkeypatch):
    wnids = few(monkeypatch, "imagenette", 2)
    full(tmp_path, wnids, size=(60, 60))
    large = tmp_path / "val" / wnids[1] / "large.JPEG"
    put(large, COLOURS[0], (130, 100))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    assert f"{large} has too many pixels" in refused("imagenette", tmp_path)


def test_tinyimagenet_of_another_size_is_refused(tmp_path, monkeypatch):
    wnids = few(monkeypatch, "tinyimagenet")
    root = tiny(tmp_path, wnids)
    wide = root / "train" / wnids[1] / "images" / "wide.JPEG"
    put(wide, COLOURS[0], (300, 200))
    assert f"{wide} is 300 wide x 200 high, not 64 x 64" in refused("tinyimagenet", tmp_path)


@pytest.mark.parametrize("name", SETS)
def test_a_missing_folder_is_named_with_the_layout(name, tmp_path):
    message = refused(name, tmp_path / "nowhere")
    assert str(tmp_path / "nowhere" / "train") in message
    assert "train/WNID/" in message
    assert SETS[name].folder in message
    assert SETS[name].source in message
    assert "--data" in message
    assert "--data" in refused(name)
    (tmp_path / "nowhere" / "train").mkdir(parents=True)
    assert f"{tmp_path / 'nowhere' / 'val'} is missing" in refused(name, tmp_path / "nowhere")


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("gone", ["folder", "images"])
def test_a_missing_class_is_named(part, gone, tmp_path):
    wnids = list(class_names("imagewoof"))
    full(tmp_path, wnids[:-1])
    full(tmp_path, wnids[-1:])
    last = tmp_path / part / wnids[-1]
    for image in last.iterdir():
        image.unlink()
    (last / "notes.txt").write_text("none yet")
    if gone == "folder":
        last.rename(tmp_path / "away")
    what = {"folder": "is missing", "images": "has no images"}[gone]
    message = refused("imagewoof", tmp_path)
    assert f"{last} (class 'Old English sheepdog') {what}" in message
    assert "val/WNID/*.JPEG" in message


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (None, "is missing"),
        ("val_0.JPEG\tn99999999\t0\t0\t9\t9\n", "in line 1"),
        ("{good}val_0.JPEG\n", "in line 4"),
        ("../val_0.JPEG\t{wnid}\t0\t0\t9\t9\n", "in line 1"),
        ("val_0.JPEG\t{wnid}\t0\t0\t9\t9\n", "has no image of class"),
    ],
)
def test_annotations_that_do_not_fit(lines, what, tmp_path, monkeypatch):
    wnids = few(monkeypatch, "tinyimagenet")
    table = tiny(tmp_path, wnids) / "val" / "val_annotations.txt"
    good = table.read_text()
    table.unlink()
    if lines:
        table.write_text(lines.format(good=good, wnid=wnids[0]))
    message = refused("tinyimagenet", tmp_path)
    assert str(table) in message
    assert what in message


def test_an_annotated_image_that_is_not_there(tmp_path, monkeypatch):
    root = tiny(tmp_path, few(monkeypatch, "tinyimagenet"))
    gone = root / "val" / "images" / "val_1.JPEG"
    gone.unlink()
    assert f"{gone} cannot be read" in refused("tinyimagenet", tmp_path)


def test_load_is_load_imagenet(tmp_path, monkeypatch):
    full(tmp_path, few(monkeypatch, "imagenet1k"))
    assert torch.equal(load_imagenet("imagenet1k", tmp_path)[1].images, load("imagenet1k", tmp_path)[1].images)
