"""benchmarks/reproducibility.py: what commands write becomes records, and records become REPRODUCIBILITY.md."""

import json

import made_up
import numpy as np
import pytest
from campaigns import MADE
from click.testing import CliRunner
from commands import one_line

from cl_condense.cli.main import main as cl_condense
from cl_condense.runs.defaults import DEFAULTS
from cl_condense.runs.run_config import RunConfig

DIGITS = RunConfig.of("digits", **DEFAULTS["digits"], methods=("dm", "ddm"), steps=2, orders=2, device="cpu")


@pytest.fixture
def shown(home, call):
    """Adds a path as the record x and returns the page with its form."""

    def fill(path, form, *words):
        result = call("add", "x", path, *words)
        assert result.exit_code == 0, result.output
        (home / "docs/reproducibility.md").write_text(f"Before.\n\n<!-- record: x {form} -->\n\nAfter.\n")
        result = call()
        assert result.exit_code == 0, result.output
        assert call("--check").exit_code == 0
        text = (home / "REPRODUCIBILITY.md").read_text()
        assert text.endswith("\n\nAfter.\n")
        return text

    return fill


def line(method, order, step, accuracies, **made):
    stored = {"classes_seen": 5 * step, "stored_images": 10 * step, "stored_bytes": 640 * step}
    seconds = {"condense_seconds": 10.0 * step, "train_seconds": 1.0}
    facts = {"method": method, "dataset": "digits", "order": order, "step": step, "accuracies": accuracies}
    return facts | stored | seconds | MADE | made


LINES = [
    line("dm", 0, 1, [0.5, 0.7]),
    line("dm", 0, 2, [0.2, 0.4]),
    line("dm", 1, 1, [0.6, 0.6]),
    line("dm", 1, 2, [0.3, 0.5]),
    line("ddm", 0, 1, [0.9, 0.8]),
    line("ddm", 0, 2, [0.8, 0.8]),
    line("ddm", 1, 1, [0.7, 0.8]),
]


