"""Condensing into files: resumed, continued, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cl_condense.common import checkpoint
from cl_condense.common.devices import using_threads
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.datasets import load
from cl_condense.methods import economy
from cl_condense.methods.economy import ECONOMY
from cl_condense.runs.build import method_for
from cl_condense.runs.config import CondenseConfig
from cl_condense.runs.single import Job, run

TINY = CondenseConfig("digits", "dm", ipc=2, iterations=6, real_per_class=8, width=8, depth=1)


@pytest.fixture(scope="module")
def real():
    return load("digits")[0].only([0, 1, 2])


def job(folder, **changes):
    return Job(replace(TINY, **changes), folder / "set.safetensors")


def shown(folder):
    """Names of the files in a folder, but for locks."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def stop_after(iterations):
    def on_iteration(progress):
        if progress.done == iterations:
            raise KeyboardInterrupt

    return on_iteration


@pytest.mark.parametrize("method", ["dm", "idm", "herding"])
def test_a_job_leaves_a_set_a_picture_and_a_record(method, real, tmp_path):
    record = run(job(tmp_path, method=method), real)
    made = CondensedSet.load(tmp_path / "set.safetensors")
    assert made.counts == (2, 2, 2)
    assert json.loads((tmp_path / "set.json").read_text()) == record
    assert (record["images"], record["bytes"], record["recipe"]) == (6, made.nbytes, made.recipe)
    assert shown(tmp_path) == ["set.json", "set.png", "set.safetensors", "set.toml"]
    assert len(record["losses"]) == (0 if method == "herding" else 6)


@pytest.mark.parametrize("method", ["dm", "idm", "dsa"])
def test_an_interrupted_job_goes_on_and_ends_bit_equal(method, real, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    whole = run(job(tmp_path, method=method), real)
    (tmp_path / "broken").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(job(tmp_path / "broken", method=method), real, stop_after(3))
    assert shown(tmp_path / "broken") == ["set.checkpoint"]
    seen = []
    again = run(job(tmp_path / "broken", method=method), real, seen.append)
    assert [p.done for p in seen] == [4, 5, 6]
    assert again["losses"] == whole["losses"]
    sets = [CondensedSet.load(folder / "set.safetensors") for folder in (tmp_path, tmp_path / "broken")]
    assert torch.equal(sets[0].pixels, sets[1].pixels)
    assert not (tmp_path / "broken/set.checkpoint").exists()


def test_a_set_that_is_there_is_not_overwritten(real, tmp_path):
    run(job(tmp_path), real)
    before = (tmp_path / "set.safetensors").read_bytes()
    with pytest.raises(ValueError, match="is there already: give another --out"):
        run(job(tmp_path), real)
    assert (tmp_path / "set.safetensors").read_bytes() == before


def test_a_checkpoint_of_other_settings_is_refused_and_kept(real, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(job(tmp_path), real, stop_after(3))
    before = (tmp_path / "set.checkpoint").read_bytes()
    with pytest.raises(ValueError, match="of a job with seed 0, not 1") as error:
        run(job(tmp_path, seed=1), real)
    assert "\n" not in str(error.value)
    assert (tmp_path / "set.checkpoint").read_bytes() == before


def test_a_checkpoint_of_other_numbers_than_today_is_refused(real, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    own = ECONOMY._replace(quiet=replace(ECONOMY.quiet, rate=0.25))
    with monkeypatch.context() as before:
        before.setattr(economy, "ECONOMY", own)
        with pytest.raises(KeyboardInterrupt):
            run(job(tmp_path, economy=True), real, stop_after(3))
    with pytest.raises(ValueError, match=r"of a job with recipe\.quiet\.rate 0\.25, not 0\.1: "):
        run(job(tmp_path, economy=True), real)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\x80\x04cos\nsystem\n", None])
def test_a_damaged_checkpoint_is_named(content, real, tmp_path):
    path = tmp_path / "set.checkpoint"
    if content is None:
        save_file({"pixels": torch.zeros(1)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"set\.checkpoint cannot be read as a checkpoint") as error:
        run(job(tmp_path), real)
    assert "\n" not in str(error.value)
    assert shown(tmp_path) == ["set.checkpoint"]


def test_a_set_goes_on_with_more_iterations(real, tmp_path):
    run(job(tmp_path), real)
    first = CondensedSet.load(tmp_path / "set.safetensors")
    more = Job(replace(TINY, iterations=1), tmp_path / "more.safetensors", tmp_path / "set.safetensors")
    assert run(more, real)["start"] == str(tmp_path / "set.safetensors")
    second = CondensedSet.load(tmp_path / "more.safetensors")
    start = method_for(TINY).synthetic.start(real, 2, 0).flatten(0, 1)
    moved = (second.pixels - first.pixels).abs().mean()
    assert 0 < moved < (second.pixels - start).abs().mean()


@pytest.mark.parametrize("change", [{"ipc": 1}, {"method": "herding"}])
def test_a_set_that_does_not_go_on_is_refused(change, real, tmp_path):
    run(job(tmp_path), real)
    more = Job(replace(TINY, **change), tmp_path / "more.safetensors", tmp_path / "set.safetensors")
    with pytest.raises(ValueError, match=r"more|nothing to go on") as error:
        run(more, real)
    assert "\n" not in str(error.value)
    assert not Path(tmp_path / "more.safetensors").exists()


@pytest.mark.parametrize("method", ["iid", "idm"])
def test_a_job_goes_on_with_the_threads_that_it_began_with(method, real, tmp_path, monkeypatch):
    """Networks that train enlarge what more or fewer threads round differently."""
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    seen = []

    def watch(progress):
        seen.append(torch.get_num_threads())

    with using_threads(1):
        whole = run(job(tmp_path, method=method), real)
        (tmp_path / "broken").mkdir()
        with pytest.raises(KeyboardInterrupt):
            run(job(tmp_path / "broken", method=method), real, stop_after(3))
    with using_threads(2):
        record = run(job(tmp_path / "broken", method=method), real, watch)
        assert torch.get_num_threads() == 2
    assert set(seen) == {1}
    assert (record["losses"], record["threads"]) == (whole["losses"], 1)
    sets = [CondensedSet.load(folder / "set.safetensors") for folder in (tmp_path, tmp_path / "broken")]
    assert torch.equal(sets[0].stored["pixels"], sets[1].stored["pixels"])


def test_a_set_of_other_classes_does_not_go_on(real, tmp_path):
    run(job(tmp_path), real)
    other = replace(real, names=("zero", "one", "two"))
    (tmp_path / "more").mkdir()
    more = replace(job(tmp_path / "more"), start=tmp_path / "set.safetensors")
    with pytest.raises(ValueError, match="the set has class '0', of which the data have no images"):
        run(more, other)
