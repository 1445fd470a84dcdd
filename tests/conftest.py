import importlib
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from cl_condense.data import datasets

pytest.register_assert_rewrite("streams")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tests work on tiny images, for which a second thread costs more than it does."""
    torch.set_num_threads(1)


@pytest.fixture
def load(monkeypatch):
    """A module of benchmarks/, by name."""
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    return importlib.import_module


@pytest.fixture
def home(load, tmp_path, monkeypatch):
    """A repository without records, whose code has a commit."""
    monkeypatch.setattr(load("reproducibility"), "HOME", tmp_path / "home")
    monkeypatch.setattr("cl_condense.runs.provenance.commit", lambda: "abc1234")
    (tmp_path / "home" / "docs").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def call(load):
    """benchmarks/reproducibility.py, as it is called in ``home``."""

    def run(*words):
        return CliRunner().invoke(load("reproducibility").main, [str(word) for word in words])

    return run


@pytest.fixture(scope="session")
def digits_pair():
    """Training and test images of digits."""
    return datasets.load("digits")


@pytest.fixture
def small_probe(monkeypatch):
    """A report looks through four filters after one epoch."""
    monkeypatch.setattr("cl_condense.reports.html.probe.EPOCHS", 1)
    monkeypatch.setattr("cl_condense.reports.html.probe.WIDTH", 4)


@pytest.fixture(scope="session")
def digits():
    import streams  # here, since Avalanche takes seconds to import

    return streams.digits()
