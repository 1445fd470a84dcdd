"""Photos of one's own on the command line: prepared, said aloud, repeated by what the results have."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from commands import call, refusal
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torchvision.models import resnet18

from cl_condense import CondensedSet, build, condense, load
from cl_condense.condensation.starting import started
from cl_condense.runs.checks import fingerprint

FEW = ["--iterations", "2", "--real-per-class", "4", "--width", "4"]
PHOTOS = ["--dataset", "folder", "--data", "photos", "--size", "16", "--skip-damaged"]
LITTLE = "--steps 2 --ipc 1 --method random --epochs 1 --orders 1 --networks 1 --width 4".split()


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch):
    """Photos of three classes, each of a size of its own, and a damaged one."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog", "red panda")):
        for i in range(6):
            high, wide = random.integers(17, 40, 2)
            pixels = random.integers(0, 60, (high, wide, 3), np.uint8)
            pixels[..., label] += 180
            file = tmp_path / "photos" / name / ("more" if i % 2 else "") / f"{i}.{'jpg' if i % 3 else 'png'}"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    (tmp_path / "photos" / "cat" / "damaged.jpg").write_bytes(b"\xff\xd8\xff")


def test_condense_says_what_it_did_and_its_options_repeat_it(tmp_path, capsys):
    assert call("condense", *PHOTOS, "--ipc", "1", "--method", "dm", *FEW, "--out", "a.safetensors") == 0
    told = capsys.readouterr().err
    assert "photos has no test part: 3 of 18 images are held out for testing (20 % of each class" in told
    assert "skipped: photos/cat/damaged.jpg is damaged" in told
    assert "1 file skipped, listed in a.json" in told
    record = json.loads((tmp_path / "a.json").read_text())
    train, _ = load("folder", "photos", size=16, skip_damaged=True, on_note=lambda note: None)
    assert record["data"] == fingerprint(train)
    assert record["preparation"] == {"size": "16x16", "skip_damaged": True}
    assert [one["file"] for one in record["skipped"]] == ["photos/cat/damaged.jpg"]
    assert call("condense", "--config", "a.toml", "--out", "b.safetensors") == 0
    a, b = (CondensedSet.load(f"{name}.safetensors") for name in "ab")
    assert torch.equal(a.pixels, b.pixels)
    assert a.names == ("cat", "dog", "red panda")
    capsys.readouterr()
    assert call("condense", "--config", "a.toml", "--out", "a.safetensors") == 0
    assert "nothing to do" in capsys.readouterr().out


def test_run_lists_what_it_skipped_and_takes_steps_that_do_not_divide(tmp_path, capsys):
    assert call("run", *PHOTOS, *LITTLE, "--out", "runs/a") == 0
    shown = capsys.readouterr().err
    assert "1 file skipped, listed in runs/a/skipped.csv" in shown
    assert "uneven: 2, 1 new classes" in shown
    rows = (tmp_path / "runs/a/skipped.csv").read_text().splitlines()
    assert rows[0] == "file,reason"
    assert rows[1].startswith('photos/cat/damaged.jpg,"is damaged or no PNG')
    assert json.loads((tmp_path / "runs/a/settings.json").read_text())["preparation"]["size"] == "16x16"
    assert call("run", "--config", "runs/a/config.toml", "--out", "runs/a") == 0
    assert "2 of 2 pieces of work are in runs/a" in capsys.readouterr().err


def test_other_preparations_are_other_results(capsys):
    assert call("run", *PHOTOS, *LITTLE, "--out", "a") == 0
    for options in (["--test-share", "0.5"], ["--channels", "1"], ["--classes", "cat,dog"], ["--size", "17"]):
        capsys.readouterr()
        assert call("run", *PHOTOS, *options, *LITTLE, "--out", "a") == 2
        assert "a holds a run with data" in capsys.readouterr().err


