"""benchmarks/launches.py: counts of both sides, a record of them, and the table that it becomes."""

import json

import pytest
from click.testing import CliRunner


@pytest.fixture
def count(load, tmp_path):
    def run(*arguments):
        path = tmp_path / "launches.json"
        sizes = "--ipc 1 --iterations 2".split()
        result = CliRunner().invoke(load("launches").main, [*arguments, *sizes, "--json", str(path)])
        assert result.exit_code == 0, result.output
        return path, result.output

    return run


def test_ours_launches_as_much_for_many_classes_and_the_plain_loop_more(count, load, monkeypatch):
    monkeypatch.setattr("cl_condense.runs.provenance.commit", lambda: "abc1234")
    path, printed = count("--method", "m3d", "--classes", "2", "--classes", "4")
    record = load("recording").compact(path)
    few, many = record["rows"]
    assert few["ours"]["launches"] == many["ours"]["launches"]
    assert sum(few["ours"]["waits"]) == sum(many["ours"]["waits"]) == 0
    assert sum(many["reference"]["launches"]) > 1.6 * sum(few["reference"]["launches"])
    assert load("forms").FORMS["launches"][1](record) in printed
    assert len(few["ours"]["launches"]) == 2
    assert record["command"].endswith("--ipc 1 --iterations 2")
    assert load("forms").FORMS["roofline"][1](record) in printed
    (one, two) = (row["paper"] for row in record["rows"])
    assert two == pytest.approx({name: 2 * number for name, number in one.items()}, rel=1e-3)


@pytest.mark.parametrize(("method", "most"), [("dm", 150), ("ddm", 250)])
def test_an_iteration_of_100_classes_launches_few_operations(load, method, most):
    launches = load("launches")
    sizes = {"size": 32, "width": 4, "real": 2, "images": 4, "ipc": 2}
    job = launches.Small("cuda", 1, 8, 1, method=method, classes=100, **sizes)
    found, each = launches.counted(job, "ours")
    assert sum(found["launches"]) / 8 <= most
    assert sum(found["waits"]) == 0
    assert each["aten.convolution"] == 8 * 2 * 3, "three blocks, real and synthetic images"


def test_a_method_without_a_plain_loop_is_counted_alone(count):
    path, printed = count("--method", "dm+sam1", "--classes", "2", "--most", "3")
    (row,) = json.loads(path.read_text())["rows"]
    assert row["reference"] is None
    assert min(row["ours"]["launches"]) > 100
    assert "| `dm+sam1` | 2 | - |" in printed
    assert "dm+sam1, 2 classes: div" in printed


def test_what_is_no_optimising_method_is_a_line(load):
    for name, line in {"dmm": "did you mean 'dm'", "random": "random selects real images"}.items():
        result = CliRunner().invoke(load("launches").main, ["--method", name])
        assert result.exit_code == 2
        assert line in result.output
