"""The set and its file: nothing lost, nothing run, and one line for whatever is wrong."""

import json
import pickle
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from small_sets import same

from cl_condense.condensation.condensed_set import CondensedSet, read_header
from cl_condense.data.imageset import ImageSet

META = "cl-condense 2"


def sample(counts=(2, 1, 3), factor=1, names=("ant", "bee", "cat"), seed=0, shape=(3, 8, 8)):
    generator = torch.Generator().manual_seed(seed)
    return CondensedSet(
        torch.randn((sum(counts), *shape), generator=generator),
        class_ids=(1, 4, (7 << 32) + 2)[: len(counts)],
        counts=counts,
        mean=(0.1, 0.2, 1 / 3)[: shape[0]],
        std=(0.3, 0.5, 2 / 3)[: shape[0]],
        factor=factor,
        names=names[: len(counts)],
        recipe={"name": "ddm", "terms": {"mean_matching": 1.0}, "lr": 0.1},
        seed=2**62,
        versions={"torch": "2"},
    )


@pytest.mark.parametrize("name", ["a.safetensors", "ein Gedächtnis.safetensors", "no suffix"])
@pytest.mark.parametrize("as_type", [str, Path])
def test_a_file_gives_back_every_field(tmp_path, as_type, name):
    path = as_type(tmp_path / name)
    for one in (sample(), sample(factor=2, names=()), sample(counts=(3,), names=("é\n\"'",), shape=(1, 4, 6))):
        one.save(path)
        same(CondensedSet.load(path), one)


def test_views_and_odd_values_are_kept_to_the_bit(tmp_path):
    path = tmp_path / "a.safetensors"
    pixels = torch.tensor([0.0, -0.0, 1e-45, 3e38]).repeat(8, 6, 4, 1).transpose(0, 1)[::2, :3]
    one = replace(sample(), stored=pixels, class_ids=(1,), counts=(3,), names=())
    one.save(path)
    assert torch.equal(CondensedSet.load(path).pixels.view(torch.int32), pixels.contiguous().view(torch.int32))


def test_extra_entries_come_back_and_do_not_disturb_the_set(tmp_path):
    path, one = tmp_path / "a.safetensors", sample()
    extra = {"seen": [[1, 20], [4, 3]], "factor": "x", "text": "ü", "nothing": None, "nested": {"a": [1.5]}}
    one.save(path, **extra)
    assert read_header(path) == extra
    same(CondensedSet.load(path), one)
    one.save(path)
    assert read_header(path) == {}


