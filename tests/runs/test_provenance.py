"""What a measurement says of its making."""

import subprocess
from pathlib import Path

import click
import numpy
import pytest
import torch
from click.testing import CliRunner

from cl_condense.runs import provenance as origins
from cl_condense.runs.provenance import command_line, commit, origin, together


def git(where, *words):
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=where, check=True, capture_output=True)


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A repository with the module in it, committed."""
    for folder in ("cl_condense", "strategies", "benchmarks", "docs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "origin.py").write_text("1\n")
    (tmp_path / "cl_condense" / "__init__.py").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "All of it")
    monkeypatch.setattr(origins, "__file__", str(tmp_path / "cl_condense" / "runs" / "provenance.py"))
    return tmp_path


def test_the_commit_is_marked_where_code_was_changed(code):
    clean = commit.__wrapped__()
    assert clean
    assert len(clean) >= 4
    assert not clean.endswith("+")
    (code / "docs" / "origin.py").write_text("2\n")
    assert commit.__wrapped__() == clean
    for path in ("cl_condense/new.py", "strategies/origin.py", "benchmarks/origin.py"):
        (code / path).write_text("2\n")
        assert commit.__wrapped__() == clean + "+"
        git(code, "add", ".")
        git(code, "commit", "-qm", "More of it")
        clean = commit.__wrapped__()


def test_there_is_no_commit_without_git_or_within_another_project(code):
    git(code, "rm", "-q", "--cached", "cl_condense/__init__.py")
    assert commit.__wrapped__() is None
    (code / ".git").rename(code / "elsewhere")
    assert commit.__wrapped__() is None


def test_the_commit_is_that_of_the_first_call(code):
    commit.cache_clear()
    first = commit()
    (code / "cl_condense" / "origin.py").write_text("2\n")
    assert commit() == first
    commit.cache_clear()


def test_the_origin_has_device_threads_and_versions():
    found = origin("cpu")
    assert list(found) == ["device", "threads", "versions", "commit", "date"]
    assert found["device"] not in ("", "cpu", "auto")
    assert origin("auto")["device"]
    assert found["threads"] == torch.get_num_threads()
    assert found["versions"]["numpy"] == numpy.__version__
    assert set(found["versions"]) == {"python", "cl-condense", "torch", "torchvision", "numpy", "avalanche-lib"}
    assert len(found["date"]) == len("2026-01-31")


def test_origins_together_list_what_differs():
    first = {"device": "a", "threads": 1, "commit": "abc1234", "date": "2026-02-01", "versions": {"torch": "2"}}
    assert together([first, first]) == first
    later = first | {"commit": "def5678", "date": "2026-01-31", "versions": {"torch": "3", "numpy": "1"}}
    both = together([first, later])
    assert both["commit"] == "abc1234, def5678"
    assert both["date"] == "2026-01-31 to 2026-02-01"
    assert both["versions"] == {"torch": "2, 3", "numpy": "1"}


def test_what_an_earlier_record_does_not_say_is_none():
    found = together([{"device": "a", "threads": 1, "commit": "abc1234"}, {"device": "a"}])
    assert found == {"device": "a", "threads": None, "commit": None, "date": None, "versions": {}}


@click.command()
@click.argument("name")
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--json", "file", type=click.Path(path_type=Path))
@click.option("--method", "methods", multiple=True)
@click.option("--epochs", type=int, default=3)
@click.option("--ipc", type=int)
@click.option("--quick", is_flag=True)
@click.option("--economy/--papers", default=None)
def command(**given):
    click.echo(command_line("cl-condense table"))


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("ddm-1", "ddm-1"),
        ("ddm-1 --epochs 3 --ipc 2", "ddm-1 --epochs 3 --ipc 2"),
        (
            "--data /home/me --json /tmp/x.json --method dm+sm --method dm ddm-1 --quick",
            "ddm-1 --data DIR --method dm+sm --method dm --quick",
        ),
        (["a b$"], "'a b$'"),
        ("ddm-1 --papers", "ddm-1 --papers"),
        ("ddm-1 --economy", "ddm-1 --economy"),
    ],
)
def test_the_command_is_what_was_typed_without_paths(words, shown):
    result = CliRunner().invoke(command, words)
    assert result.output == f"cl-condense table {shown}\n"


def test_outside_a_command_the_program_is_all_there_is():
    assert command_line("cl-condense table") == "cl-condense table"
