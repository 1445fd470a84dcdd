"""Sweeps over settings, and sets on the way of a condensation."""

import json
from dataclasses import replace

import pytest
from commands import call
from small_runs import TINY, few
from small_sets import same

from cl_condense import CondensedSet
from cl_condense.common.progress import Progress
from cl_condense.common.stopping import Stop
from cl_condense.data.datasets import load
from cl_condense.methods.sweeps import Sweep, passed_over, swept
from cl_condense.runs.moments import checkpoints, moments, path_after, reached
from cl_condense.runs.single import Job, run

DM = replace(TINY.condense[1], iterations=9)


def test_methods_that_have_a_setting_get_its_values_and_the_others_stay():
    sweeps = [Sweep.of("ce=0.1,0.5"), Sweep.of("lr=1,2")]
    assert swept(["random", "idm", "dm@momentum=0"], sweeps) == [
        "random",
        *(f"idm@ce={ce},lr={lr}" for ce in ("0.1", "0.5") for lr in (1, 2)),
        "dm@momentum=0,lr=1",
        "dm@momentum=0,lr=2",
    ]
    assert passed_over(["random", "idm", "dm"], sweeps) == [
        "random, dm have no ce and stay as they are",
        "random has no lr and stays as it is",
    ]


def test_moments_are_iterations_or_shares_of_them():
    assert moments("--checkpoints", "100,10%,100,2.5%") == ("100", "10%", "2.5%")
    assert [reached(each, 2500) for each in ("100", "10%", "2.5%", "0.001%", "100%")] == [100, 250, 62, 1, 2500]
    assert checkpoints(DM, ("50%", "2", "100%", "0.1%")) == (1, 2, 4)


@pytest.mark.parametrize("at", [3, 4, 6])
def test_a_set_on_the_way_is_what_the_condensation_had_then_however_it_was_interrupted(at, tmp_path):
    real = few(load("digits")[0], 8)
    whole, cut = (Job(DM, tmp_path / name / "set.safetensors", checkpoints=(3, 6)) for name in "ab")
    found = {}

    def note(progress: Progress):
        if progress.stage == "condensing" and progress.made:
            found[int(progress.done)] = progress.made().coded("uint8")

    def stop(progress: Progress):
        if progress.done == at:
            raise Stop

    run(whole, real, note)
    with pytest.raises(Stop):
        run(cut, real, stop)
    run(cut, real)
    for job in (whole, cut):
        for n in (3, 6):
            kept = CondensedSet.load(path_after(job.path, n))
            assert kept.recipe == found[n].recipe | {"after": n}
            same(replace(kept, recipe=found[n].recipe), found[n])
            record = json.loads(path_after(job.path, n).with_suffix(".json").read_text())
            assert (record["after"], record["iterations"]) == (n, 9)
        same(CondensedSet.load(job.path), found[9])
    plain = Job(DM, tmp_path / "c" / "set.safetensors")
    run(plain, real)
    same(CondensedSet.load(plain.path), found[9])


def test_commands_sweep_and_keep_sets_on_the_way(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = "--iterations 4 --real-per-class 4 --width 4 --device cpu".split()
    words = ["condense", "--method", "dm", "--sweep", "lr=0.5,1", "--checkpoints", "2,75%", *quick]
    assert call(*words, "--out", "many") == 0
    names = [
        f"digits-dm@lr={lr}-ipc2-seed0{after}.safetensors"
        for lr in (0.5, 1)
        for after in ("", "-after2", "-after3")
    ]
    assert sorted(path.name for path in (tmp_path / "many").glob("*.safetensors")) == sorted(names)
    assert call(*words, "--out", "many") == 0
    assert capsys.readouterr().out.count("nothing to do") == 2
    assert (
        call(
            "condense",
            "--config",
            f"many/{names[0]}".replace(".safetensors", ".toml"),
            "--out",
            "b.safetensors",
        )
        == 0
    )
    same(CondensedSet.load("b-after3.safetensors"), CondensedSet.load(f"many/{names[2]}"))
    more = ["--orders", 1, "--networks", 1, "--epochs", 1, "--steps", 2, "--out", "run"]
    assert call("run", "--method", "random", "--method", "dm", "--sweep", "lr=0.5,1", *quick, *more) == 0
    assert "random has no lr and stays as it is" in capsys.readouterr().err
    records = [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    assert {record["method"] for record in records} == {"random", "dm@lr=0.5", "dm@lr=1"}
