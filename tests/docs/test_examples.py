"""The examples run as they stand, and show what they say."""

import re
import runpy
import warnings
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def output(tmp_path, monkeypatch, capsys):
    """What an example prints when it is run as a program, in an empty folder, but in this process."""
    monkeypatch.chdir(tmp_path)

    def run(name):
        with warnings.catch_warnings(record=True):  # Avalanche has its own memory's update always warn
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_every_example_is_tested():
    here = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in here] == []


@pytest.mark.slow
def test_a_condensed_replay_memory_beats_one_of_real_images(output):
    shown = output("avalanche_replay.py")
    accuracies = dict(re.findall(r"^(\w+): accuracy ([\d.]+), .*20 images$", shown, re.MULTILINE))
    assert float(accuracies["CondensedBuffer"]) > float(accuracies["ClassBalancedBuffer"]) > 0.3


@pytest.mark.slow
def test_images_of_ones_own_are_condensed_saved_and_shown(output, tmp_path):
    shown = output("own_dataset.py")
    accuracies = dict(re.findall(r"^(\w+): accuracy ([\d.]+)", shown, re.MULTILINE))
    assert float(accuracies["dm"]) > float(accuracies["random"])
    for name in ("random", "dm"):
        assert (tmp_path / "runs/own_dataset" / f"{name}.png").stat().st_size > 1000
        assert (tmp_path / "runs/own_dataset" / f"{name}.safetensors").stat().st_size > 3 * 3 * 16 * 16 * 4


@pytest.mark.slow
def test_an_objective_of_ones_own_is_used_in_a_memory(output):
    shown = output("own_objective.py").splitlines()
    lines = dict(line.split(" ", 1) for line in shown if line.startswith("dm"))
    assert set(lines) == {"dm", "dm+variance"}
    for accuracies in lines.values():
        assert len(accuracies.split()) == 3
        assert min(map(float, accuracies.split())) > 0.8
