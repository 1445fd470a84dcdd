"""CONTRIBUTING.md's worked example: its file and its line, put into a copy of the package, make a method."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package with the example's method."""
    text = (HOME / "CONTRIBUTING.md").read_text().split("## Adding a method")[1]
    file, line = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[:2]
    copy = tmp_path_factory.mktemp("contributing")
    shutil.copytree(HOME / "cl_condense", copy / "cl_condense", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "cl_condense/methods/variance.py").write_text(file)
    names = copy / "cl_condense/methods/registry.py"
    before = names.read_text()
    assert line.count("\n") == 1
    after = before.replace('    "dsa": Suffix(', line + '    "dsa": Suffix(', 1)
    after = after.replace("    cafe,\n", "    cafe,\n    variance,\n", 1)
    assert len(after) == len(before) + len(line) + len("    variance,\n")
    names.write_text(after)
    return copy


@pytest.mark.slow
def test_the_example_is_a_method_that_composes_runs_and_is_listed(package):
    code = """
import cl_condense, torch
from cl_condense import ImageSet, MakeConvNet, condense
from cl_condense.cli.main import main
print(cl_condense.__file__)
real = ImageSet.of(torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0)), [0, 1] * 6)
for name in ("dm", "dm+variance", "idm+variance"):
    made = condense(real, name, iterations=3, ipc=2, network=MakeConvNet(real.shape, width=8))
    print(name, made.recipe["terms"].get("variance_matching"), float(made.pixels.sum()))
main(["methods"])
"""
    environment = os.environ | {"PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"}
    home, dm, variance, idm, *listed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=package
    ).stdout.splitlines()
    assert home.startswith(str(package))
    assert dm.split()[:2] == ["dm", "None"]
    assert variance.split()[:2] == ["dm+variance", "0.1"]
    assert idm.split()[:2] == ["idm+variance", "0.1"]
    assert dm.split()[2] != variance.split()[2]
    assert re.search(
        r"\+variance +variances of embeddings +A\. N\. Author, arXiv:0000\.00000", "\n".join(listed)
    )
