"""TOML files of options: what is written is read again, and gives the same config."""

import pytest

from cl_condense.runs import config_file
from cl_condense.runs.config import CondenseConfig
from cl_condense.runs.run_config import RunConfig

VALUES = {
    "text": 'a "quoted" \\ path, ü, 😀, \x7f, \t and\na line',
    "empty": "",
    "whole": -3,
    "large": 2**32 - 1,
    "fraction": 0.1,
    "yes": True,
    "no": False,
    "list": ["dm", "dm+sm"],
    "numbers": [1, 2],
    "none-of-them": [],
    "real-per-class": 8,
}


def test_what_is_written_is_read_again(tmp_path):
    config_file.write(tmp_path / "x.toml", VALUES)
    found = config_file.read(tmp_path / "x.toml")
    assert found == VALUES
    assert [type(value) for value in found.values()] == [type(value) for value in VALUES.values()]


def test_options_are_named_as_on_the_command_line():
    run = RunConfig.of("digits", ("dm", "random"), ipc=None, max_bytes=900, compiled=True, data="abcd1234")
    found = config_file.options(run)
    assert found.items() >= {"method": ("dm", "random"), "bytes": 900, "compile": True, "economy": True}.items()
    assert not {"ipc", "budget", "iterations", "data", "methods", "max_bytes"} & found.keys()
    assert config_file.options(CondenseConfig("digits", "dm", real_per_class=8))["real-per-class"] == 8


@pytest.mark.parametrize("content", [None, b"method = ", b"\xff", b"a = 1\na = 2", b"method = None"])
def test_a_file_that_is_no_toml_is_one_line(content, tmp_path):
    if content is not None:
        (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.toml (cannot be read as TOML|is not there)") as error:
        config_file.read(tmp_path / "x.toml")
    assert "\n" not in str(error.value)
