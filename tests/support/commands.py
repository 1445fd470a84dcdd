"""The command line as people call it."""

import pytest

from cl_condense.cli.main import main


def call(*words):
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


def one_line(result, message):
    """What a runner of click was refused with: exit code 2 and one line."""
    assert result.exit_code == 2, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert message in result.output