def write_run(folder, lines=LINES, settings=DIGITS):
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings.values()))
    (folder / "records.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    return folder


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run")


def test_the_page_of_this_repository_is_what_its_records_give(call):
    result = call("--check")
    assert result.exit_code == 0, result.output


def test_the_methods_of_a_run(run, shown):
    text = shown(run, "methods")
    assert "| `dm` | 35.0 ± 11.2 | 47.5 | 30 | 4 |" in text
    assert "| `ddm` | 80.0 ± 0.0 | 80.0 | 30 | 2–4 |" in text, "an order that is not through has no seconds"
    assert "```\ncl-condense run --steps 2 --orders 2 --method dm --method ddm\n```" in text
    assert "Commit abc1234, seed 0, a processor, 1 thread, torch 2, 2026-01-31; [the record]" in text
    assert "7 of 8 steps" in text.replace("\n", " ")


def test_a_run_of_two_trainers_has_a_row_for_each_with_what_it_forgets(tmp_path, shown):
    ways = {"gdumb": [0.1, 0.3], "idc": [0.6, 0.8]}
    lines = [line("dm", 0, 1, [0.9, 0.9], trainer=way, by_step=[[0.9, 0.9]]) for way in ways] + [
        line("dm", 0, 2, last, trainer=way, by_step=[[0.4, 0.5], last]) for way, last in ways.items()
    ]
    settings = DIGITS.changed(methods=("dm",), orders=1, trainers=("gdumb", "idc"))
    text = shown(write_run(tmp_path / "run", lines, settings), "methods")
    assert "| method | after 2 steps | average of steps | forgets | seconds | n |" in text
    assert "| `dm` | 20.0 ± 10.0 | 55.0 | 45.0 |" in text
    assert "| `dm (idc)` | 70.0 ± 10.0 | 80.0 | 45.0 |" in text
    assert "--trainer gdumb --trainer idc" in text


def test_the_steps_of_a_run_are_as_on_the_terminal(run, shown):
    text = shown(run, "steps")
    assert "dm      60.0 ± 7.1  35.0 ± 11.2     47.5      20  1.2       64    4" in text
    assert "ddm     80.0 ± 7.1   80.0 ± 0.0     80.0      20  1.2       43  2–4" in text


def test_a_method_without_its_last_step_has_no_average(tmp_path, shown):
    text = shown(write_run(tmp_path / "run", LINES[:5]), "methods")
    assert "| `ddm` | - | - | - | 2 |" in text


def test_a_whole_run_is_not_called_unfinished(tmp_path, shown):
    lines = [*LINES, line("ddm", 1, 2, [0.7, 0.8])]
    assert "Not all" not in shown(write_run(tmp_path / "run", lines), "methods")


def test_a_run_of_several_commits_and_days_says_so(tmp_path, shown):
    later = {"commit": "def5678", "date": "2026-02-01", "versions": {"torch": "3"}}
    lines = [*LINES[:6], line("ddm", 1, 1, [0.7, 0.8], **later)]
    text = shown(write_run(tmp_path / "run", lines), "methods")
    assert (
        "Commit abc1234, def5678, seed 0, a processor, 1 thread, torch 2, 3, 2026-01-31 to 2026-02-01" in text
    )


def test_a_run_of_an_earlier_version_needs_its_commit(tmp_path, call, shown):
    old = [{k: v for k, v in each.items() if k not in ("commit", "threads", "date")} for each in LINES]
    run = write_run(tmp_path / "run", old)
    assert "does not say the commit" in call("add", "x", run).output
    text = shown(run, "methods", "--commit", "7654321")
    assert "Commit 7654321 (by hand), seed 0, a processor, threads not recorded, torch 2, date" in text


def test_a_run_that_goes_on_keeps_its_half_line(run, shown):
    path = run / "records.jsonl"
    path.write_text(path.read_text() + '{"method": "d')
    before = path.read_bytes()
    assert "| `dm` | 35.0" in shown(run, "methods")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        "--method dm",
        "--orders 1 --ipc 3 --method dm --method dm+sm",
        "--budget 20 --shrink prefix --seed 4 --method dm",
        "--width 8 --epochs 7 --evaluation plain --method random",
        "--real-per-class 8 --depth 1 --augment crop --method dm",
        "--trainer idc --trainer gdumb --order-seed 1993 --method dm",
    ],
)
def test_a_real_run_says_its_command(words, home, tmp_path, load, monkeypatch):
    """The folder that the command leaves before its work starts."""
    monkeypatch.setattr("cl_condense.runs.incremental.Run.__call__", lambda run, *_: None)
    monkeypatch.setattr("cl_condense.cli.run.show_results", lambda *_: None)
    with pytest.raises(SystemExit):
        cl_condense(["run", *words.split(), "--device", "cpu", "--out", str(tmp_path / "run")])
    settings = json.loads((tmp_path / "run/settings.json").read_text())
    del settings["threads"]
    assert load("recording").run_command(settings) == f"cl-condense run {words}"


def test_settings_that_no_command_has_are_refused(load):
    with pytest.raises(ValueError, match="settings that no command has"):
        load("recording").run_command(DIGITS.changed(depth=None).values())


def test_a_run_by_its_command_becomes_a_table(home, tmp_path, shown):
    words = "run --steps 2 --orders 1 --width 8 --seed 3 --networks 2 --epochs 2 --method random".split()
    with pytest.raises(SystemExit) as stop:
        cl_condense([*words, "--device", "cpu", "--out", str(tmp_path / "run")])
    assert stop.value.code == 0
    lines = [json.loads(each) for each in (tmp_path / "run/records.jsonl").read_text().splitlines()]
    last = 100 * np.array(lines[-1]["accuracies"])
    text = shown(tmp_path / "run", "methods")
    assert f"| `random` | {last.mean():.1f} ± {last.std():.1f} | " in text
    assert "Commit abc1234, seed 3, " in text
    assert f"cl-condense {' '.join(words)}\n" in text


def test_a_held_out_comparison_becomes_a_table(load, home, tmp_path, shown):
    words = "--method random --method ddmm --iterations 2 --epochs 2 --width 8 --seeds 2".split()
    path = tmp_path / "held.json"
    result = CliRunner().invoke(load("held_out").main, [*words, "--json", str(path)])
    assert result.exit_code == 0, result.output
    record = json.loads(path.read_text())
    pools = [100 * np.array(record["rows"][0][name]) for name in ("augmented", "plain")]
    assert [pool.shape for pool in pools] == [(2, 3), (2, 3)]
    both = [f"{pool.mean():.1f} ± {pool.std():.1f}" for pool in pools]
    assert f"random: augmented {both[0]}, plain {both[1]} (n = 6), " in result.output
    text = shown(path, "held_out")
    assert f"| `random` | {both[0]} | {both[1]} | 0.0 | 6 |" in text
    assert "| `ddmm` | unknown method 'ddmm'" in text
    assert (
        "python benchmarks/held_out.py --method random --method ddmm --iterations 2 --epochs 2 --width 8 "
        in text
    )


