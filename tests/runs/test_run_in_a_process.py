"""What a run needs of its process: memory, modules."""

import subprocess
import sys

import pytest

CODE = """
import resource
import sys
import tempfile

import torch

from cl_condense.data.imageset import ImageSet
from cl_condense.data.store import Store
from cl_condense.runs.incremental import Run
from cl_condense.runs.run_config import RunConfig


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def images(n):
    pixels = torch.randint(0, 256, (10 * n, 3, 32, 32), dtype=torch.uint8)
    return ImageSet(Store(pixels), tuple(range(10)), (n,) * 10, (0.5,) * 3, (0.25,) * 3)


torch.set_num_threads(1)
train, test = images(5000), images(1000)
before = peak()
assert before > 100, "the images count"
tiny = {"iterations": 1, "real_per_class": 8, "epochs": 1, "width": 4, "depth": 1, "device": "cpu"}
for steps in (1, 2):
    settings = RunConfig.of("cifar10", ("random", "dm"), steps=steps, ipc=1, orders=1, networks=1, **tiny)
    with tempfile.TemporaryDirectory() as out:
        records = Run(settings, train, test, out)()
    assert [r["stored_images"] for r in records] == [5 * 2 // steps * (t + 1) for t in range(steps)] * 2
print(before, peak())

from cl_condense.cli.main import cli
few = "--steps 2 --orders 1 --iterations 1 --epochs 1 --width 4 --method random --method dm"
cli.main(["run", *few.split(), "--out", sys.argv[1]], standalone_mode=False)
assert "cl_condense.memory.class_memory" in sys.modules
print([name for name in sys.modules if name.startswith(("avalanche", "cl_condense.strategies"))])
"""


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """What a process says that does the runs, and then the command."""
    command = [sys.executable, "-W", "ignore", "-c", CODE, str(tmp_path_factory.mktemp("process") / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_run_on_a_set_like_cifar10_needs_300_mib_beside_the_images(lines):
    """As floats the images alone were four times as large: 700 MiB."""
    before, peak = map(int, lines[0].split())
    assert peak - before < 300


@pytest.mark.slow
def test_a_run_does_not_import_avalanche(lines):
    assert lines[-1] == "[]"
