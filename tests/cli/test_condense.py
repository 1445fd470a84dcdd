"""``cl-condense condense``: interrupted, and one writer at a time."""

import signal
import subprocess
import sys
import time

import pytest
import torch
from commands import call, interrupted

from cl_condense.condensation.condensed_set import CondensedSet


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "Stopped"), (signal.SIGTERM, 143, "Stopped")]
)
def test_a_signal_in_condense_keeps_what_is_done_and_the_same_command_goes_on(number, code, said, tmp_path):
    words = "condense --method dm --ipc 1 --iterations 200 --width 8 --device cpu".split()
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    assert call(*words, "--out", whole) == 0
    ended = interrupted([*words, "--out", cut], number, tmp_path / ".cut.safetensors.lock")
    assert ended == (code, f"{said}: the same command goes on.")
    assert (tmp_path / "cut.checkpoint").exists()
    assert call(*words, "--out", cut) == 0
    one, other = (CondensedSet.load(path) for path in (whole, cut))
    assert all(torch.equal(one.stored[name], other.stored[name]) for name in one.stored)


@pytest.mark.slow
def test_two_processes_do_not_write_one_set(tmp_path, capsys):
    words = ["condense", "--method", "dm", "--width", "8", "--device", "cpu", "--iterations"]
    out = tmp_path / "set.safetensors"
    command = [sys.executable, "-c", "from cl_condense.cli.main import main; main()", *words, "100000"]
    with subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.DEVNULL) as other:
        try:
            deadline = time.monotonic() + 120
            while not (tmp_path / ".set.safetensors.lock.json").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            assert call(*words, 2, "--out", out) == 2
            assert f"{out} is being written by process {other.pid} on" in capsys.readouterr().err
            assert call(*words, 2, "--out", tmp_path / "other.safetensors") == 0
        finally:
            other.kill()
    assert call(*words, 2, "--out", out) == 0
    made = out.read_bytes()
    assert call(*words, 2, "--out", out) == 0
    assert "made by the same command: 20 images; nothing to do" in capsys.readouterr().out
    assert call(*words, 3, "--out", out) == 2
    assert "is there already" in capsys.readouterr().err
    assert out.read_bytes() == made


def test_a_set_is_gone_on_from_with_as_many_images_as_it_has(tmp_path, capsys):
    few = "condense --method dm --iterations 2 --width 8 --device cpu".split()
    assert call(*few, "--ipc", 3, "--out", tmp_path / "a.safetensors") == 0
    assert call(*few, "--from", tmp_path / "a.safetensors", "--out", tmp_path / "b.safetensors") == 0
    assert {*CondensedSet.load(tmp_path / "b.safetensors").counts} == {3}
