"""A condensation that goes on from a set: with its state exactly, else from its images alone."""

import shutil
from dataclasses import replace

import pytest
from small_sets import same

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.datasets import load
from cl_condense.runs.config import CondenseConfig
from cl_condense.runs.single import Job, run

TINY = CondenseConfig("digits", "dm", ipc=2, iterations=3, real_per_class=8, width=8, depth=1, economy=False)


@pytest.fixture(scope="module")
def real():
    return load("digits")[0].only([0, 1, 2])


def do(real, folder, name, start=None, keep_state=True, **changes):
    path = folder / f"{name}.safetensors"
    before = start and folder / f"{start}.safetensors"
    record = run(Job(replace(TINY, **changes), path, before, keep_state=keep_state), real)
    return CondensedSet.load(path), record


@pytest.mark.parametrize("method", ["dm", "idm", "dsa", "iid@epochs=1,size=2"])
def test_with_its_state_a_set_ends_as_if_it_had_never_stopped(method, real, tmp_path):
    whole, record = do(real, tmp_path, "whole", method=method, iterations=6, keep_state=False)
    do(real, tmp_path, "a", method=method)
    do(real, tmp_path, "b", "a", method=method, iterations=2)
    last, found = do(real, tmp_path, "c", "b", method=method, iterations=1)
    same(last, whole)
    assert found["continues"] == {"from": "state", "done": 5}
    assert [i for i, _ in found["losses"]] == [6]
    assert found["losses"] == record["losses"][5:]
    assert (tmp_path / "c.checkpoint").exists()
    assert not (tmp_path / "whole.checkpoint").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "a.checkpoint is of other settings or data, or damaged"),
        ({"method": "ddm"}, "a.checkpoint is of other settings or data, or damaged"),
        ({"ipc": 3}, "a.checkpoint is of other settings or data, or damaged"),
        ({"method": "dcc"}, "dcc changes with the share of its iterations that is done"),
    ],
)
def test_what_does_not_go_on_exactly_says_why(change, said, real, tmp_path):
    do(real, tmp_path, "a")
    _, record = do(real, tmp_path, "b", "a", keep_state=False, iterations=1, **change)
    found = record["continues"]
    assert (found["from"], found["done"]) == ("images", 3)
    assert found["why"].endswith(said)


def test_the_state_of_other_images_and_none_are_not_taken(real, tmp_path):
    do(real, tmp_path, "a")
    do(real, tmp_path, "b", keep_state=False, seed=1)
    shutil.copy(tmp_path / "a.checkpoint", tmp_path / "b.checkpoint")
    for start, why in (("b", "is of other settings"), ("a", "is not of these images")):
        if start == "a":
            shutil.copy(tmp_path / "b.safetensors", tmp_path / "a.safetensors")
        _, record = do(real, tmp_path, f"{start}2", start, keep_state=False, seed=int(start == "b"))
        assert why in record["continues"]["why"]
    (tmp_path / "a.checkpoint").unlink()
    _, record = do(real, tmp_path, "none", "a", keep_state=False)
    assert "a.checkpoint is not there, which --keep-state leaves" in record["continues"]["why"]
    do(real, tmp_path, "images", "a")
    _, record = do(real, tmp_path, "more", "images", keep_state=False)
    assert "went on from the images of another set" in record["continues"]["why"]


def test_a_state_that_nothing_can_go_on_with_is_not_kept(real, tmp_path):
    with pytest.raises(ValueError, match="changes with the share of its iterations that is done") as error:
        do(real, tmp_path, "a", economy=True, iterations=10)
    assert "\n" not in str(error.value)
    assert not [*tmp_path.glob("*.*")]


def test_sets_on_the_way_count_from_where_it_goes_on(real, tmp_path):
    do(real, tmp_path, "a")
    whole, _ = do(real, tmp_path, "whole", iterations=5, keep_state=False)
    job = Job(
        replace(TINY, iterations=3), tmp_path / "b.safetensors", tmp_path / "a.safetensors", checkpoints=(2,)
    )
    run(job, real)
    between = CondensedSet.load(tmp_path / "b-after2.safetensors")
    assert between.stored["pixels"].equal(whole.stored["pixels"])
