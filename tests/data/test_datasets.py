import os
import pickle
import warnings
from dataclasses import replace
from hashlib import md5
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.datasets import SVHN

from cl_condense.common.progress import Progress
from cl_condense.data import datasets
from cl_condense.data.datasets import NAMES, SOURCES, load
from cl_condense.data.folder import load_folder


class Payload:
    """A pickle of this makes a folder when it is loaded."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def refused(*args, **kwargs):
    with pytest.raises(ValueError, match=r".") as caught:
        load(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def folder_refused(*args, **kwargs):
    with pytest.raises(ValueError, match=r".") as caught:
        load_folder(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def put(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def real(name):
    """The folder with the real files of a set, or a skip with the reason."""
    data = os.environ.get("CL_CONDENSE_DATA")
    if not data:
        pytest.skip("CL_CONDENSE_DATA names no folder with the real data sets")
    if not (Path(data) / SOURCES[name].folder).is_dir():
        pytest.skip(f"CL_CONDENSE_DATA has no {SOURCES[name].folder}")
    return Path(data)


def first_of(images, class_id):
    """The first image of a class: ImageSet keeps the order within classes."""
    return images.images[sum(n for c, n in zip(images.class_ids, images.counts, strict=True) if c < class_id)]


def test_digits_are_scikit_learns_and_split_by_class():
    train, test = load("digits")
    raw = load_digits()
    per_class = np.bincount(raw.target)
    assert len(train) + len(test) == len(raw.target) == 1797
    assert train.class_ids == test.class_ids == tuple(range(10))
    assert test.counts == tuple(round(n / 5) for n in per_class)
    assert train.shape == (1, 8, 8)
    assert train.images.dtype == torch.uint8
    assert train.names == tuple("0123456789")
    # each image is there once, with its own label: so the parts are disjoint too
    expected = [(t, *np.rint(x.ravel() * 255 / 16)) for t, x in zip(raw.target, raw.images, strict=True)]
    found = [
        (label, *pixels)
        for part in (train, test)
        for label, pixels in zip(part.labels.tolist(), part.images.flatten(1).tolist(), strict=True)
    ]
    assert sorted(found) == sorted(expected)


def test_digits_split_is_the_same_on_every_machine():
    (train, test), (again, test_again) = load("digits"), load("digits")
    assert torch.equal(train.images, again.images)
    assert torch.equal(test.images, test_again.images)
    assert md5(test.images.numpy().tobytes()).hexdigest() == "0e84aae02788d0b97448759a802a23a9"


def test_digits_are_normalised_by_the_training_part():
    train, test = load("digits")
    assert (test.mean, test.std) == (train.mean, train.std)
    pixels = train.take(torch.arange(len(train)))
    assert abs(float(pixels.mean())) < 1e-4
    assert abs(float(pixels.std()) - 1) < 1e-4


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("cifra10", "cifar10"),
        ("CIFAR-100", "cifar100"),
        ("fashion-mnist", "fashion_mnist"),
        ("tiny-imagenet-200", "tinyimagenet"),
        ("ImageNet-100", "imagenet100"),
    ],
)
def test_unknown_name_suggests_the_nearest(name, nearest):
    message = refused(name)
    assert repr(name) in message
    assert f"did you mean {nearest!r}?" in message
    assert all(known in message for known in NAMES)


def test_unknown_name_without_a_near_one(tmp_path):
    assert "did you mean" not in refused("zzz")
    assert f"give folder and --data {tmp_path}" in refused(str(tmp_path))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits"])
def test_sets_of_files_need_data(name):
    assert "--data" in refused(name)


@pytest.mark.parametrize("name", SOURCES)
def test_missing_files_are_named_with_the_remedy(name, tmp_path):
    message = refused(name, tmp_path / "nowhere")
    source = SOURCES[name]
    assert str(tmp_path / "nowhere" / source.folder) in message
    assert all(file in message for file in source.md5)
    assert "missing" in message
    assert "--data" in message
    assert "--download" in message
    if source.folder:
        assert f"contains {source.folder}/" in message


@pytest.mark.parametrize("name", SOURCES)
def test_a_damaged_file_is_named_with_the_remedy(name, tmp_path):
    source = SOURCES[name]
    first = tmp_path / source.folder / next(iter(source.md5))
    first.parent.mkdir(parents=True, exist_ok=True)
    first.write_bytes(b"cut short")
    message = refused(name, tmp_path)
    assert f"{first} is damaged" in message
    assert "--download" in message


@pytest.mark.parametrize(("name", "file"), [(n, f) for n in ("cifar10", "cifar100") for f in SOURCES[n].md5])
def test_a_pickle_of_others_is_not_run(name, file, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    payload = pickle.dumps(Payload(marker))
    pickle.loads(payload)
    marker.rmdir()  # so the payload works
    source = SOURCES[name]
    inner = tmp_path / source.folder
    inner.mkdir()
    for other in source.md5:
        (inner / other).write_bytes(pickle.dumps({}))
    (inner / file).write_bytes(payload)
    # the other files pass, so that this one alone stands between the payload and pickle
    sums = {other: md5((inner / other).read_bytes()).hexdigest() for other in source.md5}
    monkeypatch.setitem(SOURCES, name, replace(source, md5={**sums, file: source.md5[file]}))
    assert f"{inner / file} is damaged or not the official file" in refused(name, tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize("file", ["train", "meta"])
def test_torchvision_refuses_such_a_pickle_too(file, tmp_path):
    data = real("cifar100")
    marker, inner = tmp_path / "marker", tmp_path / "cifar-100-python"
    inner.mkdir()
    for other in SOURCES["cifar100"].md5:
        (inner / other).symlink_to(data / "cifar-100-python" / other)
    (inner / file).unlink()
    (inner / file).write_bytes(pickle.dumps(Payload(marker)))
    with pytest.raises(RuntimeError, match="corrupted"):
        datasets.CIFAR100(str(tmp_path))
    assert str(inner / file) in refused("cifar100", tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize(("name", "n"), [("cifar10", (5000, 1000)), ("cifar100", (500, 100))])
def test_real_cifar(name, n):
    data = real(name)
    train, test = load(name, data)
    classes = 10 if name == "cifar10" else 100
    assert (len(train), len(test)) == (50000, 10000)
    assert train.counts == (n[0],) * classes
    assert test.counts == (n[1],) * classes
    assert train.shape == test.shape == (3, 32, 32)
    assert train.images.dtype == torch.uint8
    known = {
        # the first training and test image: label, its name, the pixel in the upper left corner
        "cifar10": ((6, "frog", (59, 62, 63)), (3, "cat", (158, 112, 49))),
        "cifar100": ((19, "cattle", (255, 255, 255)), (49, "mountain", (199, 215, 249))),
    }
    for part, (label, called, corner) in zip((train, test), known[name], strict=True):
        assert part.names[label] == called
        assert tuple(first_of(part, label)[:, 0, 0].tolist()) == corner
    for channel in range(3):
        counts = np.bincount(train.images[:, channel].numpy().ravel(), minlength=256)
        grey = np.arange(256) / 255
        mean = np.average(grey, weights=counts)
        assert train.mean[channel] == pytest.approx(mean, abs=1e-4)
        if name == "cifar100":
            std = np.sqrt(np.average((grey - mean) ** 2, weights=counts))
            assert train.std[channel] == pytest.approx(std, abs=1e-4)
    assert (test.mean, test.std) == (train.mean, train.std)


def test_real_cifar_from_its_inner_folder(monkeypatch):
    inner = real("cifar100") / "cifar-100-python"
    assert len(load("cifar100", inner)[1]) == 10000
    monkeypatch.chdir(inner)
    assert len(load("cifar100", ".")[1]) == 10000


def idx(magic, array):
    header = np.array([magic, *array.shape], dtype=">u4").tobytes()
    return header + array.tobytes()


def made_up_mnist(name, root, monkeypatch):
    """Small files in MNIST's format that pass for the official ones."""
    folder = root / SOURCES[name].folder
    folder.mkdir(parents=True)
    arrays = [noise(1, 12, 28, 28), np.arange(12, dtype=np.uint8) % 10]
    arrays += [noise(2, 10, 28, 28), np.arange(10, dtype=np.uint8)[::-1].copy()]
    for file, magic, array in zip(SOURCES[name].md5, (2051, 2049) * 2, arrays, strict=True):
        (folder / file).write_bytes(idx(magic, array))
    sums = {file: md5((folder / file).read_bytes()).hexdigest() for file in SOURCES[name].md5}
    monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], md5=sums))
    return arrays


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("below", ["", "{first}", "{first}/raw"])
def test_mnist_files(name, below, tmp_path, monkeypatch):
    pixels, labels, test_pixels, _ = made_up_mnist(name, tmp_path, monkeypatch)
    top = SOURCES[name].folder.split("/")[0]
    train, test = load(name, tmp_path / below.format(first=top))
    order = np.argsort(labels, kind="stable")
    assert np.array_equal(train.images[:, 0].numpy(), pixels[order])
    assert train.labels.tolist() == sorted(labels.tolist())
    assert np.array_equal(test.images[:, 0].numpy(), test_pixels[::-1])
    assert train.names[9] == {"mnist": "9", "fashion_mnist": "Ankle boot"}[name]
    assert (train.mean, train.std) == (SOURCES[name].mean, SOURCES[name].std)
    assert train.mean == {"mnist": (0.1307,), "fashion_mnist": (0.2861,)}[name]


