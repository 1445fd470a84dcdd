"""What keeps the house small and typed: lengths, and how often types are given up."""

import ast
import re
import statistics
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
FILES = [*(HOME / "cl_condense").rglob("*.py"), *(HOME / "strategies").glob("*.py")]
TEXTS = {file.relative_to(HOME): file.read_text(encoding="utf-8") for file in FILES}


@pytest.mark.parametrize("file", TEXTS, ids=str)
def test_no_function_has_more_than_60_lines(file):
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    found = [node for node in ast.walk(ast.parse(TEXTS[file])) if isinstance(node, functions)]
    assert [node.name for node in found if node.end_lineno - node.lineno >= 60] == []


def test_half_of_the_files_have_at_most_150_lines_and_none_has_more_than_400():
    lengths = [len(text.splitlines()) for text in TEXTS.values()]
    assert statistics.median(lengths) <= 150
    assert max(lengths) <= 400


def test_types_are_seldom_given_up():
    lines = [line for text in TEXTS.values() for line in text.splitlines()]
    assert sum("type: ignore" in line for line in lines) <= 8
    unknown = [line for line in lines if re.search(r"\bAny\b", line) and "import" not in line]
    assert len(unknown) <= 63
