"""The report of a folder: what is in it, that it loads nothing, and what damaged and hostile files do to it."""

import base64
import io
import json
import re
import shlex
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from campaigns import fill
from commands import call
from made_up import REDUCED, load
from pages import Page
from PIL import Image
from small_runs import TINY, few

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data import datasets
from cl_condense.papers.bench import Bench
from cl_condense.papers.published import published
from cl_condense.reports.html import write
from cl_condense.reports.html.words import options
from cl_condense.runs.incremental import Run
from cl_condense.runs.run_config import RunConfig
from cl_condense.runs.single import Job, run

HOSTILE = '<script src="http://x.example/a.js">&"\'|`*\ud800\x00'


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table's results, two sets of which one goes on from the other, and a run, by the real code."""
    folder = tmp_path_factory.mktemp("page") / "results"
    bench = Bench(folder / "table", load, REDUCED)
    for work in bench.missing([c for m in ("random", "dm") for c in published("ddm-1", "cifar10", 10, m)]):
        bench.do(work)
    train, test = datasets.load("digits")
    few = {"ipc": 2, "iterations": 4, "real_per_class": 4, "width": 4, "depth": 2, "device": "cpu"}
    s = RunConfig.of("digits", ("dm+sm",), **few)
    run(Job(s.main, folder / "digits.safetensors"), train)
    run(Job(replace(s.main, iterations=3), folder / "more.safetensors", folder / "digits.safetensors"), train)
    s = s.changed(methods=("random", "dm"), steps=2, ipc=1, orders=2, networks=2, epochs=2)
    Run(s, train, test, folder / "run")()
    return folder


@pytest.fixture
def results(made, tmp_path):
    return shutil.copytree(made, tmp_path / "results")


def report(folder, **options):
    html, markdown = write(folder, **options)
    return Page(html.read_text("utf-8")), markdown.read_text("utf-8")


@pytest.fixture(scope="module")
def written(made, tmp_path_factory):
    """A folder with its report, for those who only read it."""
    folder = shutil.copytree(made, tmp_path_factory.mktemp("written") / "results")
    return folder, *report(folder)


def test_the_page_has_each_piece(written):
    _, page, markdown = written
    headings = (
        "DDM: ddm-1",
        "digits, 2 steps, 1 images per class: random, dm",
        "results/digits.safetensors",
    )
    for text in (page.text, markdown.replace("\\", "")):
        assert all(heading in text for heading in headings)
        assert "48.9 ± 0.6" in text
        economy = "economy (2 iterations, 4 real images a class, reuse 10)"
        others = "iterations 2, real per class 4, width 8, epochs 2, networks 2."
        assert f"Not the papers' settings: {economy}, {others}" in text
        assert re.search(r"Malakshan et al., \[?arXiv:2412.04748", text)
        assert re.search(r"Zhao and Bilen, WACV 2023, \[?arXiv:2110.04181", text)
        assert "cl-condense table ddm-1 --only cifar10 --ipc 10 --method random --method dm --data DATA" in text
        assert "--networks 2 --repetitions 1 --results results/table" in text
        budget = "--steps 2 --ipc 1 --codec uint8 --orders 2 --networks 2 --iterations 4"
        assert f"--method random --method dm --economy {budget}" in text
        assert "cl-condense condense --dataset digits --method dm+sm --economy --ipc 2 --iterations 4" in text
        assert "could not be read" not in text
    alts = [img["alt"] for img in page.all("img")]
    assert sum(alt.startswith("Accuracy (%) against classes seen") for alt in alts) == 1
    assert sum(alt.startswith("Loss against iterations") for alt in alts) == 3  # two of digits, dm of the table
    assert any("memory of dm after step 2" in alt for alt in alts)
    assert any("before: images of results/digits.safetensors" in alt for alt in alts)


def test_ours_stand_beside_the_published_as_in_the_bench(written):
    results, page, markdown = written
    scores = Bench(results / "table", load, REDUCED).scores()
    for score in scores:
        ours = 100 * torch.tensor(score["accuracies"], dtype=torch.float64)
        cell = f"{ours.mean():.1f} ± {ours.std(correction=0):.1f} (2)*"
        assert cell in page.text
        assert f"\\| {cell.replace('*', chr(92) + '*')}<br>" in markdown
    table = markdown.split("### DDM: ddm-1")[1].split("\n\n")[2].splitlines()
    assert table[0] == "| method | cifar10, 10 |", "columns without ours are left out"
    assert [row.split(" |")[0] for row in table[2:]] == ["| Random", "| DM"], "and so are rows"