def test_evaluate_keeps_the_weights_that_torchvision_loads(tmp_path, capsys):
    assert call("condense", *PHOTOS, "--ipc", "1", "--method", "random", "--out", "set.safetensors") == 0
    more = ["--network", "torchvision:resnet18", "--epochs", "1", "--networks", "1"]
    words = ["evaluate", "set.safetensors", *PHOTOS, *more, "--weights", "w.safetensors", "--records", "r"]
    assert call(*words) == 0
    assert "held out" in capsys.readouterr().err
    record = json.loads((tmp_path / "r").read_text())
    net = resnet18(num_classes=3)
    net.load_state_dict(load_file("w.safetensors"))
    _, test = load("folder", "photos", size=16, skip_damaged=True, on_note=lambda note: None)
    right = net.eval()(test.take(torch.arange(len(test)))).argmax(1) == test.labels
    assert float(right.double().mean()) == pytest.approx(record["accuracies"][0], abs=1e-5)
    assert record["preparation"] == {"size": "16x16", "skip_damaged": True}


def test_weights_have_the_classes_of_all_outputs_where_the_set_lacks_some(tmp_path):
    assert call("condense", *PHOTOS, "--ipc", "1", "--method", "random", "--out", "set.safetensors") == 0
    CondensedSet.load("set.safetensors").only([0, 2]).save("two.safetensors")
    more = ["--width", "4", "--epochs", "1", "--networks", "1", "--weights", "w.safetensors"]
    assert call("evaluate", "two.safetensors", *PHOTOS, *more) == 0
    with safe_open("w.safetensors", "pt") as file:
        about = json.loads(file.metadata()["about"])
        assert file.get_tensor("classifier.weight").shape[0] == len(about["classes"])
    assert about["classes"] == ["cat", "dog", "red panda"]


def test_weights_of_a_whitened_set_are_refused_before_any_work(tmp_path, capsys):
    torch.save(torch.zeros(3, 3, 16, 16), "images.pt")
    words = ["evaluate", "images.pt", *PHOTOS, "--space", "whitened", "--weights", "w.safetensors"]
    assert "the file has no whitening" in refusal(words, capsys)
    assert not (tmp_path / "w.safetensors").exists()


def test_a_run_of_a_data_set_without_names_ends_with_its_pictures(tmp_path):
    labels = np.array([3, 7, 9] * 4)
    images = np.broadcast_to(labels.astype(np.uint8)[:, None, None], (12, 8, 8))
    arrays = {"train_images": images, "test_images": images}
    np.savez("plain.npz", **arrays, train_labels=labels, test_labels=labels)
    more = "--method random --steps 3 --ipc 1 --orders 1 --networks 1 --epochs 1 --width 4 --out run".split()
    assert call("run", "--dataset", "npz", "--data", "plain.npz", *more) == 0
    assert (tmp_path / "run" / "memory.png").exists()


def test_a_set_goes_on_as_it_looks_where_its_data_are_normalised_otherwise(tmp_path):
    real, _ = load("folder", "photos", size=16, skip_damaged=True, on_note=lambda note: None)
    before = condense(real, "random", ipc=1)
    other = replace(real, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 0.5))

    def start(data):
        recipe, _ = started(build("dm"), before, data, 1, 0)
        return recipe.synthetic.start(data, 1, 0)

    assert torch.equal(CondensedSet.of(other, start(other), {}, 0).to_pixels(), before.to_pixels())
    assert torch.equal(start(real).flatten(0, 1), before.pixels)


def test_a_report_reads_the_images_as_they_were_prepared(tmp_path):
    for size in ("16", "20x16"):
        given = [*PHOTOS[:-3], "--size", size, "--skip-damaged", "--classes", "cat,red panda"]
        more = ["--ipc", "1", "--method", "dm", *FEW, "--out", f"sets/{size}.safetensors"]
        assert call("condense", *given, *more) == 0
    assert call("report", "sets", "--figures", "--data", "photos") == 0
    page = (tmp_path / "sets" / "report.md").read_text()
    words = "--dataset folder --data DATA --size 20x16 --skip-damaged --classes 'cat,red panda'"
    assert f"cl-condense condense {words}" in page
    assert "where they started" in page
    assert "- preparation: (size=20x16, skip\\_damaged=True, classes=cat, red panda)" in page
    assert "- skipped: 1, which the record lists" in page
    assert "could not be read" not in page
