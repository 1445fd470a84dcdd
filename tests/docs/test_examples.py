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
    examples = [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")]
    assert [path.name for path in examples if f'"{path.name}"' not in here] == []


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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what runs notebooks
def test_the_notebook_runs_and_shows_pictures_bars_and_tables(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", 4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells), "stored without outputs"
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    shown = [output for cell in cells for output in cell.outputs]
    texts = [output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in shown]
    kinds = [tuple(sorted(output.get("data", ()))) for output in shown]
    assert kinds.count(("image/png", "text/html", "text/plain")) == 3  # sets
    assert kinds.count(("image/png", "text/plain")) == 1  # the curve
    bars = [
        output.data["text/html"]
        for output in shown
        if "<progress" in output.get("data", {}).get("text/html", "")
    ]
    assert len(bars) == 10
    assert all('value="1.0000"' in bar for bar in bars)
    (table,) = [text for text in texts if text.startswith("set ")]
    accuracies = dict(re.findall(r"^(random|condensed).* ([\d.]+) ±", table, re.MULTILINE))
    assert float(accuracies["condensed"]) > float(accuracies["random"]) > 50
    assert re.search(r"^accuracy [5-9]\d\.\d%$", "\n".join(texts), re.MULTILINE)
