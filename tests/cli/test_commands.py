import json
import os
import pickle
import signal
import subprocess
import sys
import time
import warnings

import pytest
import torch
from PIL import Image

from cl_condense.cli.main import main
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.runs.defaults import DEFAULTS, EPOCHS, default_epochs
from cl_condense.runs.run_config import RunConfig

QUICK = "run --orders 1 --networks 1 --iterations 2 --epochs 2 --width 8 --device cpu".split()

SELECT = "run --orders 1 --networks 1 --epochs 2 --width 8 --device cpu".split()


def call(*words):
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


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
    (["--method", "ddn"], "unknown method 'ddn': did you mean 'ddm'?"),
    (["--method", "dm+stlye"], "unknown modifier 'stlye'"),
    (["--method", "herding+sm"], "herding selects real images and takes no modifiers"),
    (["--ipc", "0"], "--ipc 0: give a whole number from 1"),
    (["--budget", "7"], "budget 7 is below one image per class: give at least 10"),
    (["--budget", "20", "--ipc", "2"], "--ipc 2: --budget is given too: give one of them"),
    (["--steps", "11"], "11 steps for 10 classes of digits: give at most 10"),
    (["--steps", "two"], "--steps 'two': give a whole number from 1"),
    (["--device", "cuda:7"], "device 'cuda:7' is not here"),
    (["--device", "gpu"], "device 'gpu' is not here: use auto or one of cpu"),
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
    assert "9 wide" in shown
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


def test_methods_are_listed_and_explained(capsys):
    assert call("methods") == 0
    listed = capsys.readouterr().out
    for word in ("random", "herding", "dm+sm+icd", "later_sm", "arXiv:2307.09742", "+iid"):
        assert word in listed
    assert call("methods", "dm+sm") == 0
    shown = capsys.readouterr().out
    for word in (
        "1 x mean_matching",
        "10000 x gram_matrices",
        "arXiv:2110.04181",
        "lr: [cifar10 50: 1, 100: 10",
    ):
        assert word in shown
    assert call("methods", "herdin") == 2
    assert "did you mean 'herding'" in capsys.readouterr().err


def test_no_command_shows_the_help(capsys):
    assert call() == 0
    assert "Class-incremental run" in capsys.readouterr().out


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
        f"Class orders. [default: {others['orders']}]",
        f"Networks trained on each memory. [default: {others['networks']}]",
        f"[default: {others['shrink']}]",
    ):
        assert text in shown


def test_help_has_an_example_and_needs_no_torch(capsys):
    assert call("run", "--help") == 0
    assert "cl-condense run --steps 10 --method ddm" in capsys.readouterr().out
    code = "import sys, cl_condense.cli.main; sys.exit('torch' in sys.modules or 'avalanche' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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


def test_control_c_keeps_what_is_done_and_the_same_command_goes_on(tmp_path, capsys):
    words = "run --orders 1 --networks 1 --epochs 400 --width 8 --device cpu --method random".split()
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert call(*words, "--out", whole) == 0
    code, said = interrupted([*words, "--out", cut], signal.SIGINT, cut / "records.jsonl")
    assert code == 130
    assert "the same command goes on" in said
    kept = len((cut / "records.jsonl").read_text().splitlines())
    assert 1 <= kept < 5
    assert call(*words, "--out", cut) == 0
    assert accuracies(cut) == accuracies(whole)


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Stopped")]
)
def test_a_signal_in_condense_keeps_what_is_done_and_the_same_command_goes_on(number, code, said, tmp_path):
    words = "condense --method dm --ipc 1 --iterations 400 --width 8 --device cpu".split()
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    assert call(*words, "--out", whole) == 0
    ended = interrupted([*words, "--out", cut], number, tmp_path / ".cut.safetensors.lock")
    assert ended == (code, f"{said}: the same command goes on.")
    assert (tmp_path / "cut.checkpoint").exists()
    assert call(*words, "--out", cut) == 0
    one, other = (CondensedSet.load(path) for path in (whole, cut))
    assert all(torch.equal(one.stored[name], other.stored[name]) for name in one.stored)


def accuracies(out):
    return [json.loads(line)["accuracies"] for line in (out / "records.jsonl").read_text().splitlines()]


DATA = os.environ.get("CL_CONDENSE_DATA", "")


@pytest.mark.skipif(not os.path.isdir(f"{DATA}/cifar-100-python"), reason="CL_CONDENSE_DATA holds no CIFAR-100")
def test_cifar100_runs_in_ten_steps(tmp_path, capsys):
    words = [*QUICK, "--dataset", "cifar100", "--data", DATA, "--steps", 10, "--method", "dm", "--ipc", 2]
    assert call(*words, "--out", tmp_path / "run") == 0
    assert "100 classes" in " ".join(capsys.readouterr().out.split())