def test_mnist_in_a_folder_of_the_same_name(tmp_path, monkeypatch):
    made_up_mnist("mnist", tmp_path / "MNIST", monkeypatch)
    assert len(load("mnist", tmp_path / "MNIST")[0]) == 12


def test_mnist_leaves_files_of_old_torchvision_alone(tmp_path, monkeypatch):
    pixels, labels, *_ = made_up_mnist("mnist", tmp_path, monkeypatch)
    processed = tmp_path / "MNIST" / "processed"
    processed.mkdir()
    for file in ("training.pt", "test.pt"):
        torch.save((torch.zeros(10, 28, 28, dtype=torch.uint8), torch.arange(10)), processed / file)
    train, _ = load("mnist", tmp_path)
    assert np.array_equal(train.images[:, 0].numpy(), pixels[np.argsort(labels, kind="stable")])


def test_svhn_files(tmp_path, monkeypatch):
    from scipy.io import savemat

    pixels, sums = noise(3, 32, 32, 3, 20), {}
    labels = np.arange(20, dtype=np.uint8)[:, None] % 10 + 1
    split = dict(SVHN.split_list)
    for part in ("train", "test"):
        file = f"{part}_32x32.mat"
        savemat(tmp_path / file, {"X": pixels, "y": labels})
        sums[file] = md5((tmp_path / file).read_bytes()).hexdigest()
        split[part] = [split[part][0], file, sums[file]]
    monkeypatch.setitem(SOURCES, "svhn", replace(SOURCES["svhn"], md5=sums))
    monkeypatch.setattr(SVHN, "split_list", split)
    train, test = load("svhn", tmp_path)
    assert (len(train), len(test)) == (20, 20)
    assert train.shape == (3, 32, 32)
    # the file calls the digit 0 "10": rows 9 and 19
    assert np.array_equal(first_of(train, 0).numpy(), pixels[..., 9].transpose(2, 0, 1))
    assert np.array_equal(first_of(train, 1).numpy(), pixels[..., 0].transpose(2, 0, 1))