def test_ways_to_do_less_work_become_a_table_and_a_plot(load, tmp_path, shown):
    pytest.importorskip("matplotlib").use("Agg")
    words = "--way 1:8 --way 2:4 --seconds 0.01 --epochs 2 --width 8 --fit 20 --held 10".split()
    path, picture = tmp_path / "less.json", tmp_path / "less.png"
    options = ["--json", str(path), "--plot", str(picture)]
    result = CliRunner().invoke(load("less_work").main, [*words, *options])
    assert result.exit_code == 0, result.output
    rows = json.loads(path.read_text())["rows"]
    assert [(row["reuse"], row["real_per_class"]) for row in rows] == [(1, 8)] * 3 + [(2, 4)] * 3
    for way in (rows[:3], rows[3:]):
        for part, row in zip((0.25, 0.5, 1.0), way, strict=True):
            assert row["seconds"] >= 0.01 * part
        assert 1 <= way[0]["iterations"] <= way[1]["iterations"] <= way[2]["iterations"]
    pool = 100 * np.array(rows[5]["accuracies"])
    last = f"| `dm` | 2 | 4 | {rows[5]['iterations']} | 0 | {pool.mean():.1f} ± {pool.std():.1f} | 3 |"
    assert last in shown(path, "less_work")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_way_that_is_no_pair_of_numbers_is_a_usage_error(load):
    result = CliRunner().invoke(load("less_work").main, ["--way", "5"])
    assert result.exit_code == 2
    assert "'5': give REUSE:REAL, such as 5:256" in result.output


@pytest.mark.parametrize("plain", [[], ["--plain"]])
def test_the_pace_of_the_queue_becomes_a_table_and_is_that_of_its_own_training(plain, load, tmp_path, shown):
    path = tmp_path / "pace.json"
    words = "--dataset digits --ipc 2 --width 4 --members 2 --steps 2 --steps 30".split()
    result = CliRunner().invoke(load("queue_pace").main, [*words, *plain, "--json", str(path)])
    assert result.exit_code == 0, result.output
    rows = json.loads(path.read_text())["rows"]
    assert [row["steps"] for row in rows] == [2, 30]
    early, late = (100 * np.array(row["accuracies"]) for row in rows)
    assert early.shape == late.shape == (2,)
    assert late.min() > early.max() + 10
    assert f"| 30 | {late.mean():.1f} ± {late.std():.1f} | 2 |" in shown(path, "queue_pace")


@pytest.mark.parametrize("steps", ["3", "0", "-2"])
def test_steps_between_two_visits_are_a_usage_error(load, steps):
    words = ["--dataset", "digits", "--ipc", "2", "--steps", steps]
    result = CliRunner().invoke(load("queue_pace").main, words)
    assert result.exit_code == 2
    assert f"--steps {steps}: a visit trains for 2 steps" in result.output