@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt()], ids=repr)
def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch, error):
    path, old = tmp_path / "a.safetensors", sample()
    old.save(path, kept=1)

    write = Path.write_bytes

    def fail(file, data):
        write(file, data[: len(data) // 2])
        raise error

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(ValueError if isinstance(error, OSError) else type(error)):
        sample(seed=1).save(path)
    monkeypatch.undo()
    same(CondensedSet.load(path), old)
    assert read_header(path) == {"kept": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_an_extra_entry_that_is_no_json_leaves_the_old_file(tmp_path):
    path, old = tmp_path / "a.safetensors", sample()
    old.save(path)
    with pytest.raises(ValueError, match="give text, numbers"):
        sample(seed=1).save(path, bad=object())
    same(CondensedSet.load(path), old)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def refused(path):
    """Both readers' one-line error."""
    for read in (CondensedSet.load, read_header):
        with pytest.raises(ValueError, match=re.escape(str(path))) as error:
            read(path)
        assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.1, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = tmp_path / "a.safetensors"
    sample().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"\xff" * 100, b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"some\ntext\n" * 9],
    ids=["empty", "zeros", "ones", "picture", "text"],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("dump", [pickle.dump, torch.save])
def test_a_pickle_is_refused_and_not_run(tmp_path, dump):
    path, sprung = tmp_path / "a.safetensors", tmp_path / "sprung"
    with path.open("wb") as file:
        dump(Trap(sprung), file)
    refused(path)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "not there" in refused(tmp_path / "absent.safetensors")
    refused(tmp_path)


@pytest.mark.parametrize("meta", [None, {}, {"format": "pt"}, {"format": "cl-condense 3"}])
def test_a_safetensors_file_of_another_kind_is_refused(tmp_path, meta):
    path = tmp_path / "a.safetensors"
    save_file({"pixels": torch.zeros(1, 1, 4, 4)}, path, metadata=meta)
    assert META in refused(path)


def forge(path, pixels=None, *, meta=None, **header):
    """A file with other pixels, header fields (None leaves one out) or metadata than ``sample``'s."""
    sample().save(path)
    with safe_open(path, "pt") as file:
        old, tensors = file.metadata(), {"pixels": file.get_tensor("pixels")}
    fields = json.loads(old["set"]) | header
    old["set"] = json.dumps({k: v for k, v in fields.items() if v is not None})
    if pixels is not None:
        tensors = {"pixels": pixels} if isinstance(pixels, torch.Tensor) else {"other": torch.zeros(1)}
    save_file(tensors, path, metadata={k: v for k, v in (old | (meta or {})).items() if v is not None})


def test_a_forged_file_without_a_change_is_read(tmp_path):
    forge(tmp_path / "a.safetensors")
    same(CondensedSet.load(tmp_path / "a.safetensors"), sample())


@pytest.mark.parametrize(
    "meta",
    [{key: text} for key in ("set", "extra") for text in (None, "", "{", "nonsense", "[]", "3", "[" * 100_000)],
    ids=lambda meta: str(meta)[:20],
)
def test_broken_metadata_is_refused(tmp_path, meta):
    forge(tmp_path / "a.safetensors", meta=meta)
    refused(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "header",
    [{name.name: None} for name in fields(CondensedSet) if name.name in ("class_ids", "counts", "mean", "std")]
    + [{"surprise": 1}, {"pixels": 1}, {"stored": 1}, {"codec": "uint8"}, {"codec": "jpeg"}, {"codec": 3}]
    + [{"counts": [2, 1]}, {"counts": [2, 1, 4]}, {"counts": 6}, {"counts": "213"}, {"counts": [-1, 3, 4]}]
    + [{"counts": [1.5, 1.5, 3]}, {"class_ids": [1, 4]}, {"class_ids": [1, 1, 4]}, {"class_ids": [4, 1, 9]}]
    + [{"class_ids": ["a", "b", "c"]}, {"class_ids": 3}, {"mean": [0.1]}, {"mean": ["a", "b", "c"]}]
    + [{"std": [0.1]}, {"std": "abc"}, {"names": ["one"]}, {"names": 4}]
    + [{"factor": 0}, {"factor": 3}, {"factor": "2"}, {"factor": -1}],
    ids=str,
)
def test_a_wrong_header_field_is_refused(tmp_path, header):
    path = tmp_path / "a.safetensors"
    forge(path, **header)
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        CondensedSet.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "pixels",
    [
        torch.zeros(6, 8, 8),
        torch.zeros(5, 3, 8, 8),
        torch.zeros(6, 1, 8, 8),
        torch.full((6, 3, 8, 8), torch.nan),
        torch.full((6, 3, 8, 8), -torch.inf),
        torch.zeros(6, 3, 8, 8, dtype=torch.int64),
        "absent",
    ],
    ids=["3-d", "too few", "one channel", "nan", "infinite", "integers", "absent"],
)
def test_wrong_pixels_in_a_file_are_refused(tmp_path, pixels):
    path = tmp_path / "a.safetensors"
    forge(path, pixels)
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        CondensedSet.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_pixels_that_are_not_finite_are_refused(value):
    pixels = sample().pixels.clone()
    pixels[3, 1, 2, 2] = value
    with pytest.raises(ValueError, match="NaN or infinite"):
        replace(sample(), stored=pixels)


def test_labels_follow_the_counts():
    assert sample().labels.tolist() == [1, 1, 4] + [(7 << 32) + 2] * 3
    assert len(sample()) == 6
    assert sample().nbytes == 6 * 3 * 64 * 4 + 3 * 16


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_decoded_images_keep_their_class(factor):
    one = sample(factor=factor)
    # Each class's pixels are constant, and so are the images that they decode to.
    one = replace(one, stored=torch.tensor([5.0, 5, 6, 7, 7, 7]).view(-1, 1, 1, 1).expand(6, 3, 8, 8))
    images, labels = one.decode()
    assert images.shape == (6 * factor**2, 3, 8, 8)
    values = {1: 5.0, 4: 6.0, (7 << 32) + 2: 7.0}
    assert labels.tolist() == [c for c, n in zip(values, one.counts, strict=True) for _ in range(n * factor**2)]
    assert images[:, 0, 0, 0].tolist() == [values[c] for c in labels.tolist()]


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0.1307,), (0.3081,)), ((0.4377, 0.4438, 0.4728), (0.198, 0.201, 0.197)), ((0.0,), (1.0,))],
)
def test_every_pixel_value_survives_normalisation(mean, std):
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(4, len(mean), 1, 1)
    real = ImageSet.of(pixels, [0, 0, 3, 3], normalisation=(mean, std))
    one = CondensedSet(real.take(torch.arange(4)), (0, 3), (2, 2), real.mean, real.std)
    assert torch.equal(one.to_pixels(), pixels)


