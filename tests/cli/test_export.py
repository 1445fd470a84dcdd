"""``cl-condense export`` for Hugging Face: images, labels and a card that says how the set was made."""

import hashlib
import io
import json

import numpy as np
import pytest
import torch
from commands import call
from PIL import Image

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.export import export
from cl_condense.condensation.formats.read import read

FILE = "data/train-00000-of-00001.parquet"


@pytest.fixture
def parquet():
    return pytest.importorskip("pyarrow.parquet")


def test_a_set_for_hugging_face_has_images_labels_and_a_card(parquet, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        call(*"condense --method dm --iterations 3 --width 8 --device cpu --ipc 2 --out dm.safetensors".split())
        == 0
    )
    quick = "--epochs 2 --networks 2 --width 8 --device cpu --records scores.jsonl".split()
    assert call("evaluate", "dm.safetensors", *quick) == 0
    capsys.readouterr()
    words = "export dm.safetensors --format hub --records scores.jsonl --out hub".split()
    assert call(*words) == 0
    made, data = CondensedSet.load("dm.safetensors"), (tmp_path / "hub" / FILE).read_bytes()
    table = parquet.read_table(io.BytesIO(data))
    said = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert said == {
        "image": {"_type": "Image"},
        "label": {"names": [str(i) for i in range(10)], "_type": "ClassLabel"},
    }
    rows = table.to_pylist()
    assert [row["label"] for row in rows] == [i // 2 for i in range(20)]
    shown = np.stack([np.array(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in rows])
    assert np.array_equal(shown[:, None], made.to_pixels().numpy())
    card, record = (tmp_path / "hub" / "README.md").read_text(), json.loads((tmp_path / "dm.json").read_text())
    mean, std = (json.loads((tmp_path / "scores.jsonl").read_text())[key] for key in ("mean", "std"))
    for text in (
        "license: cc-by-4.0",
        "| Method | dm |",
        "| Made from | digits |",
        "--method dm --ipc 2",
        "--iterations 3",
        f"| Bytes as a memory | {made.nbytes:,} (uint8) |",
        hashlib.sha256((tmp_path / "dm.safetensors").read_bytes()).hexdigest(),
        hashlib.sha256(data).hexdigest(),
        "CC BY 4.0",
        f"- {100 * mean:.1f} ± {100 * std:.1f} % (n = 2), convnet, augmented, 2 epochs",
        *([f"`{record['commit']}`"] if record["commit"] else []),
    ):
        assert text in card
    back = read(tmp_path / "hub", ((0.1,), (0.1,)))
    assert torch.equal(back.set.to_pixels(), made.to_pixels())
    assert (back.set.mean, back.said()) == (made.mean, "")


def test_the_front_of_a_card_is_yaml_whatever_the_classes_are_called(parquet, tmp_path):
    yaml = pytest.importorskip("yaml")
    names = ('"', "a: b", "# x\n---", "é", "é\0", "'")
    made = CondensedSet(torch.zeros(6, 3, 4, 4), tuple(range(6)), (1,) * 6, (0.5,) * 3, (0.2,) * 3, names=names)
    path = export(made, tmp_path / "hub", "hub")
    front = yaml.safe_load((path / "README.md").read_text().split("---\n")[1])
    features = front["dataset_info"]["features"]
    assert features[1]["dtype"]["class_label"]["names"] == {str(i): name for i, name in enumerate(names)}
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*"}]
    assert front["license"] == "unknown"
    assert "accuracy" not in (path / "README.md").read_text().lower()


def test_parquet_of_others_goes_by_the_names_of_its_labels(parquet, tmp_path):
    import pyarrow as pa

    images, made = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8), []
    for image in images:
        made.append(io.BytesIO())
        Image.fromarray(image).save(made[-1], "PNG")
    rows = {"image": [{"bytes": each.getvalue(), "path": None} for each in made], "label": [1, 0, 1, 0]}
    (tmp_path / "data").mkdir()
    parquet.write_table(pa.table(rows), tmp_path / "data" / "train-00000-of-00001.parquet")
    found = read(tmp_path, ((0.5,) * 3, (0.2,) * 3), {0: "cat", 1: "dog"})
    assert np.array_equal(found.set.to_pixels().permute(0, 2, 3, 1).numpy(), images[[1, 3, 0, 2]])
    parquet.write_table(pa.table({"text": ["a"]}), tmp_path / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(
        ValueError, match=r"parquet cannot be read as a parquet file \(it holds text \(string\)\)"
    ):
        read(tmp_path, ((0.5,) * 3, (0.2,) * 3))


def test_what_the_hub_cannot_hold_and_what_is_missing_for_it_is_said(tmp_path, monkeypatch):
    made = CondensedSet(torch.zeros(1, 2, 8, 8), (0,), (1,), (0.5,) * 2, (0.2,) * 2)
    with pytest.raises(
        ValueError, match="hub holds images of 1 or 3 channels, these have 2: take --format npz"
    ):
        export(made, tmp_path / "hub", "hub")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    made = CondensedSet(torch.zeros(1, 1, 8, 8), (0,), (1,), (0.5,), (0.2,))
    with pytest.raises(ValueError, match=r"hub needs pyarrow: pip install 'cl-condense\[hub\]'"):
        export(made, tmp_path / "hub", "hub")
    assert not (tmp_path / "hub").exists()