def test_a_papers_table_becomes_a_table(home, tmp_path, shown, monkeypatch):
    monkeypatch.setattr("cl_condense.data.datasets.load", made_up.load)
    quick = "--networks 2 --iterations 2 --real-per-class 4 --epochs 2 --width 8 --device cpu"
    path, results = tmp_path / "table.json", tmp_path / "results"
    for methods in ("--method dm", "--method random --method dm"):  # the second time one is there
        words = f"table ddm-1 --only cifar10 --ipc 10 {methods} {quick} --results {results} --json {path}"
        with pytest.raises(SystemExit) as stop:
            cl_condense(words.split())
        assert stop.value.code == 0
    rows = json.loads(path.read_text())["rows"]
    assert [(row["name"], row["mean"], row["std"]) for row in rows] == [
        ("random", 26.0, 1.2),
        ("dm", 48.9, 0.6),
    ]
    assert [np.shape(row["accuracies"]) for row in rows] == [(1, 2), (1, 2)], "each its own"
    ours = 100 * np.array(rows[1]["accuracies"])
    text = shown(path, "published")
    assert (
        f"cifar10, 10 images per class, convnet | 48.9 ± 0.6 | {ours.mean():.1f} ± {ours.std():.1f} | " in text
    )
    assert "cl-condense table ddm-1 --only cifar10 --ipc 10 --method random --method dm --networks 2 " in text
    assert (home / "docs/x.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_of_a_table_has_curves_where_methods_differ_in_a_setting(load, monkeypatch):
    figures, drawn = load("figures"), []
    monkeypatch.setattr(figures, "curve_plot", drawn.append)
    monkeypatch.setattr(figures, "dot_plot", drawn.append)
    cell = {"table": "idm-1", "dataset": "cifar10", "ipc": 1, "method": "IDM", "metric": "top1_acc_%"}
    cell |= {"condense_net": "convnet", "eval_net": "convnet", "mean": 45.6, "std": 0.7, "seconds": [1.0]}
    swept = [
        {**cell, "name": f"idm@size={size}", "accuracies": [[0.3, 0.5]]} | ({"mean": None} if size == 9 else {})
        for size in (9, 3)
    ]
    figures.picture({"rows": swept})
    ((line,),) = [lines.values() for lines in drawn[0].values()]
    assert [(p.x, round(p.mean), round(p.std)) for p in line] == [(3.0, 40, 10), (9.0, 40, 10)]
    figures.picture({"rows": [{**each, "name": name} for each, name in zip(swept, ("dm", "ddm"), strict=True)]})
    assert [(p.row, p.published) for p in drawn[1]] == [("dm", None), ("ddm", (45.6, 0.7))]


def test_speed_becomes_a_table(load, home, tmp_path, shown, monkeypatch):
    speed, path = load("speed"), tmp_path / "speed.json"
    monkeypatch.setattr(speed, "peak_memory", lambda job, side: 2**20 * (3 if side == "ours" else 9))
    words = (
        "condense --method dm --classes 2 --real-per-class 3 --images 8 --iterations 1 --ipc 1 --image-size 8"
    )
    words += " --width 4 --repeats 2 --device cpu --matrix 16"
    result = CliRunner().invoke(speed.main, [*words.split(), "--json", str(path)])
    assert result.exit_code == 0, result.output
    record = json.loads(path.read_text())
    ratio = record["condense"][0]["ratio"]
    text = shown(path, "speed")
    spread = f"{ratio['median']:.1f} ({ratio['min']:.1f} to {ratio['max']:.1f})"
    assert f"| {spread} | 9 MiB, ours 3 | 2 |" in text
    assert " condense --method dm --classes 2 --real-per-class 3 " in text


def test_a_record_has_its_command_and_origin_once(run, home, call):
    call("add", "x", run)
    lines = "<!-- record: x steps -->\n<!-- record: x methods -->\n"
    (home / "docs/reproducibility.md").write_text(lines)
    assert call().exit_code == 0
    text = (home / "REPRODUCIBILITY.md").read_text()
    assert (text.count("cl-condense run"), text.count("Commit abc1234"), text.count("| `dm` |")) == (1, 1, 1)


def test_an_edited_page_is_told_and_mended(run, home, call, shown):
    text, path = shown(run, "methods"), home / "REPRODUCIBILITY.md"
    for changed in (text.replace("35.0", "36.0"), text + "\n", ""):
        path.write_text(changed)
        result = call("--check")
        assert result.exit_code == 1
        assert result.output.count("\n") == 1
        assert "REPRODUCIBILITY.md is not what the records give" in result.output
        assert path.read_text() == changed
        assert call().exit_code == 0
        assert path.read_text() == text
    path.unlink()
    assert call("--check").exit_code == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("0.5, 0.7", "0.6, 0.7"), "was changed by hand"),
        (lambda text: text.replace('"seed": 0', '"seed": 1', 1), "was changed by hand"),
        (lambda text: text.replace('"commit": "abc1234"', '"commit": "abc1235"'), "was changed by hand"),
        (lambda text: text.replace('"digest"', '"digit"'), "is damaged or no measurement: no 'digest'"),
        (lambda text: text[: len(text) // 2], "is damaged or no measurement"),
        (lambda text: "", "is damaged or no measurement"),
        (lambda text: text.replace('"seed": 0', '"seed": NaN', 1), "was changed by hand"),
        (lambda text: "[1]", "is damaged or no measurement"),
        (lambda text: '"x"', "is damaged or no measurement"),
    ],
)
def test_a_damaged_or_edited_record_is_refused(change, message, run, home, call, shown):
    shown(run, "methods")
    before, path = (home / "REPRODUCIBILITY.md").read_text(), home / "docs/records/x.json"
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    for words in ((), ("--check",)):
        one_line(call(*words), message)
    assert (home / "REPRODUCIBILITY.md").read_text() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- record: y methods -->", "no record y in docs/records (there: x)"),
        ("<!-- record: x method -->", "record x: unknown form 'method', use one of steps, methods"),
        ("<!-- record: x speed -->", "record x is of a run, which has no form 'speed': use steps, methods"),
        ("<!-- record: x -->", "docs/reproducibility.md, line 1: write <!-- record: NAME FORM -->"),
        ("See <!-- record: x methods -->", "docs/reproducibility.md, line 1: write"),
        ("<!-- record: ../x methods -->", "'../x' as a record's name"),
    ],
)
def test_a_template_with_a_mistake_is_refused(text, message, run, home, call):
    call("add", "x", run)
    (home / "docs/reproducibility.md").write_text(text + "\n")
    one_line(call(), message)
    assert not (home / "REPRODUCIBILITY.md").exists()