def test_float_images_are_shown_from_black_to_white():
    x = torch.linspace(-2, 3, 64).view(1, 1, 8, 8)
    real = ImageSet.of(x, [0])
    shown = CondensedSet(x, (0,), (1,), real.mean, real.std).to_pixels().flatten()
    assert shown.tolist() == [round(255 * i / 63) for i in range(64)]


def test_pixels_are_rounded_and_cut_and_the_set_stays_as_it_is():
    values = [-9.0, -0.4, 0.4, 0.6, 99.4, 99.6, 254.6, 255.4, 300.0]
    x = torch.tensor(values).view(9, 1, 1, 1) / 255
    one = CondensedSet((x - 0.25) / 0.5, (0,), (9,), (0.25,), (0.5,))
    before = one.pixels.clone()
    shown = one.to_pixels()
    assert shown.dtype == torch.uint8
    assert shown.flatten().tolist() == [0, 0, 0, 1, 99, 100, 255, 255, 255]
    assert torch.equal(one.pixels, before)


def test_decoded_pixels_are_those_of_the_decoded_images():
    one = sample(factor=2)
    images, _ = one.decode()
    plain = CondensedSet(images, one.class_ids, tuple(4 * n for n in one.counts), one.mean, one.std)
    assert torch.equal(one.to_pixels(decoded=True), plain.to_pixels())
    assert len(one.to_pixels()) == 6


def test_some_classes_are_taken_with_their_names():
    one = sample()
    part = one.only([(7 << 32) + 2, 1])
    assert (part.class_ids, part.counts, part.names) == ((1, (7 << 32) + 2), (2, 3), ("ant", "cat"))
    assert torch.equal(part.pixels, one.pixels[[0, 1, 3, 4, 5]])
    assert (part.recipe, part.seed, part.mean, part.std) == (one.recipe, one.seed, one.mean, one.std)
    assert sample(names=()).only([4]).names == ()


def test_the_first_images_are_those_of_importance():
    one = sample()
    part = one.first({(7 << 32) + 2: 2, 1: 9})
    assert (part.class_ids, part.counts, part.names) == ((1, (7 << 32) + 2), (2, 2), ("ant", "cat"))
    assert torch.equal(part.pixels, one.pixels[[0, 1, 3, 4]])


def test_a_part_does_not_keep_the_whole_alive():
    many = CondensedSet(torch.zeros(500, 3, 8, 8), (0, 1), (250, 250), (0.0,) * 3, (1.0,) * 3)
    for part in (many.first({0: 1}), many.only([1]).first({1: 1})):
        assert len(pickle.dumps(part)) < 3000


def test_merging_takes_a_class_that_both_have_from_the_other():
    a = sample()
    b = replace(sample(counts=(1, 1), seed=1), class_ids=(0, 4), names=("zebra", "bumblebee"), seed=9)
    both = a.merged(b)
    assert (both.class_ids, both.counts) == ((0, 1, 4, (7 << 32) + 2), (1, 2, 1, 3))
    assert both.names == ("zebra", "ant", "bumblebee", "cat")
    assert torch.equal(both.pixels, torch.cat([b.pixels[:1], a.pixels[:2], b.pixels[1:], a.pixels[3:]]))
    assert both.seed == 9


def test_merging_with_a_set_without_names_gives_no_wrong_ones():
    nameless = replace(sample(counts=(2,), seed=1, names=()), class_ids=(3,))
    assert sample().merged(nameless).names == nameless.merged(sample()).names == ()


@pytest.mark.parametrize(
    "other",
    [sample(factor=2), sample(shape=(1, 8, 8)), sample(shape=(3, 8, 4))],
    ids=["factor", "channels", "size"],
)
def test_sets_of_different_images_do_not_merge(other):
    with pytest.raises(ValueError, match="condense them alike"):
        sample().merged(other)


@pytest.mark.parametrize(
    "changes",
    [
        {"stored": torch.zeros(6, 3, 8)},
        {"codec": "uint8"},
        {"counts": (2, 1)},
        {"class_ids": (1, 4)},
        {"mean": (0.1,)},
        {"std": (1.0,)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_fields_that_do_not_fit_one_another_are_refused(changes):
    with pytest.raises(ValueError, match="a condensed set with"):
        replace(sample(), **changes)


def test_a_file_can_be_read_by_whom_the_umask_lets(tmp_path):
    (tmp_path / "plain").write_text("")
    sample().save(tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_picture_shows_every_stored_image_beside_its_class(tmp_path):
    one = sample()
    one.save_png(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as page:
        shown = np.asarray(page.convert("RGB"))
    for image in one.to_pixels():
        tile = image.permute(1, 2, 0).numpy().repeat(8, 0).repeat(8, 1)
        assert any(
            np.array_equal(shown[y : y + 64, x : x + 64], tile)
            for y, x in zip(*np.nonzero((shown == tile[0, 0]).all(-1)), strict=True)
        )
