"""The group of commands: its help, warnings, and one line for bad input."""

import pickle
import subprocess
import sys
import warnings

import pytest
from commands import call


def test_no_command_shows_the_help(capsys):
    assert call() == 0
    assert "Run over a stream" in capsys.readouterr().out


def test_help_has_an_example_and_needs_no_torch(capsys):
    assert call("run", "--help") == 0
    assert "cl-condense run --steps 10 --method ddm" in capsys.readouterr().out
    code = "import sys, cl_condense.cli.main; sys.exit('torch' in sys.modules or 'avalanche' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


BAD_SETS = [
    (["condense", "--method", "ddmm"], "did you mean 'ddm'"),
    (["condense", "--ipc", "0"], "--ipc 0: give"),
    (["condense", "--ipc", "999"], "give at most"),
    (["condense", "--out", "set.pt"], "name a .safetensors file"),
    (["condense", "--from", "absent.safetensors"], "absent.safetensors is not there"),
    (["evaluate"], "Missing argument"),
    (["evaluate", "absent.pt"], "absent.pt is not there"),
    (["evaluate", "bad.pt"], "bad.pt cannot be read as tensors"),
    (["evaluate", "bad.safetensors"], "bad.safetensors cannot be read"),
    (["evaluate", "bad.pt", "--evaluation", "plane"], "unknown evaluation 'plane': did you mean 'plain'?"),
    (["evaluate", "bad.pt", "--networks", "0"], "--networks 0: give"),
    (["evaluate", "bad.pt", "--epochs", "0"], "epochs 0"),
    (["evaluate", "bad.pt", "--pair", "-1"], "--pair -1: give a whole number"),
    (["evaluate", "bad.pt", "--factor", "0"], "--factor 0: give a whole number"),
    (["evaluate", "bad.pt", "--space", "rgb"], "unknown space 'rgb': known are auto, normalised, unit, pixels"),
    (["evaluate", "bad.safetensors", "--pair", "2"], "--pair 2: .pt files have pairs, and none is given"),
    (["export", "bad.safetensors", "--format", "pt", "--out", "x.pt"], "cannot be read"),
    (
        ["export", "bad.pt", "--format", "npy", "--out", "x"],
        "unknown format 'npy': did you mean 'npz'? known are pt",
    ),
    (["evaluate", "bad.pt", "--network", "convnets"], "unknown network 'convnets': did you mean 'convnet'?"),
    (["table", "ddm1"], "unknown table 'ddm1': did you mean 'ddm-1'?"),
    (["table", "ddm-1", "--order", "cheap"], "unknown order 'cheap': did you mean 'cheapest'?"),
    (["condense", "--device", "gpu"], "device 'gpu' is not here: use one of auto, cpu"),
    (["export", "absent.safetensors", "--format", "pt", "--out", "x.pt"], "is not there"),
]


@pytest.mark.parametrize(("words", "message"), BAD_SETS, ids=[" ".join(words) for words, _ in BAD_SETS])
def test_bad_sets_get_one_line_and_exit_code_2_and_write_nothing(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("bad.pt", "bad.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps({"data": []}))
    assert call(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Error: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pt", "bad.safetensors"]


def test_a_warning_is_one_line_that_names_no_code(capsys, monkeypatch):
    def warned(*args, **options):
        warnings.warn("torch.compile failed,\ngoing on", stacklevel=2)

    monkeypatch.setattr("cl_condense.methods.describe.about", warned)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert call("methods", "dm") == 0
    assert capsys.readouterr().err == "Warning: torch.compile failed, going on\n"
