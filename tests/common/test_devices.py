"""What the hardware at hand can do."""

import warnings

import pytest
import torch

from cl_condense.cli.main import main
from cl_condense.common import devices
from cl_condense.common.devices import mind_precision

without = devices._without_bfloat16.__wrapped__


@pytest.fixture
def slow(monkeypatch):
    """A processor and a GPU that do bfloat16 in software."""
    monkeypatch.setattr(devices, "_without_bfloat16", lambda kind: True)
    devices._warn_of_bfloat16.cache_clear()
    yield
    devices._warn_of_bfloat16.cache_clear()


def test_bfloat16_in_software_is_warned_of_once(slow):
    for device, name in (("cpu", "processor"), ("cuda:0", "GPU")):
        with pytest.warns(UserWarning, match=f"this {name}, .*: leave the precision at float32"):
            mind_precision("bfloat16", device)
        mind_precision("bfloat16", torch.device(device))


def test_nothing_is_said_of_float32_of_other_devices_and_where_the_hardware_has_it(slow, monkeypatch):
    mind_precision("float32", "cpu")
    mind_precision("bfloat16", "meta")
    monkeypatch.setattr(devices, "_without_bfloat16", lambda kind: False)
    mind_precision("bfloat16", "cpu")


@pytest.mark.parametrize(
    ("seconds", "found"), [((1e-3, 1e-3), False), ((1e-3, 3e-3), False), ((1e-3, 2e-2), True)]
)
def test_a_processor_is_without_bfloat16_where_it_takes_far_longer(monkeypatch, seconds, found):
    times = dict(zip((torch.float32, torch.bfloat16), seconds, strict=True))
    monkeypatch.setattr(devices, "_convolving", times.get)
    assert without("cpu") is found


def test_a_gpu_is_asked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert without("cuda") is True


def test_the_convolution_takes_time():
    assert devices._convolving(torch.float32) > 0


@pytest.mark.parametrize("given", ["--precision bfloat16", "--training-precision bfloat16"])
def test_a_command_says_it_in_one_line(slow, given, tmp_path, capsys):
    small = "--dataset digits --method dm --ipc 1 --iterations 2 --networks 1 --epochs 1 --width 8"
    line = f"run {small} --steps 2 --orders 1 {given} --out {tmp_path / 'run'}"
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with pytest.raises(SystemExit, match="0"):
            main(line.split())
    assert capsys.readouterr().err.count("Warning: bfloat16 is done in software") == 1
