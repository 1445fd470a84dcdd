"""What was condensed by numbers that a method does not have any more: economy's may change with the version."""

import json

import pytest
from commands import call
from small_runs import TINY, few

from cl_condense.data.datasets import load
from cl_condense.methods import economy
from cl_condense.runs.incremental import Run


@pytest.fixture
def data():
    train, test = (part.only([0, 1, 2, 3]) for part in load("digits"))
    return few(train, 20), few(test, 30)


class Stop(Exception):
    pass


def stopped(run, after):
    def stop(event):
        if len(run.records) == after:
            raise Stop

    with pytest.raises(Stop):
        run(stop)


def test_a_run_whose_economy_is_another_today_does_not_go_on(data, tmp_path, monkeypatch):
    settings = TINY.changed(economy=True, reuse=None, iterations=None, methods=("dm", "random"), orders=1)
    monkeypatch.setattr(economy, "ECONOMY", economy.ECONOMY._replace(iterations=6))
    stopped(Run(settings, *data, tmp_path), after=1)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert json.loads((tmp_path / "recipes.json").read_text())["dm"]["iterations"] == 6
    monkeypatch.setattr(economy, "ECONOMY", economy.ECONOMY._replace(iterations=7))
    other = r"a run by other numbers than dm has today: iterations 6 \(today 7\); give another --out, or the"
    with pytest.raises(ValueError, match=other) as error:
        Run(settings, *data, tmp_path)()
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == kept
    monkeypatch.setattr(economy, "ECONOMY", economy.ECONOMY._replace(iterations=6))
    assert len(Run(settings, *data, tmp_path)()) == 4
    monkeypatch.setattr(economy, "ECONOMY", economy.ECONOMY._replace(iterations=7))
    assert len(Run(settings, *data, tmp_path)()) == 4  # it is done, and shown
    for memory in (tmp_path / "memory").iterdir():
        memory.unlink()
    with pytest.raises(ValueError, match=other):
        Run(settings, *data, tmp_path).remake()


def test_a_run_from_before_numbers_were_kept_goes_on(data, tmp_path):
    run = Run(TINY, *data, tmp_path)
    stopped(run, after=1)
    (tmp_path / "recipes.json").unlink()
    assert len(Run(TINY, *data, tmp_path)()) == 8
    assert not (tmp_path / "recipes.json").exists()  # what it began with is not known


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"dm": 3, "random": {}}', '{"dm": {}, "random": {}}'])
def test_a_damaged_file_of_numbers_is_one_line(text, data, tmp_path):
    stopped(Run(TINY, *data, tmp_path), after=1)
    (tmp_path / "recipes.json").write_text(text)
    with pytest.raises(ValueError, match=r"give another --out") as error:
        Run(TINY, *data, tmp_path)()
    assert "\n" not in str(error.value)


def test_the_same_command_makes_no_set_of_other_numbers_its_own(tmp_path, capsys):
    words = "condense --method dm --iterations 2 --width 8 --device cpu".split()
    path = tmp_path / "set.safetensors"
    assert call(*words, "--out", path) == 0
    record = path.with_suffix(".json")
    made = json.loads(record.read_text())
    record.write_text(json.dumps(made | {"recipe": made["recipe"] | {"lr": 0.25}}))
    assert call(*words, "--out", path) == 2
    assert (
        "by other numbers than dm has today: lr 0.25 (today 1); give another --out" in capsys.readouterr().err
    )
    record.write_text(json.dumps(made))
    assert call(*words, "--out", path) == 0


def test_a_set_that_goes_on_from_another_is_done_once(tmp_path, capsys):
    """Its recipe has the iterations before it too, which its options do not have."""
    words = "condense --method dm --iterations 2 --width 8 --device cpu".split()
    first, more = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert call(*words, "--keep-state", "--out", first) == 0
    for _ in range(2):
        assert call(*words, "--from", first, "--out", more) == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        "random --ipc 1",
        "forgetting@iterations=2 --ipc 1 --width 8",
        "idm@iterations=2 --ipc 1 --width 8",
        "idm@iterations=2 --bytes 4000 --width 8",
        "dm+partition@iterations=2,multisize=0.5 --ipc 2 --width 8",
        "dd@iterations=1 --ipc 1 --width 8",
        "dance@iterations=2,size=1,epochs=1 --ipc 1 --width 8",
    ],
)
def test_what_a_method_records_is_what_it_has(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert call("condense", "--device", "cpu", "--out", "a.safetensors", "--method", *words.split()) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_memory_of_which_a_part_is_condensed_keeps_the_numbers_of_that_part(data, tmp_path):
    settings = TINY.changed(methods=("dm:random",))
    Run(settings, *data, tmp_path)
    assert json.loads((tmp_path / "recipes.json").read_text())["dm:random"]["iterations"] == 3
    assert len(Run(settings, *data, tmp_path).missing()) == 4
