"""Names that options take: which are known, and what a shell completes."""

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from cl_condense.cli import names
from cl_condense.cli.main import cli

NAMES = {name: value for name, value in vars(names).items() if isinstance(value, names.Name)}


def completed(words):
    """What is offered for the last of the words."""
    *before, last = words
    shell = ShellComplete(cli, {}, "cl-condense", "_CL_CONDENSE_COMPLETE")
    return [item.value for item in shell.get_completions(before, last)]


@pytest.mark.parametrize("name", NAMES)
def test_every_list_of_names_has_some_and_takes_each_of_them(name):
    known = [*NAMES[name].names()]
    assert len(known) > 1
    for each in known:
        assert NAMES[name].convert(each, None, None) == each


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("run --method dd", ["ddm", "dd"]),
        ("run --method dm --method her", ["herding"]),
        ("condense --method dm+gr", ["dm+gram"]),
        ("condense --method dm+sm+ic", ["dm+sm+icd"]),
        ("condense --method dm@l", ["dm@lr="]),
        ("condense --method idm@ce=0.1,si", ["idm@ce=0.1,size="]),
        ("table ddm-1 --method idm+parti", ["idm+partition"]),
        ("methods m3d_l", ["m3d_linear"]),
        ("run --dataset fas", ["fashion_mnist"]),
        ("table ddm-1 --only cifar1", ["cifar10", "cifar100"]),
        ("table idm-f", ["idm-fig3", "idm-fig5", "idm-fig6", "idm-fig7", "idm-fig8", "idm-fig8a", "idm-fig8b"]),
        ("table ddm-1 ddm-2 ddm-fig", ["ddm-fig1", "ddm-fig3a", "ddm-fig3b"]),
        ("evaluate x.pt --network densenet", ["densenet121"]),
        ("evaluate x.pt --evaluation pl", ["plain"]),
        ("export x.safetensors --format n", ["npz"]),
        ("run --codec f", ["float32", "float16"]),
    ],
)
def test_names_are_completed(words, offered):
    assert completed(words.split()) == offered


def test_a_shell_completes_beside_a_word_that_is_wrong():
    assert completed("run --method ddmm --dataset cifar100 --shrink p".split()) == ["prefix"]


def test_an_unknown_method_after_a_plus_offers_nothing():
    assert completed(["run", "--method", "dm+nothing"]) == []


def test_tables_and_evaluations_are_completed_without_torch():
    code = """if True:
        import sys
        from cl_condense.cli import names
        assert [*names.TABLE.names()] and [*names.EVALUATION.names()]
        sys.exit("torch" in sys.modules)"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
