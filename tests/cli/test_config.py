"""``--config``: a file of options, under those of the command line; what results hold repeats them."""

import json

import pytest
import torch
from commands import call, refusal

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.runs import config_file

RUN = "run --method random --method dm --steps 2 --orders 1 --networks 1 --iterations 2 --epochs 2 --ipc 1"
CONDENSE = "condense --method dm --ipc 1 --iterations 2 --width 8 --device cpu --seed 3"


class Read(ValueError):
    """The data would be read now: all options have passed."""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(folder):
    return json.loads((folder / "settings.json").read_text())


def test_a_run_is_repeated_by_its_file_and_the_command_line_wins(home, capsys):
    words = [*RUN.split(), *"--width 8 --real-per-class 5 --depth 1 --device cpu --out first".split()]
    assert call(*words) == 0
    assert call("run", "--config", "first/config.toml", "--out", "second") == 0
    assert settings(home / "first") == settings(home / "second")
    lines = [(home / name / "records.jsonl").read_text().splitlines() for name in ("first", "second")]
    first, second = ([json.loads(line)["accuracies"] for line in each] for each in lines)
    assert first == second
    assert config_file.read(home / "first/config.toml") == config_file.read(home / "second/config.toml")
    capsys.readouterr()
    assert call("run", "--config", "first/config.toml", "--out", "first") == 0
    assert "4 of 4 pieces of work are in first" in capsys.readouterr().err
    more = "--method dm --budget 30 --papers --epochs 1 --out third"
    assert call("run", "--config", "first/config.toml", *more.split()) == 0
    found, other = settings(home / "third"), {"methods": ["dm"], "budget": 30, "ipc": None, "epochs": 1}
    assert found == settings(home / "first") | other


@pytest.mark.parametrize(
    "more", ["", "--papers", "--economy --real-per-class 4", "--bytes 1500 --codec float16"]
)
def test_a_set_is_repeated_by_the_file_beside_it(more, home):
    words = [w for w in CONDENSE.split() if not ("--bytes" in more and w in ("--ipc", "1"))]
    assert call(*words, *more.split(), "--out", "first.safetensors") == 0
    assert call("condense", "--config", "first.toml", "--out", "second.safetensors") == 0
    one, two = (json.loads((home / f"{name}.json").read_text()) for name in ("first", "second"))
    for record in (one, two):
        del record["seconds"], record["peak_bytes"]
    assert one == two
    sets = [CondensedSet.load(home / f"{name}.safetensors") for name in ("first", "second")]
    assert all(torch.equal(sets[0].stored[name], sets[1].stored[name]) for name in sets[0].stored)


def test_an_evaluation_takes_its_options_from_a_file(home, capsys):
    assert call(*CONDENSE.split(), "--out", "set.safetensors") == 0
    (home / "x.toml").write_text(
        'epochs = 1\nnetworks = 2\nwidth = 4\ndevice = "cpu"\nrecords = "scores.jsonl"\n'
    )
    assert call("evaluate", "set.safetensors", "--config", "x.toml", "--networks", 3) == 0
    (record,) = map(json.loads, (home / "scores.jsonl").read_text().splitlines())
    assert (record["epochs"], record["networks"], record["width"]) == (1, 3, 4)
    assert len(record["accuracies"]) == 3


BAD = [
    ("run", 'metod = "dm"', "unknown option in x.toml 'metod': did you mean 'method'? known are scenario, "),
    ("run", "nets = 3", "unknown option in x.toml 'nets': "),
    ("condense", "steps = 3", "unknown option in x.toml 'steps': "),
    ("run", 'config = "y.toml"', "unknown option in x.toml 'config': "),
    ("run", "method = 3", "x.toml: method is 3: give a text in quotes"),
    ("run", 'method = ["dm", true]', "x.toml: method is True: give a text in quotes"),
    ("condense", 'method = ["dm"]', "x.toml: method is ['dm']: give a text in quotes"),
    ("run", "compile = 1", "x.toml: compile is 1: give true or false"),
    ("run", "ipc = true", "x.toml: ipc is True: give a whole number"),
    ("run", 'ipc = "2"', "x.toml: ipc is '2': give a whole number"),
    ("run", "ipc = 1.0", "x.toml: ipc is 1.0: give a whole number"),
    ("run", "ipc = 0", "--ipc 0: give a whole number from 1"),
    ("run", 'method = "ddmm"', "unknown method 'ddmm': did you mean 'ddm'?"),
    ("run", "ipc = 2\nbudget = 20", "--ipc and --budget are both"),
    ("run", "[run]\nipc = 2", "unknown option in x.toml 'run': "),
    ("run", "ipc = ", "x.toml cannot be read as TOML"),
]


@pytest.mark.parametrize(("command", "text", "said"), BAD, ids=[text for _, text, _ in BAD])
def test_a_file_without_sense_is_one_line(command, text, said, home, capsys):
    (home / "x.toml").write_text(text)
    assert refusal([command, "--config", "x.toml"], capsys).startswith(said)


def test_a_file_that_is_not_there_is_named(home, capsys):
    assert "x.toml is not there: give a file such as" in refusal(["run", "--config", "x.toml"], capsys)


def test_one_method_and_an_option_without_effect_pass_in_a_file(home, capsys, monkeypatch):
    def load(*_, **__):
        raise Read("read")

    monkeypatch.setattr("cl_condense.data.datasets.load", load)
    (home / "x.toml").write_text('method = "random"\npaper = 1\n'.replace("paper = 1", "economy = false"))
    assert refusal(["run", "--config", "x.toml"], capsys) == "read"
    assert refusal(["run", "--config", "x.toml", "--papers"], capsys).startswith("--papers: with random")


def test_a_seed_of_class_orders_takes_the_place_of_the_file_of_them_and_the_other_way_round(home):
    (home / "orders.json").write_text(json.dumps([*range(9, -1, -1)]))
    run = f"{RUN.replace(' --method dm', '').replace(' --iterations 2', '')} --width 8".split()
    assert call(*run, "--order-file", "orders.json", "--out", "a") == 0
    assert call("run", "--config", "a/config.toml", "--order-seed", "3", "--out", "b") == 0
    assert call("run", "--config", "b/config.toml", "--order-file", "orders.json", "--out", "c") == 0
    orders = [
        (settings(home / name).get("class_orders"), settings(home / name).get("order_seed")) for name in "abc"
    ]
    assert orders == [([[*range(9, -1, -1)]], None), (None, 3), ([[*range(9, -1, -1)]], None)]
