"""Data sets of several domains: what is turned, permuted, listed, or lies in folders."""

import pytest
import torch
from PIL import Image

from cl_condense.data.datasets import load
from cl_condense.data.domains import load_domains
from cl_condense.data.parts import label_and_domain, labels_of, part_of


def images_of(images, domain, label=3):
    own = images.only([part_of(label, domain)])
    return own.images


def test_rotated_domains_are_the_images_turned_in_equal_steps_below_180():
    plain, _ = load("digits")
    train, test = load_domains("rotated_digits", domains=2)
    assert [label_and_domain(c) for c in train.class_ids] == [(y, d) for d in (0, 1) for y in range(10)]
    assert train.class_ids == test.class_ids
    assert train.names[3] == "0 degrees/3"
    assert train.names[13] == "90 degrees/3"
    assert (train.mean, train.std) == (plain.mean, plain.std)
    assert torch.equal(images_of(train, 0), plain.only([3]).images)
    assert torch.equal(images_of(train, 1), plain.only([3]).images.rot90(1, (2, 3)))
    assert labels_of(train.labels).unique().tolist() == list(range(10))
    assert [n.split()[0] for n in load_domains("rotated_digits")[0].names[::10]] == [
        "0",
        "36",
        "72",
        "108",
        "144",
    ]


def test_permuted_domains_have_the_same_pixels_in_orders_that_stay():
    train, test = load_domains("permuted_digits", domains=3)
    again, _ = load_domains("permuted_digits", domains=2)
    first, second, third = (images_of(train, d).flatten(1) for d in range(3))
    assert torch.equal(images_of(again, 1).flatten(1), second)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    assert torch.equal(first.sort(1).values, second.sort(1).values)
    # one order for all images of a domain, training and test
    varied = images_of(test, 0, 0).flatten(1).float(), images_of(test, 1, 0).flatten(1).float()
    assert torch.equal(varied[0].sum(0).sort().values, varied[1].sum(0).sort().values)


def picture(path, value, size=6, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (size, size), value if mode == "L" else (value,) * 3).save(path)


def test_a_folder_a_domain_joins_classes_by_name_and_makes_sizes_and_channels_alike(tmp_path):
    for i in range(3):
        picture(tmp_path / f"photo/cat/{i}.png", 10 + i, 8, "RGB")
        picture(tmp_path / f"photo/dog/{i}.png", 20 + i, 8, "RGB")
        picture(tmp_path / f"sketch/dog/{i}.png", 30 + i)
        picture(tmp_path / f"sketch/owl/{i}.png", 40 + i)
    train, test = load_domains("folder", tmp_path)
    assert train.shape == test.shape == (3, 8, 8)
    assert train.names == test.names == ("photo/cat", "photo/dog", "sketch/dog", "sketch/owl")
    assert [label_and_domain(c) for c in train.class_ids] == [(0, 0), (1, 0), (1, 1), (2, 1)]
    assert (train.images[train.labels == part_of(1, 1)] // 10 == 3).all()
    assert train.mean[0] == pytest.approx(train.images.double().mean() / 255)


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("digits", {}, "digits is one domain: give rotated_mnist"),
        ("rotated_digitz", {}, "unknown data set 'digitz': did you mean 'digits'"),
        ("rotated_folder", {}, "rotated_folder: folder has domains of its own"),
        ("digits,digits", {}, "digits,digits: name each of them once"),
        ("digits,folder", {}, "digits,folder: folder alone is a folder a domain"),
        ("rotated_digits", {"domains": 1}, "domains 1: give a whole number from 2"),
        (
            "rotated_digits",
            {"domains": 181},
            "181 domains: rotated_digits is turned by whole degrees below 180",
        ),
        ("folder", {}, "folder is read from files: name the folder of the domains' folders"),
        ("folder", {"data": "."}, "has 0 folders: a domain is a folder of class folders; give 2 or more"),
    ],
)
def test_other_names_and_numbers_get_a_line(name, more, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        load_domains(name, **more)