def test_a_record_that_lacks_a_column_is_refused(run, home, call, load):
    record = load("recording").compact(run)
    del record["rows"][0]["condense_seconds"]
    load("recording").save(home / "docs/records", "x", record)
    (home / "docs/reproducibility.md").write_text("<!-- record: x methods -->\n")
    one_line(call(), "record x lacks what form 'methods' shows")


@pytest.mark.parametrize(
    ("lines", "words", "message"),
    [
        ([line("dm", 0, 1, [0.5], commit="abc1234+")], [], "code that no commit has (abc1234+)"),
        (LINES, ["--commit", "7654321"], "says itself that its commit is abc1234"),
        (LINES, ["--commit", "mine"], "--commit mine: give 7 to 40 digits"),
        ([], ["--commit", "7654321"], "holds no result yet"),
        ([{"method": "dm"}], [], "records.jsonl is damaged in line 1"),
        ([{"method": "dm", "order": 0, "step": 1}], [], "is damaged in line 1 (no 'dataset')"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_run_that_makes_no_record_is_refused(lines, words, message, tmp_path, home, call):
    one_line(call("add", "x", write_run(tmp_path / "run", lines), *words), message)
    assert not (home / "docs/records").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "file.json"),
        ("{", "is damaged or no measurement"),
        ("[]", "is damaged or no measurement"),
        ('{"seed": 0}', "is damaged or no measurement: no 'kind'"),
        ('{"kind": "tables", "rows": []}', "kind 'tables': give a file of held_out.py"),
        ('{"ceilings": {}, "condense": [{}]}', "is damaged or no measurement"),
    ],
)
def test_a_file_that_makes_no_record_is_refused(text, message, tmp_path, home, call):
    path = tmp_path / "file.json"
    if text is not None:
        path.write_text(text)
    one_line(call("add", "x", path), message)
    one_line(call("add", "X y", path), "")


def test_equal_bytes_become_tables_and_a_plot(load, tmp_path, shown):
    path, picture = tmp_path / "bytes.json", tmp_path / "bytes.png"
    words = "--method random --method dm --ipc 4 --ipc 8 --same 5 --seeds 2 --iterations 2 --epochs 2"
    options = f"{words} --networks 2 --width 4 --fit 20 --held 5 --json {path} --plot {picture}"
    result = CliRunner().invoke(load("equal_bytes").main, options.split())
    assert result.exit_code == 0, result.output
    rows = json.loads(path.read_text())["rows"]
    budgets = [10 * (n * 68 + 16) for n in (4, 8)]
    for row in rows:
        if row["codec"] != "cut":
            each = {"uint8": 68, "float16": 128, "float32": 256}[row["codec"]]
            assert row["bytes"] == 10 * (row["ipc"] * each + 16)
            assert row["ipc"] == 5 or any(b - 10 * each < row["bytes"] <= b for b in budgets)
    assert {(r["method"], r["codec"]) for r in rows} == {
        ("random", "uint8"),
        *(("dm", codec) for codec in ("uint8", "float16", "float32", "cut")),
    }
    text = shown(path, "equal_bytes")
    assert "| method | stored as | 2.8 KiB | 5.5 KiB | n |" in text
    assert [line.count("(1)") for line in text.splitlines() if line.startswith("| `dm` | float32")] == [1]
    assert "| `dm` | cut | - |" in shown(path, "codecs")
    assert picture.stat().st_size > 10_000
