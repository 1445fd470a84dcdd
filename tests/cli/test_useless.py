"""The command line refuses options without effect by name, before any work."""

import os

import pytest
from commands import refusal


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """Every test runs in an empty folder, and leaves it empty."""
    monkeypatch.chdir(tmp_path)
    yield
    assert os.listdir(tmp_path) == []


CELLS = "table ddm-1 --only cifar10 --ipc 10"
USELESS = [  # command, what is said
    ("run --data there", "--data there: digits is built in"),
    ("run --data there --download", "--data there: digits is built in"),
    ("run --download", "--download: digits is built in"),
    ("condense --data there", "--data there: digits is built in"),
    ("condense --download", "--download: digits is built in"),
    ("run --dataset folder --data there --download", "--download: folder is not fetched"),
    ("condense --dataset imagenette --data there --download", "--download: imagenette is not fetched"),
    ("run --network resnet18 --width 8", "--width 8: resnet18 has a width of its own"),
    ("run --network convnet_bn --width 8", "--width 8: convnet_bn has a width of its own"),
    ("condense --network resnet18 --width 128", "--width 128: resnet18 has a width of its own"),
    ("run --network resnet18 --depth 2", "--depth 2: resnet18 has a depth of its own"),
    ("condense --method random --depth 2", "--depth 2: with random"),
    ("condense --method random --augment crop", "--augment crop: with random"),
    ("condense --method herding --augment crop", "--augment crop: with herding nothing is augmented"),
    ("condense --method dc --augment crop", "--augment crop: with dc nothing is augmented: leave it out, or"),
    ("run --method random --real-per-class 4", "--real-per-class 4: with random real images are only selected"),
    ("run --shrink prefix", "--shrink prefix: a memory that grows does not shrink"),
    ("run --shrink recondense", "--shrink recondense: a memory that grows does not shrink"),
    ("run --budget 20 --shrink prefix --method random", "--shrink prefix: with random"),
    ("run --budget 20 --ipc 2", "--ipc 2: --budget is given too"),
    ("run --method random --iterations 3", "--iterations 3: with random real images are only selected"),
    ("run --method random --method herding --reuse 3", "--reuse 3: with random, herding"),
    ("run --method k_center --precision float32", "--precision float32: with k_center"),
    ("condense --method random --papers", "--papers: with random real images are only selected"),
    ("condense --method herding --economy", "--economy: with herding real images are only selected"),
    ("run --method random --method herding --papers", "--papers: with random, herding"),
    (
        "condense --method idc --economy",
        "--economy: idc has no economy: its networks train on real images between iterations: leave it out",
    ),
    ("run --method idc --method idc+pixels --economy", "--economy: idc, idc+pixels have no economy: their"),
    (
        "condense --method ddm --pools there",
        "--pools there: ddm has no pool of networks: leave it out, or take",
    ),
    ("run --method dm --method random --pools there", "--pools there: dm, random have no pool of networks"),
    (f"{CELLS} --method random --papers", "--papers: with random"),
    ("condense --method random --iterations 3", "--iterations 3: with random"),
    ("condense --method herding --real-per-class 3", "--real-per-class 3: with herding"),
    ("condense --method herding --precision bfloat16", "--precision bfloat16: with herding"),
    ("condense --method random --compile", "--compile: with random"),
    ("condense --method herding --reuse 1", "--reuse 1: with herding"),
    ("condense --method herding --from set.safetensors", "--from set.safetensors: with herding"),
    ("condense --method random --network resnet18", "--network resnet18: with random"),
    ("condense --method random --width 8", "--width 8: with random"),
    *((f"table {words}", words) for words in ("--ipc 10", "--only cifar10", "--download", "--results results")),
    *((f"table {words}", words) for words in ("--method dm", "--dry-run", "--json x.json", "--device cpu")),
    (f"{CELLS} --method dm --dry-run --json x.json", "--json x.json: a dry run measures nothing"),
    (f"{CELLS} --method random --reuse 3", "--reuse 3: with random"),
    (
        f"{CELLS} --method random --method herding --real-per-class 3",
        "--real-per-class 3: with random, herding",
    ),
    (f"{CELLS} --method random --iterations 3", "--iterations 3: with random"),
    (f"{CELLS} --steps 3", "--steps 3: ddm-1 states its steps"),
    (f"{CELLS} --orders 3", "--orders 3: ddm-1 has no class-incremental cells here"),
    ("table idm-fig8 --repetitions 3", "--repetitions 3: idm-fig8 is class-incremental"),
    ("table m3d-3 --download", "--download: none of"),
    ("report . --data there", "--data there: it is for the figures"),
    ("report . --device auto", "--device auto: it is for the figures"),
]


@pytest.mark.parametrize(("words", "said"), USELESS, ids=[words for words, _ in USELESS])
def test_an_option_without_effect_is_refused_by_name(words, said, capsys, monkeypatch):
    monkeypatch.setattr("cl_condense.data.datasets.load", lambda *_, **__: pytest.fail("data were read before"))
    assert refusal(words.split(), capsys).startswith(said)


USED = [
    "run --dataset cifar10 --data there --download",
    "run --network convnet --width 8",
    "run --budget 20 --shrink prefix --method random --method dm",
    "run --method forgetting --compile",
    "condense --method herding --compile",
    "run --method random --method dm --iterations 3 --reuse 3 --precision float32 --compile",
    "run --method herding --iterations 3",
    "run --dataset cifar10 --papers",
    "run --method idm --method dm --economy",
    "condense --method idm --papers",
    f"{CELLS} --method dm --method random --papers",
    "condense --method herding --iterations 3 --network convnet --width 8",
    "condense --dataset cifar10 --data there --download --method dm --reuse 1 --real-per-class 3",
    f"{CELLS} --method dm --method random --reuse 3 --iterations 3 --data there --download --width 8",
    "table idm-fig8 --orders 3",
]


class Read(ValueError):
    """The data would be read now: all options have passed."""


@pytest.mark.parametrize("words", USED)
def test_an_option_with_an_effect_passes(words, capsys, monkeypatch):
    def load(*_, **__):
        raise Read("read")

    monkeypatch.setattr("cl_condense.data.datasets.load", load)
    assert refusal(words.split(), capsys) == "read"


@pytest.mark.parametrize("command", ["run", "condense"])
def test_an_unknown_data_set_or_method_is_named_before_what_it_would_make_useless(command, capsys):
    assert "did you mean 'cifar10'" in refusal(
        [command, "--dataset", "cifar", "--data", "x", "--download"], capsys
    )
    assert "did you mean 'herding'" in refusal([command, "--method", "herdin", "--reuse", "3"], capsys)


@pytest.mark.parametrize("path", [".", "file/x.json"])
def test_a_file_that_cannot_be_written_is_told_before_any_work(path, capsys, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "file").write_text("")
    monkeypatch.setattr("cl_condense.data.datasets.load", lambda *_, **__: pytest.fail("data were read before"))
    said = refusal([*CELLS.split(), "--method", "dm", "--json", elsewhere / path], capsys)
    assert said.startswith(f"--json {elsewhere / path}")
