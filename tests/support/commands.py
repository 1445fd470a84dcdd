"""Command lines of the tests: what they end with, and ones that are quick."""

import json
import subprocess
import sys
import time

import pytest

from cl_condense.cli.main import main

QUICK = "run --orders 1 --networks 1 --iterations 2 --epochs 2 --width 8 --device cpu".split()

SELECT = "run --orders 1 --networks 1 --epochs 2 --width 8 --device cpu".split()


def call(*words):
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


def refusal(words, capsys):
    """The one line of a command that ends with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    shown = capsys.readouterr()
    assert (stop.value.code, shown.out) == (2, "")
    assert shown.err.startswith("Error: ")
    assert shown.err.count("\n") == 1
    return shown.err.removeprefix("Error: ").rstrip("\n")


def interrupted(words, number, begun):
    """Exit code and last line of a command that gets a signal once ``begun`` is there."""
    command = [sys.executable, "-c", "from cl_condense.cli.main import main; main()", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while process.poll() is None and not begun.exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert "Traceback" not in error
    return process.returncode, error.rstrip("\n").split("\n")[-1]


def accuracies(out):
    return [json.loads(line)["accuracies"] for line in (out / "records.jsonl").read_text().splitlines()]


def one_line(result, message):
    """What a runner of click was refused with: exit code 2 and one line."""
    assert result.exit_code == 2, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert message in result.output