def test_the_commands_make_what_is_there(results, monkeypatch, capsys):
    small = "--orders 1 --networks 1 --steps 2 --iterations 1 --epochs 1 --width 4 --device cpu".split()
    assert call("run", *small, "--out", results / "again") == 0
    assert call("condense", *small[6:8], *small[10:], "--out", results / "one.safetensors") == 0
    first = CondensedSet.load(results / "one.safetensors")
    _, markdown = report(results)
    lines = [shlex.split(line) for line in markdown.splitlines() if line.startswith("cl-condense ")]
    (table,) = (line for line in lines if line[1:3] == ["table", "ddm-1"])
    (run,) = (line for line in lines if line[-1] == "results/again")
    (condense,) = (line for line in lines if line[-1] == "results/one.safetensors")
    monkeypatch.chdir(results.parent)
    capsys.readouterr()
    assert call(*table[1:], "--dry-run") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert call(*run[1:]) == 0
    assert "4 of 4 pieces of work are in results/again" in capsys.readouterr().err
    (results / "one.safetensors").unlink()
    assert call(*condense[1:]) == 0
    assert torch.equal(CondensedSet.load(results / "one.safetensors").pixels, first.pixels)
    own = markdown.split("### results/one.safetensors")[1].split("###")[0]
    assert "--augment" not in own
    (other,) = (" ".join(line) for line in lines if line[-1] == "results/run")
    assert "--real-per-class 4 " in other
    assert "--augment color_crop_cutout_flip_scale_rotate " in other


def test_full_settings_are_not_called_reduced(results):
    path = results / "table" / "scores.jsonl"
    bench = Bench(results / "table", load, {"iterations": 2, "real_per_class": 4, "width": 8, "device": "cpu"})
    work = bench.missing(published("ddm-1", "cifar10", 10, "random"))[0]
    full = replace(
        work,
        condense=replace(work.condense, iterations=None, real_per_class=None, width=128),
        train=replace(work.train, width=128),
    )
    first = json.loads(path.read_text().splitlines()[0])
    record = json.loads((results / "table" / "sets" / first["work"]["set"]).with_suffix(".json").read_text())
    record |= {"iterations": None, "real_per_class": None, "width": 128}
    (results / "table" / "sets" / full.set_name()).with_suffix(".json").write_text(json.dumps(record))
    path.write_text(json.dumps({**first, "work": full.identity(), "accuracies": [0.25, 0.27]}) + "\n")
    page, markdown = report(results)
    assert "Measured at the papers' settings." in page.text
    assert "Not the papers' settings" not in page.text
    assert "| Random | 26.0 ± 1.2 \\| 26.0 ± 1.0 (2)<br>" in markdown


def test_the_page_loads_nothing(written):
    results, page, _ = written
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    assert page.all("img")
    for tag, attrs in page.tags:
        for name in ("src", "srcset", "data", "poster", "background"):
            assert attrs.get(name, "data:image/png;base64,").startswith("data:image/png;base64,"), tag
        assert re.match(r"#|https://arxiv\.org/abs/\d{4}\.\d{4,5}$", attrs.get("href", "#")), (
            "links wait for a click"
        )
        assert not any(name.startswith("on") or name == "style" for name in attrs)
    for img in page.all("img"):
        assert img["alt"]
        Image.open(io.BytesIO(base64.b64decode(img["src"].split(",")[1]))).verify()
    style = (results / "report.html").read_text("utf-8").split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert "image-rendering: pixelated" in style


def test_headings_tables_and_links_are_in_order(written):
    _, page, _ = written
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a") if a["href"][0] == "#"} == set(ids)
    names = [(tag, attrs.get("class")) for tag, attrs in page.tags]
    tables = [i for i, (tag, _) in enumerate(names) if tag == "table"]
    assert tables
    assert all(names[i - 1] == ("div", "scroll") for i in tables), "a wide table scrolls by itself"
    assert page.all("html") == [{"lang": "en"}]
    assert "Results in results" in page.text


