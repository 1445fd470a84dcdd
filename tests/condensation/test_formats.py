"""Sets in the formats of others: there and back, and what is refused."""

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats import torch_files
from cl_condense.condensation.formats.export import export
from cl_condense.condensation.formats.read import read
from cl_condense.condensation.formats.registry import EXPORTS
from cl_condense.condensation.storage import Partition
from cl_condense.data.imageset import ImageSet

NORMALISATION = ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


def condensed(factor=1):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (24, 3, 8, 8), dtype=torch.uint8, generator=generator)
    real = ImageSet.of(
        images, [1, 3, 10] * 8, names=[f"n {i}/x" for i in range(11)], normalisation=NORMALISATION
    )
    pixels = Partition(factor).start(real, 2, 0)
    return CondensedSet.of(real, pixels, {"name": "dm"}, 0, factor)


@pytest.mark.parametrize("factor", [1, 2])
def test_a_published_file_is_read_as_it_was_written(factor, tmp_path):
    made = condensed(factor)
    images, labels = made.decode()
    back = read(export(made, tmp_path / "set.pt", "pt"), NORMALISATION).set
    assert torch.equal(back.decode()[0], images)
    assert torch.equal(back.labels, labels)
    assert (back.mean, back.std, back.factor) == (made.mean, made.std, 1)


def test_the_last_of_several_pairs_is_read_or_the_one_that_is_named(tmp_path):
    data = [[torch.full((4, 3, 8, 8), i - 2.0), torch.tensor([1, 0, 1, 0])] for i in range(3)]
    data[1][0].requires_grad_()
    torch.save({"data": data, "accs_all_exps": {"ConvNet": [0.1, 0.2]}}, tmp_path / "res.pt")
    for pair, value in ((None, 0), (1, -2), (2, -1), (3, 0)):
        found = read(tmp_path / "res.pt", NORMALISATION, pair=pair, space="normalised")
        assert found.set.class_ids == (0, 1)
        assert found.set.counts == (2, 2)
        assert found.set.mean == NORMALISATION[0]
        assert found.set.pixels.eq(value).all()
        assert not found.set.pixels.requires_grad
        assert f"pair {pair or 3} of 3" in found.said()
        assert found.record()["pair"] == (pair or 3, 3)


@pytest.mark.parametrize("factor", [1, 2])
def test_images_come_back_from_a_folder_but_for_rounding(factor, tmp_path):
    made = condensed(factor)
    back = read(export(made, tmp_path / "images", "png"), NORMALISATION).set
    assert back.class_ids == (1, 3, 10)
    assert torch.equal(back.to_pixels(), made.to_pixels(decoded=True))
    assert back.names == made.names
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == [
        "01-n_1_x",
        "03-n_3_x",
        "10-n_10_x",
        "classes.json",
    ]


def test_npz_has_pixels_labels_and_names(tmp_path):
    made = condensed(2)
    with np.load(export(made, tmp_path / "set.npz", "npz"), allow_pickle=False) as found:
        assert (found["images"] == made.to_pixels(decoded=True).numpy()).all()
        assert found["labels"].tolist() == made.decode()[1].tolist()
        assert found["names"].tolist() == list(made.names)


@pytest.mark.parametrize("kind", EXPORTS)
def test_what_is_there_is_not_overwritten(kind, tmp_path):
    path = tmp_path / f"there{EXPORTS[kind].suffix}"
    path.write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        export(condensed(), path, kind)
    assert path.read_text() == "mine"


def test_the_limit_of_what_is_unpacked_is_above_any_published_file():
    assert torch_files.MOST >= 2**31  # CIFAR-100 with 500 images a class in float32: 0.6 GB


def test_an_unknown_format_is_named(tmp_path):
    with pytest.raises(ValueError, match="unknown format 'jpg': known are pt, list, ddranking, npz, hub, png"):
        export(condensed(), tmp_path / "x", "jpg")


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/it-was-run",)


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        with archive.open("archive/data/0", "w", force_zip64=True) as file:
            file.write(bytes(2**25))


def cut(path):
    torch.save({"data": [[torch.zeros(2, 3, 8, 8), torch.tensor([0, 1])]]}, path)
    path.write_bytes(path.read_bytes()[:-700])


HOSTILE = {
    "a pickle with code": lambda path: path.write_bytes(pickle.dumps(Evil())),
    "code in torch's format": lambda path: torch.save({"data": [[Evil(), Evil()]]}, path),
    "a zip bomb": bomb,
    "truncated": cut,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("hello"),
    "a list": lambda path: torch.save([1, 2], path),
    "no experiment": lambda path: torch.save({"data": []}, path),
    "no tensors": lambda path: torch.save({"data": [[1, 2]]}, path),
    "wrong shape": lambda path: torch.save({"data": [[torch.zeros(2, 8, 8), torch.zeros(2).long()]]}, path),
    "wrong number of labels": lambda path: torch.save(
        {"data": [[torch.zeros(2, 3, 8, 8), torch.zeros(3).long()]]}, path
    ),
    "NaN": lambda path: torch.save({"data": [[torch.full((1, 3, 8, 8), torch.nan), torch.tensor([0])]]}, path),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_file_that_is_no_set_gets_one_line_and_runs_nothing(fault, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    monkeypatch.setattr(torch_files, "MOST", 2**24)
    path = tmp_path / "bad.pt"
    HOSTILE[fault](path)
    with pytest.raises(ValueError, match=r"bad\.pt") as error:
        read(path, NORMALISATION)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
    assert not ran


@pytest.mark.parametrize("name", ["absent.pt", "absent.safetensors", "absent"])
def test_an_absent_file_is_named(name, tmp_path):
    with pytest.raises(ValueError, match=f"{name} is not there"):
        read(tmp_path / name, NORMALISATION)
