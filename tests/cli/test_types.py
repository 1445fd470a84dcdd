"""Numbers that options take, by one rule."""

import re

import pytest
from commands import refusal

from cl_condense.cli.main import cli
from cl_condense.cli.types import Whole
from cl_condense.common.numbers import MOST, SEED_MAX

BAD = ["-3", "1.5", "nan", "inf", "x", "True", " 5", "5 ", "1_000", "+3", "٣", "５", "", "0x10", "1e3"]
LIMITS = MOST | {"seed": SEED_MAX, "order_seed": SEED_MAX}
NEED = {"table": ["ddm-1"]}


def whole_options():
    for name, command in cli.commands.items():
        for param in command.params:
            if isinstance(param.type, Whole) and param.opts[0] != "--channels":  # which has two values
                yield name, param.opts[0]


def test_every_number_of_the_commands_is_whole_by_the_one_rule():
    found = set(whole_options())
    for name in ("run", "condense", "table"):
        for param in cli.commands[name].params:
            if param.type.name in ("integer", "float") and param.opts[0] != "--channels":
                assert (name, param.opts[0]) in found


@pytest.mark.parametrize(("command", "option"), [*whole_options()])
def test_a_number_without_sense_is_named_with_its_option(command, option, capsys):
    least, most = int("seed" not in option), LIMITS.get(option[2:].replace("-", "_"))
    for value in [*BAD, str(least - 1), *([] if most is None else [str(most + 1), str(10**26)])]:
        said = refusal([command, *NEED.get(command, []), option, value], capsys)
        shown = value if re.fullmatch("-?[0-9]+", value) else f"'{value}'"
        allowed = f"from {least}" if most is None else f"from {least} to {most}"
        assert said == f"{option} {shown}: give a whole number {allowed}"
