"""The rooms of the house and the arrows between them: what CONTRIBUTING.md says is what the imports do."""

import ast
import graphlib
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
PACKAGE = HOME / "cl_condense"
FLOORS = [
    ["common"],
    ["data"],
    ["networks"],
    ["training"],
    ["condensation"],
    ["methods"],
    ["memory"],
    ["strategies", "runs"],
    ["papers"],
    ["reports"],
    ["cli"],
]
"""From the ground up; rooms of one floor do not know each other."""

TOP = {"__init__", "__main__"}
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def files():
    """Every module by its dotted name below the package; the adapters lie in a folder of their own."""
    found = {}
    for room in FLOOR:
        folder = HOME / room if room == "strategies" else PACKAGE / room
        for file in folder.rglob("*.py"):
            parts = [room, *file.relative_to(folder).with_suffix("").parts]
            found[".".join(part for part in parts if part != "__init__")] = file
    return found


FILES = files()


def imports(file):
    """The modules of the package that a file imports, anywhere in it, by their dotted names below it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name.removeprefix("cl_condense.") in FILES else node.module for name in inner]
        else:
            continue
        yield from (name.removeprefix("cl_condense.") for name in names if name.startswith("cl_condense."))


def test_the_package_has_no_module_at_its_top_but_the_entry():
    assert {file.stem for file in PACKAGE.glob("*.py")} == TOP
    rooms = {folder.name for folder in PACKAGE.iterdir() if folder.is_dir() and folder.name != "__pycache__"}
    assert rooms == set(FLOOR)


@pytest.mark.parametrize("name", FILES)
def test_arrows_point_down(name):
    room = name.split(".")[0]
    for other in set(imports(FILES[name])):
        target = other.split(".")[0]
        assert target == room or FLOOR[target] < FLOOR[room], f"{name} looks up at {other}"


def test_there_is_no_circle():
    graph = {name: set(imports(file)) - {name} for name, file in FILES.items()}
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the circle


def test_nothing_but_the_adapters_imports_avalanche():
    for name, file in FILES.items():
        if not name.startswith("strategies"):
            assert "import avalanche" not in file.read_text(), name
            assert "from avalanche" not in file.read_text(), name
