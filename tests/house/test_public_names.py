"""What ``import cl_condense`` offers."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import cl_condense


def fresh(code):
    """What a new process prints."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_every_name_can_be_imported_first():
    """Before each name the package is forgotten, as in a new process; torch and Avalanche stay."""
    code = "import sys\nfound = []\n" + "".join(
        f"from cl_condense import {name}; found.append({name}.__module__)\n"
        "for module in [m for m in sys.modules if m.startswith('cl_condense')]: del sys.modules[module]\n"
        for name in one_of_each_module()
    )
    shown = fresh(code + "print(len(found), all(module.startswith('cl_condense') for module in found))")
    assert shown == f"{len(one_of_each_module())} True"


def one_of_each_module():
    """A name of each module that is loaded for a name: for the others of a module the same is loaded."""
    stub = Path(cl_condense.__file__).with_suffix(".pyi").read_text()
    first = {}
    for node in ast.walk(ast.parse(stub)):
        if isinstance(node, ast.ImportFrom):
            first.setdefault(node.module, node.names[0].name)
    assert set(first.values()) < set(cl_condense.__all__)
    assert "strategies" in first
    return list(first.values())


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
