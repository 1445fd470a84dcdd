"""docs/campaign: what a campaign filled is added, loses nothing, and becomes tables and pictures."""

import json
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from campaigns import fill
from click.testing import CliRunner
from commands import one_line
from made_up import cells

from cl_condense.papers.bench import runnable
from cl_condense.papers.published import published, tables
from cl_condense.papers.titles import TITLES
from cl_condense.reports.html.dots import dot_plot

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def sketch(pairs):
    """A picture in no time, which says what it is of."""
    return b"\x89PNG" + repr([pair.label for pair in pairs]).encode()


@pytest.fixture(autouse=True)
def sketched(load, monkeypatch):
    monkeypatch.setattr(load("campaign"), "dot_plot", sketch)


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def page(home, call):
    """The page of a template that shows a table."""

    def write(table):
        template(home, table)
        result = call()
        assert result.exit_code == 0, result.output
        assert call("--check").exit_code == 0
        text = (home / "REPRODUCIBILITY.md").read_text()
        assert text.endswith("\n\nAfter.\n")
        return text

    return write


def template(home, table):
    (home / "docs/reproducibility.md").write_text(f"Before.\n\n<!-- campaign: {table} -->\n\nAfter.\n")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Results that were added to the campaign of a home, and its page with a table of them."""
    folder = tmp_path_factory.mktemp("once")
    (folder / "home/docs").mkdir(parents=True)
    fill(folder / "results", cells("random", "dm"))
    fill(folder / "results", published("ddm-fig3b", method="dm"))
    template(folder / "home", "ddm-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        script = import_module("reproducibility")
        patch.setattr(script, "HOME", folder / "home")
        patch.setattr(import_module("campaign"), "dot_plot", sketch)
        for words in (["campaign", str(folder / "results")], []):
            result = CliRunner().invoke(script.main, words)
            assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def added(once, results, home):
    shutil.copytree(once / "results", results)
    shutil.copytree(once / "home", home, dirs_exist_ok=True)


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_small_records_are_copied_and_the_page_has_the_table(results, home, call, page, load, monkeypatch):
    monkeypatch.setattr(load("campaign"), "dot_plot", dot_plot)
    fill(results, cells("random"), off=2)
    fill(results, published("ddm-fig3b", method="dm"))
    result = call("campaign", results)
    assert result.exit_code == 0, result.output
    said, drawn = result.output.splitlines()
    assert said == "1 scores, 1 of them new; 1 class-incremental runs, 25 of their lines new"
    assert drawn.startswith("drew campaign-ddm-1.png, campaign-ddm-fig3b.png, campaign-idm-1.png, ")
    kept = files(home / "docs/campaign")
    assert sorted(name.split("/")[0] for name in kept) == ["scores.jsonl", "sets", "streams", "streams"]
    assert not any(name.endswith(".safetensors") for name in kept)
    text = page("ddm-1")
    assert "1 of the 108 cells that are ours to run: 1 at the papers' settings." in text
    assert "| Random | 26.0 ± 1.2 \\| 28.0 ± 0.5 (2)\\*<br>3 min |" in text
    assert "| method | cifar10, 10 |" in text
    assert '<img src="docs/campaign-ddm-1.png" width="560"' in text
    folded = text.split("<details>")[1].split("</details>")[0]
    assert "- commit: abc1234" in folded
    assert "cl-condense table ddm-1 --only cifar10 --ipc 10 --method random --data DATA" in folded
    assert "steps not stated by the paper: ours with 5" in page("ddm-fig3b")
    for name in ("ddm-1", "ddm-fig3b"):
        assert (home / f"docs/campaign-{name}.png").read_bytes().startswith(b"\x89PNG")


def test_adding_loses_nothing_and_has_each_once(results, tmp_path, home, call):
    fill(results, cells("random"))
    fill(results, published("ddm-fig3b", method="dm"), orders=1)
    other = tmp_path / "other"
    fill(other, cells("dm", "random"))
    fill(other, published("ddm-fig3b", method="dm"), orders=2)
    for folder, said in (
        (results, "1 scores, 1 of them new; 1 class-incremental runs, 5 of their lines new"),
        (other, "2 scores, 1 of them new; 1 class-incremental runs, 5 of their lines new"),
        (results, "2 scores, 0 of them new; 1 class-incremental runs, 0 of their lines new"),
    ):
        assert call("campaign", folder).output.splitlines()[0] == said
    campaign = home / "docs/campaign"
    assert len((campaign / "scores.jsonl").read_text().splitlines()) == 2
    (settings,) = campaign.glob("streams/*/settings.json")
    assert json.loads(settings.read_text())["orders"] == 2
    assert len(settings.with_name("records.jsonl").read_text().splitlines()) == 10
    before = files(home)
    assert call("campaign", other).exit_code == call("campaign").exit_code == 0
    assert files(home) == before


def test_a_line_in_the_making_is_left_for_the_next_time(results, home, call):
    fill(results, cells("random"))
    with (results / "scores.jsonl").open("a") as file:
        file.write('{"work": {"set": "half')
    assert call("campaign", results).output.startswith("1 scores, 1 of them new")


def test_code_that_no_commit_has_is_left_out(results, home, call):
    fill(results, cells("random"))
    fill(results, cells("dm"), commit="abc1234+")
    fill(results, published("ddm-fig3b", method="dm"), commit=None)
    said, *left, _ = call("campaign", results).output.splitlines()
    assert said.startswith("1 scores, 1 of them new; 0 class-incremental runs")
    assert [line.split("ipc")[0] for line in left] == ["left out cifar10-dm-", "left out cifar100-dm-steps5-"]
    assert [line.rpartition(": ")[2] for line in left] == [
        "measured with code that no commit has (abc1234+)",
        "measured with code that no commit has (None)",
    ]
    assert not any("dm" in name for name in files(home / "docs/campaign"))


def damage(name):
    """Ways to spoil what lies in results after a copy was taken."""

    def change(folder):
        path = next(folder.glob(name.split("|")[0]))
        old, new = name.split("|")[1:]
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damage('scores.jsonl|{"work"|{"wrk"'), "scores.jsonl is damaged in line 1 (no 'work')"),
        (damage('scores.jsonl|{"work"|["work"'), "scores.jsonl is damaged in line 1 (no JSON)"),
        (damage("scores.jsonl|0.255|0.155"), "have other accuracies of cifar10-random-ipc10-seed0-"),
        (damage('sets/*random*.json|"width": 128|"width": 64'), "is another record than in"),
        (damage("sets/*random*.json|{|"), ".json cannot be read as a record (no JSON)"),
        (damage('streams/*/records.jsonl|"step": 1|"step": 0.5'), "records.jsonl is damaged in line 1"),
        (damage("streams/*/records.jsonl|0.339|0.439"), "other accuracies of dm, order 0, step 1"),
        (damage('streams/*/settings.json|"width": 128|"width": 64'), "are of other settings"),
        (lambda folder: next(folder.glob("sets/*random*.json")).unlink(), ".json is not there"),
        (shutil.rmtree, "holds no scores.jsonl and no streams: name what table --results was given"),
    ],
)
@pytest.mark.usefixtures("added")
def test_what_is_damaged_or_differs_is_refused_and_nothing_is_written(change, message, results, home, call):
    before = files(home)
    fill(results, cells("dsa"))
    change(results)
    one_line(call("campaign", results), message)
    assert files(home) == before


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("scores.jsonl", "{\n", "docs/campaign/scores.jsonl, line 1: no JSON"),
        (
            "remarks.json",
            "{",
            "docs/campaign/remarks.json is damaged: give a list of objects with the",
        ),
        ("remarks.json", '[{"table": "ddm-1"}]', "remarks.json is damaged"),
        ("remarks.json", '{"table": "ddm-1"}', "remarks.json is damaged"),
    ],
)
@pytest.mark.usefixtures("added")
def test_a_damaged_campaign_makes_no_page(name, text, message, home, call):
    before = (home / "REPRODUCIBILITY.md").read_text()
    (home / "docs/campaign" / name).write_text(text)
    one_line(call(), message)
    assert (home / "REPRODUCIBILITY.md").read_text() == before


def remark(**changes):
    cell = {"table": "ddm-1", "dataset": "cifar10", "ipc": 10, "method": "dm", "eval_net": "convnet"}
    return {**cell, "text": "Ours ran for 3 epochs.", **changes}


def test_a_remark_stands_below_its_table_and_beside_its_number(results, home, call, page):
    fill(results, cells("random", "dm"), off=-2)
    call("campaign", results)
    (home / "docs/campaign/remarks.json").write_text(json.dumps([remark()]))
    text = page("ddm-1")
    assert "| DM | 48.9 ± 0.6 \\| 46.9 ± 0.5 (2)\\* \\[1\\]<br>3 min |" in text
    assert "| Random | 26.0 ± 1.2 \\| 24.0 ± 0.5 (2)\\*<br>3 min |" in text
    assert "- \\[1\\]: Ours ran for 3 epochs." in text
    assert "3 epochs" not in page("idm-1")
    assert call("campaign", results).exit_code == 0
    assert (home / "docs/campaign/remarks.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": "ddm-9"}, "ddm-9, cifar10, 10, dm, convnet is no cell: unknown table 'ddm-9'"),
        ({"dataset": "svhn"}, "is no cell: unknown data set of ddm-1 'svhn'"),
        ({"ipc": 7}, "is no cell: unknown ipc of ddm-1 '7'"),
        ({"method": "ddmm"}, "is no cell: unknown method of ddm-1 'ddmm'"),
        (
            {"eval_net": "vgg11"},
            "ddm-1, cifar10, 10, dm, vgg11 is no cell: no number of this evaluation network",
        ),
        ({"method": "dsa"}, "ddm-1, cifar10, 10, dsa, convnet has no number of ours to remark on: take it out"),
        ({"text": " "}, "the text of ddm-1, cifar10, 10, dm, convnet is ' ': give a sentence"),
        ({"text": 3}, "is 3: give a sentence"),
        ({"more": 3}, "remarks.json is damaged"),
    ],
)
@pytest.mark.usefixtures("added")
def test_a_remark_on_what_is_not_there_is_refused(changes, message, home, call):
    (home / "docs/campaign/remarks.json").write_text(json.dumps([remark(**changes)]))
    one_line(call(), message)


def test_economy_and_the_papers_have_rows_of_their_own(results, home, call, page):
    fill(results, cells("random", "dm"))
    fill(results, cells("dm"), off=-3, changes={})
    call("campaign", results)
    text = page("ddm-1")
    assert "2 of the 108 cells that are ours to run: 2 at the papers' settings, 1 economy." in text
    assert "| DM | 48.9 ± 0.6 \\| 48.9 ± 0.5 (2)<br>3 min |" in text
    assert "| DM, economy | 48.9 ± 0.6 \\| 45.9 ± 0.5 (2)\\*<br>3 min |" in text
    assert "Not the papers' settings: economy (2,500 iterations, 64 real" in text
    folded = text.split("<details>")[1]
    assert "- settings: the papers'\n" in folded
    assert "- settings: economy (2,500 iterations, 64 real images a class" in folded
    assert "--method dm --data DATA --papers --repetitions 1" in folded
    assert "--method dm --data DATA --repetitions 1" in folded


def test_all_tables_that_have_a_number_of_ours_are_shown(results, home, call, page):
    assert "No cell has a number of ours yet." in page("all")
    assert "No cell of ddm-2 has a number of ours yet." in page("ddm-2")
    every = [cell for cell in tables()["ddm-2"].cells if runnable(cell)]
    fill(results, every)
    drawn = call("campaign", results).output.splitlines()[1].split(";")[0].split()[1:]
    text = page("all")
    shown = [line[4:].split(":")[0] for line in text.splitlines() if line.startswith("### ")]
    assert shown == [name.rstrip(",")[len("campaign-") : -len(".png")] for name in drawn]
    own = text.split(f"### ddm-2: {TITLES['ddm-2']}")[1].split("### ")[0]
    assert "27 of the 27 cells that are ours to run: 27 at the papers' settings." in own
    assert own.count(" (2)<br>3 min") == 27


def test_a_picture_that_is_not_there_is_told_and_drawn(results, home, call, page):
    fill(results, cells("dm"))
    call("campaign", results)
    before = page("ddm-1")
    picture = home / "docs/campaign-ddm-1.png"
    picture.unlink()
    one_line(
        call(), "docs/campaign-ddm-1.png is not there: python benchmarks/reproducibility.py campaign draws it"
    )
    (home / "docs/campaign-ddm-4.png").write_bytes(b"of a table without numbers")
    assert call("campaign").output.startswith("drew campaign-ddm-1.png, ")
    assert page("ddm-1") == before
    assert not (home / "docs/campaign-ddm-4.png").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- campaign: ddm-9 -->", "<!-- campaign: ddm-9 -->: use all, or one of ddm-1, "),
        (
            "<!-- campaign -->",
            "docs/reproducibility.md, line 1: write <!-- campaign: TABLE --> on a line of its own",
        ),
        ("See <!-- campaign: ddm-1 -->", "docs/reproducibility.md, line 1: write <!-- campaign: TABLE -->"),
    ],
)
def test_a_template_with_a_mistake_is_refused(text, message, home, call):
    (home / "docs/reproducibility.md").write_text(text + "\n")
    one_line(call(), message)