def test_what_is_wide_stays_on_the_page(written):
    html = (written[0] / "report.html").read_text("utf-8")
    assert re.search(r"</table></div><figcaption>mean ± std over n = 4", html), "it does not scroll away"
    assert "<span>--real-per-class</span> 4" in html, "an option is not broken after its hyphens"
    paper = '<a href="https://arxiv.org/abs/2110.04181">arXiv:2110.04181</a>'
    assert f'<td class="long">Zhao and Bilen, WACV 2023, {paper}</td>' in html
    assert "<td>augmented, 2 epochs</td>" in html
    assert re.search(r'<th scope="row" class="long">cifar10-dm-ipc10-seed0-\w+.safetensors</th>', html)
    assert '<th scope="row">random</th>' in html
    for tag in re.findall(r'<figure class="plot">(<img [^>]*>)', html):
        png = base64.b64decode(re.search(r'base64,([^"]*)"', tag)[1])
        assert int(re.search(r' width="(\d+)"', tag)[1]) == Image.open(io.BytesIO(png)).width // 2
    pairs = html.split("<h3>results/more.safetensors</h3>")[1].split("<tbody>")[0]
    columns = re.findall(r'<th scope="col">([^<]*)</th>', pairs)
    assert columns == ["before: images of results/digits.safetensors", "stored images"]


def test_small_images_are_shown_large_enough(written):
    _, page, _ = written
    sizes = [(int(i["width"]), int(i["height"])) for i in page.all("img") if "stored images" in i["alt"]]
    assert sizes
    assert all(height >= 48 for _, height in sizes)


def test_published_finals_stand_beside_runs_on_cifar100(tmp_path):
    folder = tmp_path / "r" / "cl"
    folder.mkdir(parents=True)
    s = RunConfig.of("cifar100", methods=("dm",), steps=10, ipc=20, device="cpu")
    (folder / "settings.json").write_text(json.dumps(s.values()))
    base = {
        "method": "dm",
        "dataset": "cifar100",
        "order": 0,
        "stored_images": 1,
        "stored_bytes": 9,
        "accuracies": [0.5, 0.4],
    }
    base |= {"condense_seconds": 1, "train_seconds": 1, "device": "cpu", "versions": {}}
    records = [{**base, "step": t, "classes_seen": 10 * t} for t in range(1, 11)]
    text = "".join(json.dumps(r) + "\n" for r in records) + '{"method": "d'
    (folder / "records.jsonl").write_text(text)
    page, markdown = report(tmp_path / "r")
    assert "| DM | idm-fig8 | 10 | 33.7 |" in markdown
    assert "| DDM(Ours) | ddm-fig3b | not stated | 39.9 |" in markdown
    assert "| idm-fig8 | 5 |" not in markdown
    assert "the marks at the right are the papers' final accuracies" in page.all("img")[0]["alt"]
    assert (folder / "records.jsonl").read_text() == text, "a run that goes on writes in it"


