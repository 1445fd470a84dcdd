"""Bad input, as lists to be read and added to: whatever is typed, one line says what to give instead.

``commands.txt`` has command lines, ``expressions.txt`` the library's. They are typed in a folder of things that
someone may have (``support/things.py``). With CL_CONDENSE_WRITE_LINES=1 what comes is written into the lists.
"""

import os
import shlex
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sessions
import things

from cl_condense.cli.main import main

LISTS = Path(__file__).parent
COMMANDS, EXPRESSIONS = (sessions.read(LISTS / f"{name}.txt") for name in ("commands", "expressions"))
SOME = COMMANDS[:: len(COMMANDS) // 2]
WRITING = bool(os.environ.get("CL_CONDENSE_WRITE_LINES"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, digits_pair):
    made = tmp_path_factory.mktemp("things")
    things.make(made, digits_pair[0])
    return made


@pytest.fixture(scope="module")
def found():
    """What came, for the list that it is of."""
    came = {"commands": {}, "expressions": {}}
    yield came
    for name, lines in came.items() if WRITING else ():
        sessions.write(LISTS / f"{name}.txt", lines)


@pytest.fixture
def here(folder, digits_pair, monkeypatch):
    """Inside the folder: no work begins, and nothing is left in it."""
    from cl_condense.data import datasets

    def load(name, data=None, **options):
        as_it_is = not options.get("download") and options.keys() <= {"download", "on_progress", "on_note"}
        builtin = name == "digits" and data is None and as_it_is
        return digits_pair if builtin else real(name, data, **options)

    def begun(*_, **__):
        pytest.fail("work has begun")

    real = datasets.load
    monkeypatch.chdir(folder)
    monkeypatch.setattr(datasets, "load", load)
    monkeypatch.setattr("cl_condense.condensation.engine.Condensation.step", begun)
    monkeypatch.setattr("cl_condense.training.train._train", begun)
    before, started = _listing(), time.process_time()
    yield folder
    assert time.process_time() - started < 10  # of this process, however busy the machine is
    assert _listing() == before


def _listing():
    """Every file with what would show that it was written, and every folder."""
    paths = [
        os.path.join(parent, name) for parent, *inside in os.walk(".") for names in inside for name in names
    ]
    found = {path: os.lstat(path) for path in paths}
    return {path: one.st_mtime_ns if stat.S_ISREG(one.st_mode) else one.st_mode for path, one in found.items()}


@pytest.fixture
def words(request, here, monkeypatch):
    """The words of a command, after the files are made that come with it."""
    *files, command = request.param.typed
    written = []
    for line in files:
        echo, text, _, name = shlex.split(line)
        assert echo == "echo"
        written.append(Path(name))
        written[-1].write_text(text.replace(r"\n", "\n") + "\n")
    every = [sessions.filled(word) for word in shlex.split(command)]
    if "--ray" in every:
        pytest.importorskip("ray")
    while "=" in every[0]:
        monkeypatch.setenv(*every.pop(0).split("=", 1))
    yield every[1:]
    for path in written:
        path.unlink()


def _same(came, entry, found):
    if WRITING:
        found[entry.typed] = sessions.emptied(came)
    else:
        assert came == sessions.filled(entry.comes)


@pytest.mark.parametrize(
    ("words", "entry"), [(e, e) for e in COMMANDS], indirect=["words"], ids=[e.typed[-1] for e in COMMANDS]
)
def test_a_command_says_in_one_line_what_to_give(words, entry, found, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    shown = capsys.readouterr()
    assert (stop.value.code, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert shown.err.startswith("Error: ")
    _same(shown.err.rstrip("\n"), entry, found["commands"])


@pytest.mark.parametrize(
    ("words", "entry"), [(e, e) for e in SOME], indirect=["words"], ids=[e.typed[-1] for e in SOME]
)
def test_a_process_says_the_same(words, entry):
    command = [sys.executable, "-m", "cl_condense", *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert WRITING or ended.stderr == sessions.filled(entry.comes) + "\n"


def _environment():
    return os.environ | {"PYTHONPATH": str(LISTS.parents[1])}


@pytest.fixture(scope="module")
def known(digits_pair):
    """What an expression may name."""
    return things.named(*digits_pair)


@pytest.mark.parametrize("entry", EXPRESSIONS, ids=[e.typed[-1] for e in EXPRESSIONS])
def test_the_library_says_in_one_line_what_to_give(entry, here, known, found):
    code = compile(entry.typed[0], "list", "eval")
    with pytest.raises((ValueError, AttributeError)) as error:
        eval(code, dict(known))
    came = f"{type(error.value).__name__}: {error.value}"
    assert "\n" not in came
    _same(came, entry, found["expressions"])


def test_no_entry_comes_twice():
    for entries in (COMMANDS, EXPRESSIONS):
        typed = [entry.typed for entry in entries]
        assert len({*typed}) == len(typed)
    assert len(COMMANDS) + len(EXPRESSIONS) >= 400