def test_download_only_on_request_and_only_where_needed(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(datasets, "download_and_extract_archive", lambda *a, **k: calls.append((a, k)))
    made_up_mnist("mnist", tmp_path, monkeypatch)
    load("mnist", tmp_path, download=True)
    broken = tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte"
    broken.write_bytes(b"cut short")
    refused("mnist", tmp_path)
    assert calls == []
    # what was fetched is compared as well, and refused
    assert f"{broken} is damaged" in refused("mnist", tmp_path, download=True)
    assert [(args[1], kwargs["md5"]) for args, kwargs in calls] == [
        (str(tmp_path / "MNIST/raw"), packed) for _, packed in datasets.MNIST.resources
    ]


def test_download_mends_a_damaged_file(tmp_path, monkeypatch):
    made_up_mnist("mnist", tmp_path, monkeypatch)
    broken = tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte"
    whole = broken.read_bytes()
    broken.write_bytes(b"cut short")

    def fetch(url, folder, md5):
        if "t10k-labels" in url:
            (Path(folder) / "t10k-labels-idx1-ubyte").write_bytes(whole)

    monkeypatch.setattr(datasets, "download_and_extract_archive", fetch)
    assert len(load("mnist", tmp_path, download=True)[1]) == 10


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("error", [URLError("no\nnetwork"), RuntimeError("File not found or corrupted.")])
def test_a_failed_download_is_one_clear_line(name, error, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(datasets, "download_and_extract_archive", fail)
    monkeypatch.setattr(datasets, "download_url", fail)
    message = refused(name, tmp_path, download=True)
    assert message.startswith(f"{name} was not fetched to {tmp_path}")


@pytest.fixture
def parted(tmp_path):
    """train/ and test/ with two classes of PNG and JPEG files, and files to be passed over."""
    for seed, name in enumerate(("dog", "cat")):
        for i in range(3):
            put(tmp_path / "train" / name / f"{i}.png", noise(10 * seed + i, 6, 5, 3))
        put(tmp_path / "test" / name / "0.PNG", noise(10 * seed + 7, 6, 5, 3))
        put(tmp_path / "test" / name / "1.JPeG", np.full((6, 5, 3), 100 * seed + 50, np.uint8))
        for other in (".hidden.png", "Thumbs.db", "notes.txt", "more.gif"):
            (tmp_path / "train" / name / other).write_bytes(b"not an image")
    (tmp_path / "train" / ".cache").mkdir()
    return tmp_path


def test_folder_with_train_and_test(parted):
    train, test = load("folder", parted)
    assert train.names == test.names == ("cat", "dog")
    assert (train.counts, test.counts) == ((3, 3), (2, 2))
    assert train.shape == (3, 6, 5)
    for class_id, seed in ((0, 1), (1, 0)):  # sorted: cat, then dog
        for i in range(3):
            expected = noise(10 * seed + i, 6, 5, 3).transpose(2, 0, 1)
            assert np.array_equal(train.images[3 * class_id + i].numpy(), expected)
        expected = noise(10 * seed + 7, 6, 5, 3).transpose(2, 0, 1)
        assert np.array_equal(test.images[2 * class_id].numpy(), expected)
        assert (test.images[2 * class_id + 1].int() - (100 * seed + 50)).abs().max() <= 3
    pixels = train.images.transpose(0, 1).flatten(1).double() / 255
    torch.testing.assert_close(torch.tensor(test.mean).double(), pixels.mean(1), atol=1e-6, rtol=0)


def flat(root, classes=("a", "b"), n=10):
    for label, name in enumerate(classes):
        for i in range(n):
            put(root / name / f"{i:02}.png", np.full((4, 4), 100 * label + i, np.uint8))


def values(images):
    return images.images[:, 0, 0, 0].tolist()


def test_folder_of_classes_is_split(tmp_path):
    flat(tmp_path)
    train, test = load("folder", str(tmp_path))
    assert (train.counts, test.counts) == ((8, 8), (2, 2))
    assert sorted(values(train) + values(test)) == [*range(10), *range(100, 110)]
    assert all(
        v // 100 == label for part in (train, test) for v, label in zip(values(part), part.labels, strict=True)
    )
    # pinned, so that the split stays what it is from machine to machine
    assert values(test) == [5, 6, 104, 107]


def test_the_split_of_a_class_does_not_depend_on_the_others(tmp_path):
    flat(tmp_path / "two")
    flat(tmp_path / "one", ("b",))
    both, alone = load_folder(tmp_path / "two")[1], load_folder(tmp_path / "one")[1]
    assert [v - 100 for v in values(both) if v >= 100] == values(alone)


def test_a_class_called_train_is_a_class(tmp_path):
    flat(tmp_path, ("bus", "train"))
    assert load_folder(tmp_path)[0].names == ("bus", "train")


@pytest.mark.parametrize("n", [2, 3])
def test_small_classes_have_one_image_for_testing(n, tmp_path):
    flat(tmp_path, n=n)
    train, test = load_folder(tmp_path)
    assert (train.counts, test.counts) == ((n - 1,) * 2, (1, 1))


def test_greyscale_files_give_one_channel(tmp_path):
    flat(tmp_path)
    Image.fromarray(noise(0, 4, 4)).convert("1").save(tmp_path / "a" / "bits.png")
    train, test = load_folder(tmp_path)
    assert train.shape == test.shape == (1, 4, 4)


def test_one_colour_file_gives_all_three_channels(tmp_path):
    flat(tmp_path)
    put(tmp_path / "b" / "colour.bmp", np.full((4, 4, 3), (10, 20, 30), np.uint8))
    train, test = load_folder(tmp_path)
    assert train.shape == test.shape == (3, 4, 4)
    images = torch.cat([train.images, test.images])
    coloured = (images[:, 0] != images[:, 2]).flatten(1).any(1)
    assert int(coloured.sum()) == 1
    assert images[coloured][0, :, 0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK"])
def test_other_kinds_of_images_become_colour_without_warnings(mode, tmp_path):
    flat(tmp_path)
    image = Image.fromarray(np.full((4, 4, 3), (204, 204, 204), np.uint8)).convert(mode)
    if mode == "P":
        image.info["transparency"] = bytes(range(256))
    image.save(tmp_path / "a" / ("x.jpg" if mode == "CMYK" else "x.png"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train, test = load_folder(tmp_path)
    assert train.shape == (3, 4, 4)
    images = torch.cat([train.images, test.images])
    assert int(((images.int() - 204).abs() < 4).flatten(1).all(1).sum()) == 1


def test_size_takes_the_middle_square(tmp_path):
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 4:8] = 255
    for name in ("a", "b"):
        for i in range(2):
            put(tmp_path / name / f"{i}.png", wide if i else wide.T)
    train, test = load_folder(tmp_path, size=4)
    assert train.shape == (1, 4, 4)
    assert int(train.images.min()) == int(test.images.min()) == 255
    told = []
    assert load_folder(tmp_path, size=7, on_progress=told.append)[1].shape == (1, 7, 7)
    assert told == [Progress("decoding", i, 4) for i in (1, 2, 3, 4)]


@pytest.mark.parametrize("size", [0, -3])
def test_a_size_below_one_is_refused(size, tmp_path):
    assert f"size {size}" in folder_refused(tmp_path, size=size)


def test_images_of_unequal_size(tmp_path):
    flat(tmp_path)
    put(tmp_path / "b" / "wide.png", noise(0, 4, 7))
    message = refused("folder", tmp_path)
    assert f"images of 2 sizes, 4 x 4 (20 images, {tmp_path / 'a' / '00.png'})" in message
    assert f"7 x 4 ({tmp_path / 'b' / 'wide.png'}): bring all to one, for example with --size 4" in message


@pytest.mark.parametrize("content", ["short", "text", "empty", "gif", "folder"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_damaged_image_is_named(content, suffix, tmp_path):
    flat(tmp_path)
    bad = tmp_path / "a" / f"bad{suffix}"
    put(bad, noise(0, 64, 64, 3))
    load_folder(tmp_path, size=4)
    whole = bad.read_bytes()
    bad.unlink()
    if content == "gif":
        Image.fromarray(noise(0, 4, 4)).save(bad, format="GIF")
    elif content == "folder":
        bad.mkdir()
    else:
        bad.write_bytes({"short": whole[: len(whole) // 2], "text": b"hello", "empty": b""}[content])
    message = folder_refused(tmp_path, size=4)
    why = "a folder, not a file" if content == "folder" else "damaged"
    assert f"{bad} is {why}" in message


@pytest.mark.parametrize("most", [40, 20])  # Pillow warns above the limit and refuses above twice the limit
def test_images_of_too_many_pixels_are_refused(most, tmp_path, monkeypatch):
    flat(tmp_path)
    put(tmp_path / "b" / "zz.png", noise(0, 8, 8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    message = refused("folder", tmp_path)
    assert f"{tmp_path / 'b' / 'zz.png'} has too many pixels" in message


def test_a_class_without_images(parted):
    (parted / "train" / "eel").mkdir()
    (parted / "train" / "eel" / "notes.txt").write_text("none yet")
    message = refused("folder", parted)
    assert "class 'eel'" in message
    assert ".png" in message


@pytest.mark.parametrize(("part", "other"), [("test", "train"), ("train", "test")])
def test_a_class_in_one_part_only(part, other, parted):
    put(parted / part / "eel" / "0.png", noise(0, 6, 5, 3))
    message = refused("folder", parted)
    assert f"class 'eel' has no folder {parted / other / 'eel'}" in message


def test_a_class_of_one_image_cannot_be_split(tmp_path):
    flat(tmp_path)
    put(tmp_path / "c" / "0.png", noise(0, 4, 4))
    assert "class 'c' has 1 image" in refused("folder", tmp_path)


def test_a_test_part_alone(parted):
    (parted / "train").rename(parted / ".train")
    assert f"none in train: add {parted / 'train' / 'CLASS'}" in refused("folder", parted)


def test_folders_that_do_not_hold_images(tmp_path):
    assert "no class folders" in refused("folder", tmp_path)
    put(tmp_path / "x.png", noise(0, 4, 4))
    assert "no class folders" in refused("folder", tmp_path)
    assert f"{tmp_path / 'x.png'} is not a folder" in refused("folder", tmp_path / "x.png")
    assert f"{tmp_path / 'none'} is not a folder" in refused("folder", tmp_path / "none")