def runs_of(folder, budgets, **changes):
    """Records of random and dm, each better by a point for every KiB, in runs of several budgets."""
    for kib in budgets:
        own = folder / f"run{kib}{'x' * len(changes)}"
        own.mkdir(parents=True)
        s = RunConfig.of(
            "digits", ("random", "dm"), **{"steps": 2, "ipc": None, "max_bytes": kib * 1024, **changes}
        )
        (own / "settings.json").write_text(json.dumps(s.values()))
        base = {"dataset": "digits", "order": 0, "stored_images": kib, "condense_seconds": 1}
        base |= {"train_seconds": 1, "device": "cpu", "versions": {}, "stored_bytes": kib * 1024}
        lines = [
            base | {"method": m, "step": t, "classes_seen": 5 * t, "accuracies": [a + kib / 100, a + 0.02]}
            for m, a in (("random", 0.2), ("dm", 0.4))
            for t in (1, 2)
        ]
        (own / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_runs_of_several_budgets_stand_over_their_bytes(tmp_path):
    runs_of(tmp_path / "r", (2, 10))
    runs_of(tmp_path / "r", (4,), width=8)  # networks of another width are not compared
    page, markdown = report(tmp_path / "r")
    section = markdown.split("memories of several sizes")[-1].split("###")[0]
    assert "| random | 2.0 | 2 | 22.0 ± 0.0 | 22.0 | 2 |" in section
    assert "| dm | 10.0 | 10 | 46.0 ± 4.0 | 46.0 | 2 |" in section
    assert "| dm | 4.0 |" not in section
    assert sum(img["alt"].startswith("Accuracy (%) after the last step") for img in page.all("img")) == 1


def test_one_budget_or_half_a_run_is_no_curve_over_bytes(tmp_path):
    runs_of(tmp_path / "r", (2,))
    runs_of(tmp_path / "r", (4,), steps=5)
    assert "memories of several sizes" not in report(tmp_path / "r")[1]


def test_what_others_wrote_is_only_text(results):
    train = datasets.load("digits")[0].only([0, 1])
    path = results / f"a'b<i>{'x' * 40}.safetensors"
    pixels = torch.zeros(2, 1, 1, 8, 8)
    made = replace(CondensedSet.of(train, pixels, {"name": HOSTILE}, 0), names=(HOSTILE, "**1**|2"))
    made.save(path)
    record = {"dataset": HOSTILE, "method": HOSTILE, "ipc": "$(reboot)", "start": HOSTILE, HOSTILE: HOSTILE}
    path.with_suffix(".json").write_text(json.dumps({**record, "losses": [[1, 2], [2, float("nan")], [3, 1]]}))
    lines = (results / "run" / "records.jsonl").read_text().splitlines()
    records = [{**json.loads(line), "method": "_$m$<b>"} for line in lines if '"method": "dm"' in line]
    (results / "run" / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    page, markdown = report(results)
    assert page.all("script") == page.all("i") == page.all("b") == []
    assert "_$m$<b>" in page.text
    assert '<script src="http://x.example/a.js">' in page.text
    assert "--ipc '$(reboot)'" in page.text
    outside = re.sub(r"```sh\n.*?\n```", "", markdown, flags=re.S)
    assert "<script" not in outside
    assert "<b>" not in outside
    assert "http://x.example" not in " ".join(str(a.get("href")) for a in page.all("a"))


def test_what_is_damaged_is_listed_and_the_rest_is_there(results):
    (results / "broken.safetensors").write_bytes(b"{")
    (results / "more.json").write_text("[1, 2")
    (results / "run" / "memory" / "dm-order0-step2.safetensors").write_bytes(b"")
    table = results / "table"
    first, second = (table / "scores.jsonl").read_text().splitlines()
    work = {**json.loads(first)["work"], "epochs": 3, "set": json.loads(second)["work"]["set"]}
    lost = {**json.loads(first), "work": {**work, "set": "../lost.safetensors"}}
    lines = [first, json.dumps({"accuracies": [0.5]}), json.dumps(lost), json.dumps({**lost, "work": work})]
    (table / "scores.jsonl").write_text("\n".join(lines) + "\n")
    bad = results / "bad"
    shutil.copytree(results / "run", bad)
    (bad / "records.jsonl").write_text('{"method": "dm"}\n')
    page, markdown = report(results)
    assert "DDM: ddm-1" in page.text
    assert "digits, 2 steps" in page.text
    faults = markdown.split("## What could not be read")[1].replace("\\", "")
    for name, reason in {
        "results/broken.safetensors": "broken.safetensors cannot be read as a condensed set",
        "results/more.json": "more.json cannot be read as a record (no JSON)",
        "results/run/memory/dm-order0-step2.safetensors": "cannot be read",
        "results/table/scores.jsonl, line 2": "no 'work'",
        "results/table/scores.jsonl, ../lost.safetensors": "lost.json is not there",
        f"results/table/scores.jsonl, {work['set']}": "fills no published table",
        "results/bad": "is damaged in line 1 (no 'order')",
    }.items():
        assert re.search(rf"^\| {re.escape(name)} \| .*{re.escape(reason)}", faults, re.M), name
    assert str(results) not in faults
    assert "Its record could not be read." in page.text


def test_a_page_is_written_again_over_the_old(results, tmp_path):
    first = report(results)[1]
    assert report(results)[1] == first
    out = tmp_path / "new" / "page.html"
    assert report(results, out=out)[1] == first
    assert sorted(p.name for p in out.parent.iterdir()) == ["page.html", "page.md"]


def test_the_command_says_what_it_wrote(results, capsys):
    assert call("report", results) == 0
    assert capsys.readouterr().out == f"wrote {results}/report.html\nwrote {results}/report.md\n"


def test_bad_input_gets_one_line_and_exit_code_2(tmp_path, capsys):
    empty, broken = tmp_path / "empty", tmp_path / "broken"
    empty.mkdir()
    broken.mkdir()
    (broken / "a.safetensors").write_bytes(b"x")
    for words, message in (
        (
            [tmp_path / "none"],
            "none is not a folder: name the folder that holds what table, run or condense wrote",
        ),
        ([empty], "empty holds no scores.jsonl, run or .safetensors set: name the folder"),
        ([broken], "broken holds nothing that can be read (broken/a.safetensors: a.safetensors cannot be read"),
        ([broken, "--out", tmp_path / "a.pdf"], "a.pdf: name an .html file"),
    ):
        assert call("report", *words) == 2
        shown = capsys.readouterr()
        assert shown.err.startswith("Error: ")
        assert shown.err.count("\n") == 1
        assert message in shown.err
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.safetensors", "broken", "empty"]


def test_a_command_names_what_is_not_at_rest():
    rest = {"precision": "float32", "compiled": False, "reuse": 1, "network": "convnet", "ipc": None}
    assert options(rest) == []
    assert options({**rest, "compiled": True, "reuse": 5, "ipc": 1}) == ["--compile", "--reuse", 5, "--ipc", 1]
    # Economy has a reuse of its own, which 1 is not.
    assert options({**rest, "economy": True, "reuse": None}) == []
    assert options({**rest, "economy": True}) == ["--reuse", 1]
    assert options({**rest, "economy": False}) == []


def test_a_number_that_several_tables_print_stands_in_the_first(tmp_path):
    fill(tmp_path / "r", published("ddm-1", "cifar10", 10))
    _, markdown = report(tmp_path / "r")
    for row in ("| Random | 26.0 ± 1.2 ", "| DSA | 52.1 ± 0.5 ", "| DDM(Ours) | 53.0 ± 0.2 "):
        assert markdown.count(row) == 1
    assert re.search(r"\n- also printed in: .*\bidm-1 \(", markdown)
    assert [line for line in markdown.splitlines() if line.startswith("### DDM")] == ["### DDM: ddm-1"]
    # What a paper prints otherwise is another number.
    assert "| DM(baseline) | 48.5 ± 0.2 " in markdown.split("### IID: ")[1].split("### ")[0]
    # Two tables of a paper are one.
    fill(tmp_path / "r", published("ddm-5", "cifar10", 10, "datadam"))
    both = report(tmp_path / "r")[1].split("### DDM: ddm-1, ddm-5\n")[1].split("### ")[0]
    assert re.search(r"\| DataDAM \\\[\d\\\] \| 54\.2 ± 0\.8 ", both)
    assert "| Random | 26.0 ± 1.2 " in both


def test_results_come_first_and_settings_are_folded(written):
    html = (written[0] / "report.html").read_text("utf-8")
    for part in html.split("<h3>")[1:]:
        first = min(part.index(tag) for tag in ("<table", "<img") if tag in part)
        assert first < part.index("<details>")
        assert "<pre>" not in part.split("<details>")[0]
        assert (
            part.count("<details>") == part.count("</details>") == 1 + ("on the classes of each step" in part)
        )


def test_a_picture_of_published_and_ours_for_each_data_set(tmp_path):
    fill(tmp_path / "r", [c for d in ("cifar10", "cifar100") for c in published("ddm-1", d, 10, "dm")])
    page, _ = report(tmp_path / "r")
    alts = [img["alt"] for img in page.all("img")]
    assert [alt for alt in alts if alt.startswith("Published and ours, cifar10:")]
    assert [alt for alt in alts if alt.startswith("Published and ours, cifar100:")]


def test_economy_beside_the_papers_is_said_in_the_row_and_in_a_warning(tmp_path):
    (cell,) = published("ddm-1", "cifar10", 10, "dm")
    fill(tmp_path / "r", [cell])
    fill(tmp_path / "r", [cell], off=-1, changes={})
    page, markdown = report(tmp_path / "r")
    assert "| DM | 48.9 ± 0.6 \\| 48.9 ± 0.5 (2)<br>3 min |" in markdown
    assert "| DM, economy | 48.9 ± 0.6 \\| 47.9 ± 0.5 (2)\\*<br>3 min |" in markdown
    assert "Not the papers' settings: economy (2,500 iterations, 64 real images a class, " in page.text
    assert "Measured at the papers' settings" not in page.text
    assert "1 at the papers' settings, 1 economy" in page.text
    folded = markdown.split("<details>")[1].split("</details>")[0]
    assert "\n- settings: the papers'\n- device: " in folded
    assert "\n- settings: economy (2,500 iterations, 64 real images a class, " in folded


def test_a_table_s_origins_are_listed_once(tmp_path):
    for commit, date, name in (
        ("a", "2026-01-02", "dm"),
        ("b", "2026-01-03", "dsa"),
        ("a", "2026-01-01", "ddm"),
    ):
        fill(tmp_path / "r", published("ddm-1", "cifar10", 10, name), commit=commit, date=date)
    scores = (tmp_path / "r" / "scores.jsonl").read_text()
    (tmp_path / "r" / "scores.jsonl").write_text(scores.replace('"commit": "a"', '"commit": "b"', 1))
    _, markdown = report(tmp_path / "r")
    assert "\n- commit: b, a\n" in markdown
    assert "\n- date: 2026-01-01 to 2026-01-03\n" in markdown


def test_each_of_a_table_s_commands_goes_on_with_its_own_settings(tmp_path, monkeypatch, capsys):
    every = [{"economy": e} | reuse for e in (True, False) for reuse in ({}, {"reuse": 1}, {"reuse": 5})]
    for changes in every:
        wanted = [cell for name in ("random", "dm") for cell in published("ddm-1", "cifar10", 10, name)]
        fill(tmp_path / "r", wanted, changes=changes)
    _, markdown = report(tmp_path / "r")
    assert "fills no published table" not in markdown
    lines = [line for line in markdown.splitlines() if line.startswith("cl-condense table ddm-1 ")]
    said = {line.partition("--data DATA ")[2].partition("--repetitions")[0].strip(): line for line in lines}
    assert {*said} == {"", "--papers", "--reuse 1", "--reuse 5", "--papers --reuse 5"}
    monkeypatch.chdir(tmp_path)
    for line in lines:
        assert call(*shlex.split(line)[1:], "--dry-run") == 0
        assert "nothing to do" in capsys.readouterr().out, line
    # Each is condensed by one command: what has no economy is not told again where it stands beside one.
    assert sum("--method random" in line for line in lines) == 1
    table = markdown.split("### DDM: ddm-1")[1].split("<details>")[0]
    assert [table.count(f"\n| {row} |") for row in ("Random", "DM", "DM, economy")] == [1, 1, 1]


@pytest.mark.parametrize(("steps", "orders"), [(5, 5), (10, 1)])
def test_the_command_of_streams_goes_on_with_their_steps_and_orders(
    steps, orders, tmp_path, monkeypatch, capsys
):
    fill(tmp_path / "r", published("ddm-fig3b", method="dm"), steps=steps, orders=orders)
    fill(tmp_path / "r", published("ddm-1", "cifar10", 10, "dm"))
    _, markdown = report(tmp_path / "r")
    assert markdown.count("steps not stated by the paper: ours with") == 1
    monkeypatch.chdir(tmp_path)
    lines = [line for line in markdown.splitlines() if line.startswith("cl-condense table ddm-")]
    assert len(lines) == 2
    for line in lines:
        assert call(*shlex.split(line)[1:], "--dry-run") == 0
        assert "nothing to do" in capsys.readouterr().out, line


def test_streams_of_a_table_stand_in_it(tmp_path):
    fill(tmp_path / "r", published("ddm-fig3b", method="dm"))
    _, markdown = report(tmp_path / "r")
    assert "### DDM: ddm-fig3b" in markdown
    assert re.search(r"\| DM \\\[1\\\] \| 34\.4 \\\| 34\.4 ± 0\.5 \(10\)<br>50 min \|", markdown)
    (records,) = (tmp_path / "r").glob("streams/*/records.jsonl")
    every = records.read_text()
    finals = [line for line in every.splitlines(True) if json.loads(line)["step"] == 5]
    assert len(finals) < len(every.splitlines())
    records.write_text("".join(finals))  # networks trained after the last step alone
    assert "34.4 ± 0.5 (10)" in report(tmp_path / "r")[1]
    records.write_text("".join(finals[:-1]))
    assert "34.4 ± 0.5 (10)" not in report(tmp_path / "r")[1]
    records.write_text(every.replace('"step": 1', '"step": 0', 1))
    fill(tmp_path / "r", published("ddm-1", "cifar10", 10, "dm"))
    assert "| r/streams/cifar100-dm-" in report(tmp_path / "r")[1].split("## What could not be read")[1]


def test_accuracies_on_the_classes_of_each_step_are_folded_below_a_run(tmp_path):
    digits = few(datasets.load("digits")[0], 8)
    run = Run(TINY.changed(methods=("random",), trainers=("gdumb", "idc")), digits, digits, tmp_path / "run")
    run()
    text = write(tmp_path, tmp_path / "report.html")[1].read_text()
    for name, way in (("random", "gdumb"), ("random (idc)", "idc")):
        own = [r["by_step"] for r in run.records if r["trainer"] == way and r["step"] == 2]
        first, second = 100 * np.mean(own, axis=(0, 2))
        grid = text[: text.index(f"{name}: accuracy (%) on the classes of each step")].rsplit("| after", 1)[1]
        assert f"| step 2 | {first:.1f} | {second:.1f} |" in grid
    assert "--trainer gdumb --trainer idc" in text
