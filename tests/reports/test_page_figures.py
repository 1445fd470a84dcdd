"""Condensed sets beside their real images: what is measured, where they started, and what is refused."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from commands import call
from pages import Page

from cl_condense.common.devices import device_name
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.engine import Condensation
from cl_condense.data import datasets
from cl_condense.reports.html import probe, tsne, write
from cl_condense.reports.html.realdata import RealData, started
from cl_condense.runs.build import method_for, network_for
from cl_condense.runs.checks import fingerprint
from cl_condense.runs.config import CondenseConfig
from cl_condense.runs.single import Job, run

FEW = {"ipc": 2, "iterations": 2, "real_per_class": 4, "width": 4, "depth": 2}


def few_and_small(patch):
    """A report looks through four filters after one epoch, at 15 real images of each class."""
    patch.setattr(probe, "EPOCHS", 1)
    patch.setattr(probe, "WIDTH", 4)
    patch.setattr(tsne, "REAL", 15)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    few_and_small(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory, digits_pair):
    """A condensed and a selected set of digits, with the fingerprint of the images."""
    folder, (train, _) = tmp_path_factory.mktemp("made"), digits_pair
    for method in ("dm", "random"):
        s = CondenseConfig("digits", method, data=fingerprint(train), **FEW)
        run(Job(s, folder / f"{method}.safetensors"), train)
    return folder


@pytest.fixture
def results(made, tmp_path):
    return shutil.copytree(made, tmp_path / "results")


def report(folder, **options):
    html, markdown = write(folder, None, lambda results: RealData.of(results, None, "cpu", **options))
    return Page(html.read_text("utf-8")), markdown.read_text("utf-8").replace("\\", "")


@pytest.fixture(scope="module")
def measured(made, tmp_path_factory):
    """A folder whose sets were measured, with its page."""
    folder = shutil.copytree(made, tmp_path_factory.mktemp("measured") / "results")
    with pytest.MonkeyPatch.context() as patch:
        few_and_small(patch)
        return folder, *report(folder)


@pytest.mark.parametrize("method", ["dm", "idm", "dc"])
def test_the_start_is_where_the_condensation_started(method, digits_pair, tmp_path):
    train, _ = digits_pair
    s = CondenseConfig("digits", method, seed=3, **{**FEW, "iterations": 1})
    record = run(Job(s, tmp_path / "set.safetensors"), train)
    work = Condensation(train, method_for(s), ipc=2, network=network_for(s, train.shape), seed=3)
    first = started(train, json.loads(json.dumps(record)))
    assert torch.equal(first.pixels, work.result().pixels)
    assert not torch.equal(first.pixels, CondensedSet.load(tmp_path / "set.safetensors").pixels)


def test_a_start_of_another_recipe_is_not_shown(digits_pair, tmp_path):
    train, _ = digits_pair
    record = run(Job(CondenseConfig("digits", "dm", **FEW), tmp_path / "set.safetensors"), train)
    assert started(train, record) is not None
    assert (
        started(train, {**record, "recipe": {**record["recipe"], "synthetic": "Partition(factor=2)"}}) is None
    )
    record = run(Job(CondenseConfig("digits", "random", **FEW), tmp_path / "random.safetensors"), train)
    assert started(train, record) is None


@pytest.mark.slow
def test_the_page_has_the_figures_with_their_sources(measured):
    _, page, text = measured
    alts = [img["alt"] for img in page.all("img")]
    assert sum(alt.startswith("t-SNE: 150 real and 20 condensed images of 10 classes") for alt in alts) == 2
    assert sum(alt.startswith("Style drift") for alt in alts) == 2
    assert sum(alt.startswith("Consistency ratio") for alt in alts) == 3, "one for each, one for both"
    assert sum("before: where they started" in alt for alt in alts) == 10, "of dm; random has no start"
    paper = "[arXiv:2412.04748](https://arxiv.org/abs/2412.04748)"
    for words in (f"DDM's fig. 1b and 4a (Malakshan et al., {paper})", "IDM's fig. 4 (Zhao et al., CVPR"):
        assert words in text
    assert "ConvNet of 4 filters, 2 blocks, 1 epochs on 1438 real training images" in text
    assert "cl-condense report results --figures\n" in text
    assert "seed: 0 (network, real images drawn, t-SNE)" in text
    assert f"device: {device_name('cpu')}, " in text
    assert "Sets of digits beside each other" in page.text
    assert "could not be read" not in text
    both = text.split("### Sets of digits")[1]
    assert "| dm | " in both
    assert "| random | 100.0 | " in both, "a real image is its own nearest"


def trained(*args, **kwargs):
    raise RuntimeError("trained again")


@pytest.mark.slow
def test_what_was_measured_is_not_measured_again(measured, tmp_path, monkeypatch):
    folder, _, first = measured
    results = shutil.copytree(folder, tmp_path / "results")
    before = (results / "dm.figures.json").read_text()
    with monkeypatch.context() as patch:
        patch.setattr(probe, "train", trained)
        assert report(results)[1] == first
        (results / "dm.figures.json").write_text(before.replace(fingerprint(datasets.load("digits")[0]), "0"))
        with pytest.raises(RuntimeError, match="trained again"):
            report(results)
    (results / "random.figures.json").write_text("{")
    told = []
    report(results, watch=lambda what: lambda progress: told.append((what, *progress[:3])))
    assert ("digits", "training", 1, 1) in told
    assert ("digits", "looking at images", 6, 6) in told
    assert told.count(("digits", "measuring a set", 4, 4)) == 2
    again = json.loads((results / "dm.figures.json").read_text())
    assert {k: v for k, v in again.items() if k != "seconds"} == {
        k: v for k, v in json.loads(before).items() if k != "seconds"
    }


def test_without_the_option_nothing_is_measured(results):
    html, _ = write(results)
    assert "t-SNE" not in html.read_text("utf-8")
    assert not list(results.glob("*.figures.json"))


def test_sets_of_other_images_are_listed_and_shown_without_figures(results):
    path = results / "dm.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data": "00000000"}))
    made = CondensedSet.load(results / "random.safetensors")
    replace(made, mean=(0.25,)).save(results / "random.safetensors")
    for kind in ("safetensors", "json"):
        shutil.copy(results / f"random.{kind}", results / f"strange.{kind}")
    record = json.loads((results / "strange.json").read_text())
    (results / "strange.json").write_text(json.dumps({**record, "dataset": "<b>"}))
    page, text = report(results)
    assert "| results/dm.safetensors | the images of digits here are not those it was made of |" in text
    assert (
        "| results/random.safetensors | its classes, image size or normalisation are not those of digits |"
        in text
    )
    assert "| results/strange.safetensors | its data set '&lt;b&gt;' is none that this package reads |" in text
    assert not any("t-SNE" in img["alt"] for img in page.all("img"))
    assert sum("stored images" in img["alt"] for img in page.all("img")) == 30
    assert "method: dm" in text


def test_data_that_is_not_there_gets_one_line_and_exit_code_2(results, tmp_path, capsys):
    path = results / "dm.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "dataset": "cifar10"}))
    (results / "report.html").unlink(missing_ok=True)
    for words, message in (
        (["--figures"], "cifar10 is read from files: name the folder they are in with --data DIR"),
        (["--figures", "--data", tmp_path], "data_batch_1 is missing"),
        (
            ["--data", tmp_path],
            f"--data {tmp_path}: it is for the figures that need real images: leave it out, or",
        ),
        (["--figures", "--device", "cuda:9"], "device 'cuda:9' is not here"),
    ):
        assert call("report", results, *words) == 2
        shown = capsys.readouterr()
        assert shown.err.startswith("Error: ")
        assert shown.err.count("\n") == 1
        assert message in shown.err
    assert not (results / "report.html").exists()
