"""What ``import cl_condense`` offers."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import cl_condense


def fresh(code):
    """What a new process prints."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_every_name_can_be_imported_first_in_a_fresh_process():
    code = """
import subprocess, sys, cl_condense
if sys.argv[1:]:
    print(getattr(cl_condense, sys.argv[1]).__name__)
"""
    names = [name for name in cl_condense.__all__ if name not in ("CondensedBuffer", "CondensedGDumb")]
    # A process for the names of each module would take a minute: those that import the others come one by one.
    code = "import sys\n" + "\n".join(
        f"from cl_condense import {name}; assert {name}\n"
        "for module in [m for m in sys.modules if m.startswith('cl_condense')]: del sys.modules[module]"
        for name in names
    )
    assert fresh(code) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CondensedBuffer", "CondensedGDumb"])
def test_the_adapters_can_be_imported_first(name):
    assert fresh(f"from cl_condense import {name}; print({name}.__name__)") == name


def test_a_star_gives_all_names_and_dir_lists_them():
    scope = {}
    exec("from cl_condense import *", scope)
    assert scope.keys() - {"__builtins__"} == set(cl_condense.__all__)
    assert set(cl_condense.__all__) <= set(dir(cl_condense))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        cl_condense.nothing  # noqa: B018


def test_importing_the_package_imports_neither_torch_nor_avalanche():
    assert fresh("import cl_condense, sys; print({'torch', 'avalanche'} & sys.modules.keys())") == "set()"


def test_the_version_is_the_distribution_s():
    assert cl_condense.__version__ == version("cl-condense")


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "cl_condense", "--version"], capture_output=True, text=True, check=True
    )
    assert cl_condense.__version__ in done.stdout
