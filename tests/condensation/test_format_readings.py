"""Sets read for a data set: labels by name, mosaics, value ranges, pairs, and what is said of them."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.export import export
from cl_condense.condensation.formats.read import read
from cl_condense.condensation.formats.settling import OURS
from cl_condense.condensation.storage import decode
from cl_condense.data.class_names import classes_of
from cl_condense.data.folder import load_folder
from cl_condense.data.imageset import ImageSet

CONSTANTS = ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
MEAN, STD = (torch.tensor(values).view(-1, 1, 1) for values in CONSTANTS)
NAMES = ["zebra fish", "Äpfel/Birnen", "10", "a b", "a_b", "2", "owl", "red panda", "1-cat", "cat"]


def shaded(names, labels):
    """A set with an image a class, which all shows the number of the class among the names."""
    ids = sorted(labels)
    pixels = torch.stack([torch.full((3, 4, 4), 20.0 * names.index(labels[i])) for i in ids])
    return CondensedSet(
        stored=(pixels / 255 - MEAN) / STD,
        class_ids=tuple(ids),
        counts=(1,) * len(ids),
        mean=CONSTANTS[0],
        std=CONSTANTS[1],
        names=tuple(labels[i] for i in ids),
    )


def shades(made):
    return {
        label: round(float(x.float().mean()) / 20)
        for label, x in zip(made.labels.tolist(), made.to_pixels(), strict=True)
    }


@pytest.mark.parametrize("kind", ["pt", "png", "safetensors"])
@pytest.mark.parametrize("seed", range(20))
def test_every_class_keeps_its_images_whatever_the_order_of_names(seed, kind, tmp_path):
    draw = random.Random(seed)
    own = dict(enumerate(draw.sample(NAMES, len(NAMES))))
    theirs = own if kind == "png" else dict(enumerate(draw.sample(NAMES, len(NAMES))))
    some = draw.sample(sorted(own), draw.randint(1, 10)) if kind != "png" else own
    made = shaded(NAMES, {label: own[label] for label in some})
    path = tmp_path / ("set" if kind == "png" else f"set.{kind}")
    made.save(path) if kind == "safetensors" else export(made, path, kind)
    found = read(path, CONSTANTS, theirs)
    assert shades(found.set) == {i: NAMES.index(n) for i, n in theirs.items() if n in made.names}
    assert found.set.names == tuple(theirs[label] for label in found.set.class_ids)
    assert found.record()["classes"] == "name"
    assert "classes" not in found.said()


def test_npz_has_the_name_of_each_label_in_order(tmp_path):
    made = shaded(NAMES, {7: "red panda", 2: "a b", 4: "cat"})
    with np.load(export(made, tmp_path / "set.npz", "npz"), allow_pickle=False) as found:
        names = dict(zip(np.unique(found["labels"]).tolist(), found["names"].tolist(), strict=True))
        shown = {
            names[i]: int(x.mean()) // 20
            for i, x in zip(found["labels"].tolist(), found["images"], strict=True)
        }
    assert shown == {name: NAMES.index(name) for name in ("red panda", "a b", "cat")}


def put(folder, value, size=4):
    folder.mkdir(parents=True)
    for i in range(3):
        Image.new("L", (size, size), value).save(folder / f"{i}.png")


def test_folders_2_and_10_are_the_classes_of_a_data_set_with_folders_2_and_10(tmp_path):
    for name, value in (("2", 50), ("10", 100)):
        for part in ("data/train", "data/test", "set"):
            put(tmp_path / part / name, value)
    train, test = load_folder(tmp_path / "data")
    found = read(tmp_path / "set", (train.mean, train.std), classes_of(test))
    assert found.set.class_ids == (0, 1)
    assert found.set.names == ("10", "2")
    assert found.set.to_pixels()[:, 0, 0, 0].tolist() == [100] * 3 + [50] * 3


@pytest.mark.parametrize("huge", ["99999999999", str(2**62), "9" * 60])
def test_folders_of_huge_numbers_take_no_memory(huge, tmp_path):
    for name in (huge, "1"):
        put(tmp_path / name, 7)
    assert read(tmp_path, ((0.5,), (0.5,)), {0: huge, 1: "1"}).set.class_ids == (0, 1)
    with pytest.raises(ValueError, match=f"{tmp_path}: folder '{huge}' is no class"):
        read(tmp_path, ((0.5,), (0.5,)), {0: "a", 1: "b"})
    if int(huge) < 2**63:
        assert read(tmp_path, ((0.5,), (0.5,))).set.class_ids == (1, int(huge))


def test_a_set_without_names_goes_by_number_from_file_and_folder_and_says_so(tmp_path):
    made = replace(shaded(NAMES, {1: "owl", 12: "cat", 3: "2"}), names=())
    made.save(tmp_path / "set.safetensors")
    export(made, tmp_path / "folders", "png")
    assert sorted(p.name for p in (tmp_path / "folders").iterdir() if p.is_dir()) == ["01", "03", "12"]
    classes = {i: f"class {i}" for i in range(20)}
    for name in ("set.safetensors", "folders"):
        found = read(tmp_path / name, CONSTANTS, classes)
        assert shades(found.set) == shades(made)
        assert found.set.names == ("class 1", "class 3", "class 12")
        assert "classes by number" in found.said()
        assert "classes" in found.record()["assumed"]


def published(path, *pairs, **extra):
    torch.save({"data": [list(pair) for pair in pairs], **extra}, path)
    return path


def images(low, high, shape=(4, 3, 8, 8)):
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * (high - low) + low
    x.view(-1)[:2] = torch.tensor([low, high])
    return x


LABELS = torch.tensor([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("low", "high", "space"),
    [
        (0.0, 1.0, "unit"),
        (0.2, 0.8, "unit"),
        (0.0, 255.0, "pixels"),
        (3.0, 20.5, "pixels"),
        (-2.4, 2.7, "normalised"),
        (0.0, 1.01, "normalised"),
        (-0.01, 1.0, "normalised"),
        (0.0, 20.0, "normalised"),
        (-1.0, 255.0, "normalised"),
    ],
)
def test_the_range_of_values_says_what_they_are(low, high, space, tmp_path):
    x = images(low, high)
    path = published(tmp_path / "set.pt", (x, LABELS))
    expected = {"unit": (x - MEAN) / STD, "pixels": (x / 255 - MEAN) / STD, "normalised": x}
    for asked in ("auto", *expected):
        found = read(path, CONSTANTS, space=asked)
        right = space if asked == "auto" else asked
        torch.testing.assert_close(found.set.pixels, expected[right][[0, 2, 1, 3]])
        assert found.record()["space"] == right
        assert ("space" in found.record()["assumed"]) == (asked == "auto")


@pytest.mark.parametrize("space", ["unit", "normalised"])
def test_a_list_is_told_by_most_of_its_values_where_some_go_far(space, tmp_path):
    x = images(0, 1) if space == "unit" else (images(0, 1) - MEAN) / STD
    x.view(-1)[:2] = torch.tensor([-2.5, 3.0])
    torch.save([x, LABELS], tmp_path / "set.pt")
    assert read(tmp_path / "set.pt", CONSTANTS).record()["space"] == space


def test_bytes_are_pixels(tmp_path):
    x = images(0, 255).to(torch.uint8)
    path = published(
        tmp_path / "set.pt", (x // 255, LABELS)
    )  # 0 and 1, which floats of the unit range have too
    found = read(path, CONSTANTS)
    torch.testing.assert_close(found.set.pixels, ((x // 255) / 255 - MEAN)[[0, 2, 1, 3]] / STD)
    assert found.record()["space"] == "pixels"
    with pytest.raises(ValueError, match=r"set\.pt: space unit contradicts the file, which has space pixels"):
        read(path, CONSTANTS, space="unit")


def test_undecoded_mosaics_are_decoded_as_they_were_made(tmp_path):
    """As IDC, DANCE and NCFM leave them: values 0 to 1, four images in one."""
    x = images(0, 1)
    found = read(published(tmp_path / "set.pt", (x, LABELS)), CONSTANTS, factor=2, space="unit")
    ones = decode(((x - MEAN) / STD)[LABELS == 1], 2)
    decoded, labels = found.set.decode()
    assert labels.tolist() == [0] * 8 + [1] * 8
    torch.testing.assert_close(decoded[8:], ones)
    torch.testing.assert_close(ones[0, :, 0, 0], ((x - MEAN) / STD)[1, :, 0, 0])
    assert found.said() == "values 0 to 1, 4 images in one"
    with pytest.raises(ValueError, match=r"set\.pt: .*partition factor 3 for images of 8x8"):
        read(tmp_path / "set.pt", CONSTANTS, factor=3)


def test_what_was_assumed_is_said_and_recorded(tmp_path):
    path = published(tmp_path / "set.pt", *[(images(-2, 2), LABELS)] * 5)
    classes = {0: "cat", 1: "dog"}
    found = read(path, CONSTANTS, classes)
    assert found.said() == "assumed: values normalised, one image in one, classes by number; pair 5 of 5"
    record = {"space": "normalised", "factor": 1, "pair": [5, 5], "classes": "number"}
    assert json.loads(json.dumps(found.record())) == record | {"assumed": ["space", "factor", "classes"]}
    found = read(path, CONSTANTS, classes, pair=2, factor=2, space="normalised")
    assert found.said() == "assumed: classes by number; values normalised, 4 images in one, pair 2 of 5"
    path = published(tmp_path / "one.pt", (images(-2, 2), LABELS))
    assert "pair" not in read(path, CONSTANTS).said()


def test_our_own_files_leave_nothing_to_assume(tmp_path):
    made = replace(shaded(NAMES, {0: "cat", 1: "owl"}), factor=2, mean=(0.1, 0.2, 0.3))
    made.save(tmp_path / "set.safetensors")
    export(made, tmp_path / "set.pt", "pt")
    for name, factor in (("set.safetensors", 2), ("set.pt", 1)):
        found = read(tmp_path / name, CONSTANTS, {0: "owl", 1: "cat"})
        assert found.said() == ""
        assert found.record()["factor"] == factor
        assert found.set.mean == made.mean  # its own
        again = read(tmp_path / name, CONSTANTS, {0: "owl", 1: "cat"}, factor=factor, space="normalised")
        assert torch.equal(again.set.pixels, found.set.pixels)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        (
            "set.safetensors",
            {"factor": 2},
            "factor 2 contradicts the file, which has factor 1: leave factor out",
        ),
        ("set.safetensors", {"space": "unit"}, "space unit contradicts the file, which has space normalised"),
        ("set.safetensors", {"pair": 1}, "pair 1: .* has no pairs"),
        ("ours.pt", {"factor": 2}, "factor 2 contradicts the file"),
        ("ours.pt", {"space": "pixels"}, "space pixels contradicts the file"),
        ("images", {"space": "normalised"}, "space normalised contradicts the file, which has space pixels"),
        ("images", {"pair": 1}, "pair 1: .* has no pairs"),
        ("five.pt", {"pair": 6}, "pair 6: .* has 5: give 1 to 5, or leave pair out for the last"),
    ],
)
def test_options_that_contradict_a_file_or_do_not_apply_are_refused(name, options, said, tmp_path):
    made = shaded(NAMES, {0: "cat", 1: "owl"})
    made.save(tmp_path / "set.safetensors")
    export(made, tmp_path / "ours.pt", "pt")
    export(made, tmp_path / "images", "png")
    published(tmp_path / "five.pt", *[(images(-2, 2), LABELS)] * 5)
    with pytest.raises(ValueError, match=said) as error:
        read(tmp_path / name, CONSTANTS, **options)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pair": 0}, "pair 0: give 1 or more"),
        ({"pair": -1}, "pair -1: give 1 or more"),
        ({"factor": 0}, "factor 0: give 1 or more"),
        ({"space": "normalized"}, "space 'normalized': use auto, normalised, unit, pixels"),
    ],
)
def test_options_that_no_file_takes_are_refused(options, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        read(tmp_path / "absent.pt", CONSTANTS, **options)


def test_channels_that_come_last_are_seen_and_said(tmp_path):
    x = images(0, 1, (4, 8, 8, 3))
    found = read(published(tmp_path / "set.pt", (x, LABELS)), CONSTANTS)
    torch.testing.assert_close(found.set.pixels, ((x.permute(0, 3, 1, 2) - MEAN) / STD)[[0, 2, 1, 3]])
    assert "channels last" in found.said()
    assert found.record()["layout"] == "last"


@pytest.mark.parametrize(
    "known",
    [
        [],
        {},
        {"names": [1], "mean": [0.5] * 3, "std": [0.5] * 3, "space": "unit", "factor": 1},
        {"names": ["a", "b"], "mean": 0.5, "std": [0.5] * 3, "space": "unit", "factor": 1},
        {"names": ["a", "b"], "mean": [0.5] * 3, "std": [0.5] * 3, "space": "any", "factor": 1},
        {"names": ["a", "b"], "mean": [0.5] * 3, "std": [0.5] * 3, "space": ["unit"], "factor": 1},
        {"names": ["a", "b"], "mean": [0.5] * 3, "std": [0.5] * 3, "space": "unit", "factor": True},
        {"names": ["a"], "mean": [0.5] * 3, "std": [0.5] * 3, "space": "unit", "factor": 1},
        {"names": ["a", "b"], "mean": [0.5] * 2, "std": [0.5] * 3, "space": "unit", "factor": 1},
        {"names": ["a", "b"], "mean": [0.5] * 3, "std": [0.0] * 3, "space": "unit", "factor": 1},
        {"names": ["a", "b"], "mean": [float("nan")] * 3, "std": [0.5] * 3, "space": "unit", "factor": 1},
    ],
)
def test_what_is_damaged_in_our_part_of_a_file_is_refused_in_one_line(known, tmp_path):
    path = published(tmp_path / "set.pt", (images(0, 1), LABELS), **{OURS: known})
    with pytest.raises(ValueError, match=r"set\.pt") as error:
        read(path, CONSTANTS)
    assert "\n" not in str(error.value)


def test_a_set_of_grey_images_does_not_pass_for_one_of_colour(tmp_path):
    put(tmp_path / "cat", 7)
    with pytest.raises(ValueError, match=f"{tmp_path}: .*does not fit images of 1 channel"):
        read(tmp_path, CONSTANTS, {0: "cat"})


def test_images_with_channels_last_are_no_image_set():
    for x in (np.zeros((5, 32, 32, 3), np.uint8), torch.zeros(5, 28, 28, 1), torch.zeros(5, 8, 6, 4)):
        with pytest.raises(ValueError, match=r"channels last: .*permute\(0, 3, 1, 2\)") as error:
            ImageSet.of(x, [0] * 5)
        assert str(tuple(x.shape)) in str(error.value)
        assert "\n" not in str(error.value)
    for shape in ((5, 1, 4, 4), (5, 3, 4, 4), (5, 4, 9, 3), (5, 3, 1, 1), (5, 2, 8, 8)):
        assert ImageSet.of(torch.zeros(shape), [0] * 5).shape == shape[1:]
