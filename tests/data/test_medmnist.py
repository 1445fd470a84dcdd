"""MedMNIST's files as data sets: layouts, names of classes, and what is no such file."""

import numpy as np
import pytest
import torch

from cl_condense.data.datasets import load
from cl_condense.data.medmnist import CLASSES


def written(path, *, side=6, channels=3, classes=9, labels=None, **changes):
    """A file as MedMNIST's are: channels last where there are several, labels ``[n, 1]``."""
    draw, arrays = np.random.default_rng(0), {}
    shape = (side, side, channels) if channels > 1 else (side, side)
    for part, n in (("train", 3 * classes), ("val", 4), ("test", classes)):
        arrays[f"{part}_images"] = draw.integers(0, 256, (n, *shape), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(n) % classes)[:, None].astype(np.uint8)
    np.savez_compressed(path, **{k: v for k, v in {**arrays, **changes}.items() if v is not None})
    return arrays


@pytest.mark.parametrize("where", ["file", "folder"])
@pytest.mark.parametrize(("name", "channels"), [("pathmnist", 3), ("octmnist", 1)])
def test_a_set_of_medmnist_is_read_by_its_name(name, channels, where, tmp_path):
    classes = len(CLASSES[name])
    arrays = written(tmp_path / f"{name}.npz", channels=channels, classes=classes)
    train, test = load(name, tmp_path / f"{name}.npz" if where == "file" else tmp_path)
    assert (train.shape, train.names, test.names) == ((channels, 6, 6), CLASSES[name], CLASSES[name])
    assert (len(train), len(test), (test.mean, test.std)) == (3 * classes, classes, (train.mean, train.std))
    own = torch.as_tensor(arrays["test_images"])
    own = own[:, None] if channels == 1 else own.permute(0, 3, 1, 2)
    assert torch.equal(test.images, own)


def test_another_size_is_read_where_it_is_the_only_one_or_is_named(tmp_path):
    for side in (8, 10):
        written(tmp_path / f"bloodmnist_{side}.npz", side=side, classes=8)
        if side == 8:
            assert load("bloodmnist", tmp_path)[0].shape == (3, 8, 8)
    with pytest.raises(ValueError, match=r"several of its sizes \(bloodmnist_10.npz, bloodmnist_8.npz\)"):
        load("bloodmnist", tmp_path)
    assert load("bloodmnist", tmp_path / "bloodmnist_10.npz")[0].shape == (3, 10, 10)


def test_any_such_file_is_a_data_set(tmp_path):
    arrays = written(tmp_path / "mine.npz", classes=4)
    assert load("npz", tmp_path / "mine.npz")[0].names == ()
    first = {f"{part}_images": arrays[f"{part}_images"].transpose(0, 3, 1, 2) for part in ("train", "test")}
    written(tmp_path / "first.npz", classes=4, **first)
    assert torch.equal(
        load("npz", tmp_path / "first.npz")[0].images, load("npz", tmp_path / "mine.npz")[0].images
    )
    written(tmp_path / "dermamnist_64.npz", classes=7)
    assert load("npz", tmp_path / "dermamnist_64.npz")[1].names == CLASSES["dermamnist"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"test_labels": None}, r"has no test_labels \(it holds train_images \[27, 6, 6, 3\], "),
        ({"train_labels": np.zeros((27, 14), np.uint8)}, r"has 14 labels an image: give a data set of one"),
        ({"train_labels": np.zeros(26, np.uint8)}, r"has train uint8 images .* give uint8 images and a whole"),
        ({"train_images": np.zeros((27, 6, 6, 3))}, r"has train float64 images \[27, 3, 6, 6\]"),
        ({"train_images": np.zeros((27, 6, 6, 6, 1), np.uint8)}, r"has train uint8 images \[27, 6, 6, 6, 1\]"),
        ({"test_labels": np.full(9, 9, np.uint8)}, r"has a label 9, pathmnist has 9 classes: name it npz"),
        (
            {"train_images": np.array([{}] * 27, dtype=object)},
            r"cannot be read as a data set \(an array of object",
        ),
        ({"train_labels": np.full(27, -1)}, r"label -1: labels count from 0"),
    ],
)
def test_what_is_no_such_file_is_said_in_one_line(changes, said, tmp_path):
    written(tmp_path / "pathmnist.npz", **changes)
    with pytest.raises(ValueError, match=rf"pathmnist\.npz.*{said}") as error:
        load("pathmnist", tmp_path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_absent_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"has no pathmnist\.npz: name the file with --data FILE"):
        load("pathmnist", tmp_path)
    with pytest.raises(ValueError, match=r"x\.npz is not there"):
        load("npz", tmp_path / "x.npz")
