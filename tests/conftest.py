"""What tests in several folders share. Torch is imported where it is used: xdist's first process needs none."""

import importlib
import json
import os
from pathlib import Path

import hypothesis
import pytest
from click.testing import CliRunner

os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # else torch.compile starts processes of its own

# The same examples every time, however slow the machine; --hypothesis-profile=search looks for others.
hypothesis.settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("search", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("fixed")

pytest.register_assert_rewrite("commands", "pages", "small_sets", "streams", "trials")


def pytest_addoption(parser):
    parser.addoption("--mutations", type=int, default=40, help="Damaged files of each format.  [default: 40]")
    parser.addoption("--mutations-json", type=Path, help="Write what they led to as a record; needs -n 0.")


def pytest_xdist_auto_num_workers(config):
    """One more than there are cores: many tests wait for processes that they start."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 1, 8)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tests work on tiny images, for which a second thread costs more than it does."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def bfloat16_everywhere(monkeypatch):
    """No warning where this machine has it in software alone: other tests are of what it gives."""
    monkeypatch.setattr("cl_condense.common.devices._without_bfloat16", lambda kind: False)


@pytest.fixture(scope="session")
def tried(pytestconfig):
    """Takes what the damaged files of a format led to; the record has it at once."""
    from cl_condense.runs.provenance import origin

    rows, number, path = [], pytestconfig.getoption("mutations"), pytestconfig.getoption("mutations_json")
    record = {"kind": "mutations", **origin("cpu"), "seed": 0, "settings": {"files": number}, "rows": rows}

    def take(name, files, found):
        said = {"said": found} if found else {}
        rows.append({"format": name, "files": len(files), "faults": len(found), **said})
        if path:
            words = f"--mutations {number} --mutations-json {path.name}"
            record["command"] = f"pytest -n 0 tests/faults/test_mutations.py {words}"
            path.write_text(json.dumps(record, indent=1) + "\n")

    return take


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
    from cl_condense.data import datasets

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
