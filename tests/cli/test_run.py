"""``cl-condense run``."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest
import torch
from commands import QUICK, SELECT, accuracies, call, interrupted
from PIL import Image

from cl_condense.runs.defaults import DEFAULTS, EPOCHS
from cl_condense.runs.run_config import RunConfig


def test_a_run_ends_with_a_table_pictures_and_memories(tmp_path, capsys):
    out = tmp_path / "run"
    assert call(*QUICK, "--steps", 2, "--method", "random", "--method", "dm+sm", "--out", out) == 0
    shown = capsys.readouterr()
    for word in ("random", "dm+sm", "5 classes", "10 classes", str(out)):
        assert word in " ".join(shown.out.split()), word
    assert "[4/4] dm+sm order 1 step 2" in shown.err
    assert len((out / "records.jsonl").read_text().splitlines()) == 4
    for name in ("accuracy.png", "memory.png"):
        with Image.open(out / name) as image:
            assert min(image.size) > 200
    assert len(list((out / "memory").iterdir())) == 2

    assert call(*QUICK, "--steps", 2, "--method", "random", "--method", "dm+sm", "--out", out) == 0
    again = capsys.readouterr()
    assert again.out == shown.out
    assert "4 of 4 pieces of work are in" in again.err


def test_the_default_folder_is_one_for_each_choice_of_settings(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for quick, method in ((SELECT, "random"), (QUICK, "dm")):
        assert call(*quick, "--steps", 1, "--method", method) == 0
    assert sorted(path.name.rsplit("-", 1)[0] for path in (tmp_path / "runs").iterdir()) == [
        "digits-dm",
        "digits-random",
    ]


def test_networks_after_the_last_step_alone_then_after_the_others(tmp_path, capsys):
    words = [*QUICK, "--steps", 3, "--method", "dm", "--out"]
    assert call(*words, tmp_path / "each") == 0
    assert call(*words, tmp_path / "run", "--after", "last") == 0
    shown = capsys.readouterr()
    assert "networks after 3 alone" in shown.err
    assert "average: over 1 step" in " ".join(shown.out.split())
    each = accuracies(tmp_path / "each")
    assert accuracies(tmp_path / "run") == each[2:]
    config = tmp_path / "run/config.toml"
    assert 'after = "last"' in config.read_text().splitlines()
    assert call("run", "--config", config, "--out", tmp_path / "again") == 0
    assert accuracies(tmp_path / "again") == each[2:]
    assert call(*words, tmp_path / "run", "--after", "1,last") == 0
    assert call("report", tmp_path / "run") == 0  # of a step in the midst there is nothing
    assert call(*words, tmp_path / "run") == 0
    assert sorted(accuracies(tmp_path / "run")) == sorted(each)


def test_networks_that_go_on_train_after_the_steps_before_too(tmp_path, capsys):
    words = [*SELECT, "--steps", 3, "--method", "random", "--trainer", "idc", "--after", 2]
    assert call(*words, "--out", tmp_path / "run") == 0
    assert "networks after 1, 2 alone" in capsys.readouterr().err
    assert len(accuracies(tmp_path / "run")) == 2


def test_uneven_steps_say_so(tmp_path, capsys):
    assert call(*SELECT, "--steps", 3, "--method", "random", "--out", tmp_path / "run") == 0
    assert "uneven: 4, 3, 3 new classes" in capsys.readouterr().err


def test_the_plain_evaluation_is_recorded_with_its_epochs(tmp_path):
    words = "run --orders 1 --networks 1 --width 8 --device cpu --steps 1 --method random".split()
    words += ["--evaluation", "plain"]
    assert call(*words, "--out", tmp_path / "run") == 0
    written = json.loads((tmp_path / "run/settings.json").read_text())
    assert (written["evaluation"], written["epochs"]) == ("plain", DEFAULTS["digits"]["epochs"])


BAD = [
    (
        ["--evaluation", "plane"],
        "unknown evaluation 'plane': did you mean 'plain'? known are augmented, plain, ",
    ),
    (["--method", "idm+queue"], "queue does not fit"),
    (["--method", "ddmm"], "unknown method 'ddmm': did you mean 'ddm'?"),
    (["--method", "dm+stlye"], "unknown modifier of dm 'stlye'"),
    (["--method", "herding+sm"], "herding selects real images and takes no modifiers"),
    (["--ipc", "0"], "--ipc 0: give a whole number from 1"),
    (["--budget", "7"], "budget 7 is below one image per class: give 10 to 1438"),
    (["--budget", "20", "--ipc", "2"], "--ipc 2: --budget is given too: give one of them"),
    (["--steps", "11"], "11 steps for 10 classes of digits: give at most 10"),
    (["--steps", "two"], "--steps 'two': give a whole number from 1"),
    (["--device", "cuda:7"], "device 'cuda:7' is not here"),
    (["--device", "gpu"], "device 'gpu' is not here: use one of auto, cpu"),
    (["--dataset", "cifar"], "did you mean 'cifar10'"),
    (["--dataset", "cifar100"], "cifar100 is read from files"),
    (["--dataset", "cifar100", "--data", "nowhere"], "is missing"),
    (["--dataset", "folder", "--data", "nowhere"], "nowhere is not a folder"),
    (["--metod", "dm"], "--method"),
    (["--network", "resnet"], "unknown network 'resnet': did you mean 'resnet18'? known are convnet, "),
    (["--codec", "int8"], "unknown codec 'int8': did you mean 'uint8'? known are float32, float16, uint8"),
    (
        ["--shrink", "prefixes"],
        "unknown shrink 'prefixes': did you mean 'prefix'? known are recondense, prefix",
    ),
    (["--precision", "float16"], "unknown precision 'float16': did you mean 'bfloat16'? known are float32, "),
    (["--training-precision", "half"], "unknown precision 'half': known are float32, bfloat16"),
    (["--epochs", "0"], "--epochs 0: give"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_gets_one_line_and_exit_code_2_and_writes_nothing(
    words, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert call("run", *words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Error: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err
    assert list(tmp_path.iterdir()) == []


def test_another_runs_folder_is_refused(tmp_path, capsys):
    words = [*SELECT, "--steps", 1, "--method", "random", "--out", tmp_path / "run"]
    assert call(*words) == 0
    capsys.readouterr()
    assert call(*words, "--seed", 1) == 2
    assert "holds a run with seed 0, not 1: give another --out" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert call("run", "--out", tmp_path / "file" / "run") == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert str(tmp_path / "file") in shown


def test_images_of_unequal_size_and_classes_without_images_are_named(tmp_path, capsys):
    for name, sizes in {"cat": (8, 8, 8), "dog": (8, 8, 9)}.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for i, size in enumerate(sizes):
            Image.new("RGB", (size, size)).save(tmp_path / "data" / name / f"{i}.png")
    assert call("run", "--dataset", "folder", "--data", tmp_path / "data", "--out", tmp_path / "run") == 2
    assert "dog" in (shown := capsys.readouterr().err)
    assert "9 x 9" in shown
    (tmp_path / "data" / "owl").mkdir()
    assert call("run", "--dataset", "folder", "--data", tmp_path / "data", "--out", tmp_path / "run") == 2
    assert "'owl'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_pickle_in_place_of_a_data_set_is_not_run(tmp_path, capsys):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    (tmp_path / "cifar-100-python").mkdir()
    for name in ("train", "test", "meta"):
        (tmp_path / "cifar-100-python" / name).write_bytes(pickle.dumps(Bomb()))
    assert call("run", "--dataset", "cifar100", "--data", tmp_path) == 2
    assert "is damaged or not the official file" in capsys.readouterr().err
    assert not (tmp_path / "exploded").exists()


def test_a_folder_of_images_runs(tmp_path, capsys):
    for part in ("train", "test"):
        for name in ("cat", "dog", "owl"):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for i in range(4):
                image = torch.randint(
                    0, 256, (16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(i)
                )
                Image.fromarray(image.numpy()).save(tmp_path / "data" / part / name / f"{i}.png")
    words = [
        *QUICK,
        "--dataset",
        "folder",
        "--data",
        tmp_path / "data",
        "--steps",
        3,
        "--ipc",
        2,
        "--method",
        "dm",
    ]
    assert call(*words, "--out", tmp_path / "run") == 0
    assert "3 classes" in capsys.readouterr().out


def test_the_help_gives_the_defaults_that_are_used(capsys):
    assert call("run", "--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    digits, others = DEFAULTS["digits"], RunConfig.of("any").flat()
    for text in (
        f"[default: {', '.join(others['methods'])}]",
        f"[default: {others['steps']}; cifar100: {DEFAULTS['cifar100']['steps']}]",
        f"[default: digits {digits['ipc']}, cifar100 {DEFAULTS['cifar100']['ipc']}, else {others['ipc']}]",
        f"[default: digits {digits['iterations']}, else economy's or the method's own]",
        f"[default: digits {digits['epochs']}, else those of --evaluation: {others['epochs']}, "
        f"or {EPOCHS['plain']} where plain]",
        f"[default: {others['evaluation']}]",
        f"[default: digits {digits['width']}, else {others['width']}]",
        f"Of the classes, or the domains. [default: {others['orders']}]",
        f"fresh networks at each step; idc, which go on. [default: {others['trainers'][0]}]",
        f"Networks trained on each memory. [default: {others['networks']}]",
        f"[default: {others['shrink']}]",
    ):
        assert text in shown


@pytest.mark.slow
def test_control_c_keeps_what_is_done_and_the_same_command_goes_on(tmp_path, capsys):
    words = "run --orders 1 --networks 1 --epochs 200 --width 8 --device cpu --method random".split()
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert call(*words, "--out", whole) == 0
    code, said = interrupted([*words, "--out", cut], signal.SIGINT, cut / "records.jsonl")
    assert code == 130
    assert "the same command goes on" in said
    kept = len((cut / "records.jsonl").read_text().splitlines())
    assert 1 <= kept < 5
    assert call(*words, "--out", cut) == 0
    assert accuracies(cut) == accuracies(whole)


DATA = os.environ.get("CL_CONDENSE_DATA", "")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir(f"{DATA}/cifar-100-python"), reason="CL_CONDENSE_DATA holds no CIFAR-100")
def test_cifar100_runs_in_ten_steps(tmp_path, capsys):
    words = [*QUICK, "--dataset", "cifar100", "--data", DATA, "--steps", 10, "--method", "dm", "--ipc", 2]
    assert call(*words, "--out", tmp_path / "run") == 0
    assert "100 classes" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_two_processes_do_not_write_in_one_folder(tmp_path, capsys):
    words = "run --orders 1 --networks 1 --epochs 200 --width 8 --device cpu --method random".split()
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert call(*words, "--out", whole) == 0
    command = [sys.executable, "-c", "from cl_condense.cli.main import main; main()", *words, "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        try:
            deadline = time.monotonic() + 120
            while not (out / "records.jsonl").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            capsys.readouterr()
            assert call(*words, "--out", out) == 2
            shown = capsys.readouterr()
            assert shown.out == ""
            assert shown.err.startswith(f"Error: {out} is being written by process {other.pid} on ")
            assert " ".join(words) in shown.err
            assert shown.err.endswith("wait until it ends, or give another --out\n")
            assert shown.err.count("\n") == 1
            assert call("report", out, "--out", tmp_path / "page.html") == 0  # which only reads
        finally:
            other.kill()
    assert call(*words, "--out", out) == 0
    assert accuracies(out) == accuracies(whole)


def test_a_finished_run_is_shown_without_a_memory_that_was_lost_and_makes_it_again(tmp_path, capsys):
    words = [
        *SELECT,
        "--method",
        "random",
        "--method",
        "dm",
        "--iterations",
        2,
        "--steps",
        2,
        "--out",
        tmp_path,
    ]
    assert call(*words) == 0
    picture, table = (tmp_path / "memory.png").read_bytes(), capsys.readouterr().out
    (tmp_path / "memory/dm-order0-step2.safetensors").unlink()
    assert call(*words) == 0
    shown = capsys.readouterr()
    assert shown.out == table
    assert (
        "dm-order0-step2.safetensors is not there: its picture is left out; --remake makes it again"
        in shown.err
    )
    assert (tmp_path / "memory.png").read_bytes() != picture
    assert call(*words, "--remake") == 0
    assert (tmp_path / "memory.png").read_bytes() == picture