def test_a_set_is_condensed_evaluated_and_exported(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*"condense --method dm+sm --iterations 3 --width 8 --device cpu".split()) == 0
    shown = capsys.readouterr().out
    assert "20 images of 10 classes" in shown
    made = "condensed/digits-dm+sm-ipc2-seed0"
    for suffix in ("safetensors", "png", "json"):
        assert f"{made}.{suffix}" in " ".join(shown.split())
        assert (tmp_path / f"{made}.{suffix}").exists()
    for kind, out in (("pt", "set.pt"), ("npz", "set.npz"), ("png", "images")):
        assert call("export", f"{made}.safetensors", "--format", kind, "--out", out) == 0
    capsys.readouterr()
    quick = "--epochs 2 --networks 2 --width 8 --device cpu --records scores.jsonl".split()
    assert call("evaluate", f"{made}.safetensors", "set.pt", "images", *quick) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"{made}.safetensors", "set.pt", "images"]
    assert all("% (n = 2), 20 images" in line for line in lines)
    records = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [len(record["accuracies"]) for record in records] == [2, 2, 2]
    assert records[0]["accuracies"] == records[1]["accuracies"]  # the same images, for the same networks
    assert records[0]["recipe"]["name"] == "dm+sm"


def test_evaluate_says_in_a_log_how_far_its_networks_are(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("cl_condense.common.progress.LINES", 0.0)
    made = tmp_path / "set.safetensors"
    assert call(*"condense --method random --ipc 1 --device cpu --out".split(), made) == 0
    capsys.readouterr()
    assert call("evaluate", made, *"--epochs 4 --networks 1 --width 4 --device cpu".split()) == 0
    shown = capsys.readouterr()
    assert [line.split(",")[0].strip() for line in shown.err.splitlines()] == ["2 of 4", "3 of 4", "4 of 4"]
    assert "% (n = 1), 10 images" in shown.out


def test_a_set_in_folders_is_evaluated_as_the_classes_of_those_names(tmp_path, capsys, monkeypatch):
    """Folders 2 and 10 of a data set are its classes 1 and 0."""
    for name, value in (("2", 0), ("10", 255)):
        for part in ("data/train", "data/test", "set"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(3):
                Image.new("L", (8, 8), abs(value - 20 * i)).save(tmp_path / part / name / f"{i}.png")
    quick = "--epochs 5 --networks 2 --width 8 --device cpu --evaluation plain".split()
    words = ["evaluate", tmp_path / "set", "--dataset", "folder", "--data", tmp_path / "data", *quick]
    assert call(*words) == 0
    shown = capsys.readouterr().out
    assert ": 100.0 ± 0.0 % (n = 2), 6 images" in shown
    assert shown.endswith(" s (assumed: one image in one)\n")
    (tmp_path / "set" / "2").rename(tmp_path / "set" / "two")
    monkeypatch.chdir(tmp_path)
    assert call("evaluate", "set", *words[2:]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: set: folder 'two' is no class of the data set: known are 0 '10', 1 '2'")


def test_what_is_assumed_of_a_published_file_is_said_and_recorded(tmp_path, capsys):
    generator = torch.Generator().manual_seed(0)
    pairs = [[torch.rand(20, 1, 8, 8, generator=generator), torch.arange(10).repeat(2)] for _ in range(3)]
    torch.save({"data": pairs}, tmp_path / "set.pt")
    quick = "--epochs 2 --networks 1 --width 8 --device cpu".split()
    words = ["evaluate", tmp_path / "set.pt", *quick, "--records", tmp_path / "scores.jsonl"]
    assert call(*words) == 0
    said = " s (assumed: values 0 to 1, one image in one, classes by number; pair 3 of 3)\n"
    assert capsys.readouterr().out.endswith(said)
    assert call(*words, "--factor", 2, "--space", "normalised", "--pair", 1) == 0
    said = " s (assumed: classes by number; values normalised, 4 images in one, pair 1 of 3)\n"
    assert capsys.readouterr().out.endswith(said)
    records = [json.loads(line)["read"] for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert records == [
        {
            "space": "unit",
            "factor": 1,
            "pair": [3, 3],
            "classes": "number",
            "assumed": "space factor classes".split(),
        },
        {"space": "normalised", "factor": 2, "pair": [1, 3], "classes": "number", "assumed": ["classes"]},
    ]


BAD_SETS = [
    (["condense", "--method", "ddn"], "did you mean 'ddm'"),
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
    (["condense", "--device", "gpu"], "device 'gpu' is not here: use auto or one of cpu"),
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


@pytest.mark.parametrize(
    ("dataset", "evaluation", "epochs"),
    [
        ("digits", "plain", 200),
        ("cifar100", "plain", 300),
        ("cifar100", "augmented", 1000),
        ("cifar100", "mixed", 1000),
        ("mnist", "plain", 300),
    ],
)
def test_epochs_are_the_data_sets_own_or_the_published(dataset, evaluation, epochs):
    assert default_epochs(dataset, evaluation) == epochs


def test_a_warning_is_one_line_that_names_no_code(capsys, monkeypatch):
    def warned(*args, **options):
        warnings.warn("torch.compile failed,\ngoing on", stacklevel=2)

    monkeypatch.setattr("cl_condense.methods.describe.about", warned)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert call("methods", "dm") == 0
    assert capsys.readouterr().err == "Warning: torch.compile failed, going on\n"


def test_two_processes_do_not_write_in_one_folder(tmp_path, capsys):
    words = "run --orders 1 --networks 1 --epochs 400 --width 8 --device cpu --method random".split()
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
    assert call(*words, 2, "--out", out) == 2
    assert "is there already" in capsys.readouterr().err
