"""How the papers' numbers were measured: every number has a protocol, and tables say where ours is another."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from campaigns import PAPERS, fill
from commands import call
from made_up import REDUCED, load
from rich.console import Console

from cl_condense.papers import printed as module
from cl_condense.papers.bench import Bench, runnable
from cl_condense.papers.beside import Comparison, side_by_side
from cl_condense.papers.footnotes import PLAIN, Footnotes, notes
from cl_condense.papers.printed import NETWORKS, TABLES, printed, protocols
from cl_condense.papers.published import published, tables
from cl_condense.papers.set_work import condensed_once, set_works
from cl_condense.reports.html import write
from cl_condense.runs.build import training_for
from cl_condense.runs.config import TrainConfig
from cl_condense.runs.defaults import EVALUATIONS
from cl_condense.training.augment import DSA
from cl_condense.training.protocol import DC_AUGMENT, TRAININGS, Training, mixed_training

# table, methods, data sets (all where none are named), words of the note: what is not as printed.
NOTED = """
ddm-1|cafe+dsa|cifar100|normalised as CIFAR-10
ddm-1|random herding forgetting|imagenet1k|training not stated
ddm-1||imagenet1k|64 pixels
ddm-2|random||training not stated
ddm-3|random||training not stated
ddm-5|datadam datadam+sm||batch norm
ddm-5|idm idm+sm|tinyimagenet|3 blocks for these images
idm-1|cafe cafe+dsa|cifar100|normalised as CIFAR-10
idm-1|random herding forgetting dm|tinyimagenet|4 blocks
idm-1|random herding forgetting|imagenet100|DC's augmentation
idm-1||imagenet100|draws its 100 classes
idm-2||imagenet100|draws its 100 classes
idm-3||imagenet100|draws its 100 classes
iid-1|cafe dcc|cifar100|normalised as CIFAR-10
iid-1|datadam||batch norm
iid-2|datadam||batch norm
iid-2|random herding k_center forgetting dm datadam||depth of the ConvNet
iid-4|datadam||batch norm
iid-4|dc dsa dm cafe+dsa datadam|crossed|norm of the networks not stated
iid-7|random k_center dc dsa dm||DC-BENCH
m3d-1|dm+moment2 dm+moment2+moment3||weights of the moments
m3d-1|m3d||code not to be had
m3d-2|random herding k_center dc cafe|mnist|for every image
m3d-2|cafe cafe+dsa|cifar100|normalised as CIFAR-10
m3d-2|m3d||code not to be had
m3d-3|||IDC's training for ImageNet
m3d-3|m3d||code not to be had
m3d-3|m3d||2 x 2.
m3d-3|idc||L1 distance
m3d-3|dsa dm idc m3d|imagenet100|five parts
m3d-4|m3d||code not to be had
m3d-4|dsa dm|crossed|other networks not stated
m3d-fig3|m3d m3d+pixels||code not to be had
m3d-fig6a|||code not to be had
m3d-fig6b|||code not to be had
m3d-5|dm+m3d idm+m3d||training not stated
ddm-1|dd||learned rates of its few steps
idm-1|dd||learned rates of its few steps
iid-1|dd||learned rates of its few steps
ncfm-1|frepo+labels||soft labels
idm-1|ld||soft labels
iid-1|ld||soft labels
ncfm-1|mtt||learned rate
dance-1|dance||several looks
dance-2|dance||several looks
ncfm-1|dance dance+cf||several looks
frontier-hard|dance dance+cf||several looks
frontier-hard|idc|cifar100|crops and flips CIFAR-100
"""
NOTED = [line.split("|") for line in NOTED.split("\n") if line]


def ours():
    """The cells whose protocol matters."""
    return [cell for table in tables().values() for cell in table.cells if condensed_once(cell)]


def expected(cell):
    """Words of the notes that a cell must have; none: it is as printed."""
    crossed = {"crossed"} if cell.condense_net not in ("selection", cell.eval_net) else set()
    return [
        words
        for table, methods, datasets, words in NOTED
        if table == cell.table
        and (not methods or cell.name in methods.split())
        and (not datasets or {cell.dataset, *crossed} & {*datasets.split()})
    ]


def faults(cells):
    """Methods and data sets that have no protocol, or several, and cells whose notes are not those of NOTED."""
    found = {(c.name, c.dataset) for c in cells if len(protocols(c.name, c.dataset)) != 1}
    for cell in cells:
        said, words = printed(cell).notes, expected(cell)
        if len(said) != len(words) or any(sum(w in note for note in said) != 1 for w in words):
            found.add((cell.table, cell.name, cell.dataset))
    return found


def test_every_number_of_ours_is_as_printed_or_noted():
    assert len(ours()) == 1043
    assert faults(ours()) == set()
    as_printed = {(c.table, c.name, c.dataset) for c in ours() if not printed(c).notes}
    assert {
        ("ddm-1", "ddm", "cifar10"),
        ("m3d-2", "cafe", "svhn"),
        ("iid-2", "idm", "tinyimagenet"),
    } <= as_printed


def test_a_method_without_a_protocol_is_found_and_says_so(monkeypatch):
    (cell,) = published("ddm-1", "cifar10", 10, "dm")
    for name, dataset in (("dm+icd", "cifar10"), ("idm+iid", "mnist"), (None, "cifar10")):
        new = replace(cell, name=name, dataset=dataset)
        assert (name, dataset) in faults([new])
        assert "not known here" in printed(new).notes[0]
        assert printed(new).evaluation == "augmented"
    monkeypatch.setattr(module, "PROTOCOLS", (*module.PROTOCOLS, module.Protocol("plain", "dm", "cifar10")))
    assert faults([cell]) == {("dm", "cifar10")}
    monkeypatch.setattr(module, "PROTOCOLS", (module.Protocol("plain", "dm", "cifar10", "A wrong note."),))
    assert faults([cell]) == {("ddm-1", "dm", "cifar10")}


def test_no_row_is_for_nothing():
    for each in TABLES:
        assert each.note or each.depth or each.evaluation or each.trainer
        of = published(each.tables) if each.trainer else ours()  # only a stream has a trainer
        fitting = [cell for cell in of if each.fits(cell)]
        for words, field in ((each.tables, "table"), (each.methods, "name"), (each.datasets, "dataset")):
            assert not words or {getattr(cell, field) for cell in fitting} >= {*words.split()}, each
    kinds = {cell.notes for table in tables().values() for cell in table.cells}
    assert kinds >= PLAIN
    assert {cell.table.split("-")[0] for table in tables().values() for cell in table.cells} >= {*NETWORKS}


def test_notes_are_sentences_on_both():
    for cell in ours():
        for note in printed(cell).notes:
            assert re.fullmatch(r"Published: [^;]+; ours: .+\.( Published: [^;]+; ours: .+\.)?", note), note


def test_depth_is_that_of_the_row():
    depths = {c.name: {w.train.depth for w in set_works(c, {}, 1)} for c in published("iid-2") if c.name}
    assert {k for k, v in depths.items() if v == {3}} == {"idm", "dm+iid", "idm+iid"}
    assert {k for k, v in depths.items() if v == {None}} == depths.keys() - {"idm", "dm+iid", "idm+iid"}
    assert {
        w.train.depth for c in published("idm-1", "tinyimagenet") for w in set_works(c, {}, 1) if c.name
    } == {3}


# ways to train


def test_every_way_to_evaluate_trains_as_published():
    assert TRAININGS.keys() == EVALUATIONS.keys()
    no_flip = "color_crop_cutout_scale_rotate"
    wanted = {
        "augmented": Training(1000, augment=DSA(no_flip)),
        "plain": Training(300, augment=None),
        "cafe": Training(600, augment=None),
        "datadam": Training(1800, batch_size=64, augment=DSA(no_flip)),
        "mixed": mixed_training(1000, no_flip),
        "dance": mixed_training(1500, no_flip),
        "dc_mnist": Training(1000, augment=DC_AUGMENT),
        "idc_mnist": replace(mixed_training(1000, no_flip), cutmix=0.0),
    }
    for name, epochs in EVALUATIONS.items():
        s = TrainConfig("mnist", evaluation=name, epochs=epochs, augment=no_flip)
        assert training_for(s) == wanted[name]
    with pytest.raises(ValueError, match="unknown evaluation 'mist': known are augmented, plain, "):
        training_for(TrainConfig("mnist", evaluation="mist"))


def test_dc_augments_by_four_pixels_a_fifth_and_45_degrees():
    assert DC_AUGMENT.groups == ("crop", "scale", "rotate")
    assert (DC_AUGMENT.ratio_scale, DC_AUGMENT.ratio_rotate) == (1.2, 45.0)
    x = torch.zeros(1, 1, 1, 28, 28)
    x[..., 14, 14] = 1.0
    shifts = set()
    for key in range(400):
        warp = DC_AUGMENT.draw([0], key)
        if warp.groups == ("crop",):
            at = (DC_AUGMENT(x, warp)[0, 0, 0] == 1.0).nonzero()[0] - 14
            shifts |= {*at.tolist()}
    assert shifts == {*range(-4, 5)}


# what is shown


def shown(name, bench, **filters):
    console = Console(width=240)
    with console.capture() as capture:
        console.print(side_by_side(name, Comparison(published(name, **filters), [bench])))
    return capture.get()


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "results", load, REDUCED)


@pytest.mark.parametrize("name", tables())
def test_each_mark_has_its_note_and_each_note_its_mark(name, bench):
    comparison = Comparison(tables()[name].cells, [bench])
    table = side_by_side("", comparison)
    head, *lines = (line for line in table.caption.plain.split("\n") if line not in comparison.warnings())
    assert head.startswith("published | ours ± std (n)")
    assert NETWORKS.get(name.split("-")[0], "") in head
    texts = [str(cell) for column in table.columns for cell in column.cells]
    marks = {
        int(n) for text in texts for found in re.findall(r" \[([\d, ]+)\]", text) for n in found.split(", ")
    }
    assert [line.split(" ")[0] for line in lines] == [f"[{n}]" for n in range(1, 1 + len(lines))]
    assert marks == {*range(1, 1 + len(lines))}
    said = {note for cell in tables()[name].cells for note in notes(cell)}
    assert {line.split(" ", 1)[1] for line in lines} == said


def test_a_mark_is_on_the_method_or_on_the_number(bench):
    text = shown("ddm-5", bench)
    assert "DataDAM [1] " in text
    assert "DataDAM+SM [1] " in text
    assert "IDM  " in text
    assert "[1] Published: batch norm" in text
    assert "[2] Published: IDM's code has 3 blocks" in text
    tiny = side_by_side("", Comparison(published("ddm-5", "tinyimagenet"), [bench]))
    cifar = side_by_side("", Comparison(published("ddm-5"), [bench]))
    assert "IDM [2]" in [*tiny.columns[0].cells]
    assert "IDM" in [*cifar.columns[0].cells]
    assert "21.9 ± 0.2 [2] | not measured" in [*cifar.columns[10].cells]
    hours = side_by_side("", Comparison(published("m3d-3", "imagenet10"), [bench]))
    assert "DSA [1]" in [*hours.columns[0].cells], "hours are not ours to run"


def test_what_is_odd_about_a_number_is_shown(bench):
    assert "5.1 ± 0.2 [1] | not measured" in shown("ddm-1", bench, dataset="tinyimagenet", method="dsa")
    assert "The published number: 5.1 as printed; implausible" in shown("ddm-1", bench, dataset="tinyimagenet")
    assert "likely copy error" in shown("iid-1", bench, dataset="cifar100")
    assert "l=1 (no partition)" in shown("iid-3", bench)
    assert "no such number" in shown("ddm-1", bench, dataset="cifar100", method="dc")
    assert "not reported" not in shown("idm-1", bench)


def test_only_what_was_measured_is_shown_with_its_notes(tmp_path):
    cells = published("ddm-5")
    fill(tmp_path, published("ddm-5", "cifar10", 10, "dm"))
    alone = side_by_side("", Comparison(cells, [Bench(tmp_path, None, PAPERS)]), measured=True)
    assert [c.header for c in alone.columns] == ["method", "cifar10, 10"]
    assert [[*c.cells] for c in alone.columns] == [["DM"], ["48.9 ± 0.6 | 48.9 ± 0.5 (2)\n3 min"]]
    assert "[" not in alone.caption.plain
    fill(tmp_path, published("ddm-5", "cifar10", 1, "datadam"), off=1)
    both = side_by_side("", Comparison(cells, [Bench(tmp_path, None, PAPERS)]), measured=True)
    assert [*both.columns[0].cells] == ["DM", "DataDAM [1]"]
    assert [*both.columns[1].cells] == ["26.0 ± 0.8 | not measured", "32.0 ± 1.2 | 33.0 ± 0.5 (2)\n3 min"]
    assert "[1] Published: batch norm" in both.caption.plain
    assert "3 blocks" not in both.caption.plain


def test_numbers_of_notes_go_by_their_order():
    marks = Footnotes()
    assert marks.mark([]) == ""
    assert marks.mark(["b", "a", "b"]) == " [1, 2]"
    assert marks.mark(["c", "a"]) == " [2, 3]"
    assert marks.lines() == ["[1] b", "[2] a", "[3] c"]


def test_without_a_published_number_there_is_nothing_to_note():
    (cell,) = published("iid-1", "svhn", 10, "datadam")
    assert runnable(cell)
    assert cell.mean is None
    assert notes(cell) == ()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Results of a row that is measured otherwise than printed and of one that is not."""
    folder = tmp_path_factory.mktemp("noted") / "results"
    own = Bench(folder, load, REDUCED)
    for work in own.missing([c for m in ("dm", "datadam") for c in published("ddm-5", "cifar10", 10, m)]):
        own.do(work)
    return folder


def test_rows_for_programs_have_the_note(done, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("cl_condense.data.datasets.load", load)
    quick = "--iterations 2 --real-per-class 4 --epochs 2 --width 8 --networks 2 --device cpu".split()
    words = "table ddm-5 --only cifar10 --ipc 10 --method dm --method datadam".split()
    assert call(*words, *quick, "--results", done, "--json", tmp_path / "t.json") == 0
    dm, datadam = json.loads((tmp_path / "t.json").read_text())["rows"]
    assert dm["note"] == ""
    assert datadam["note"].startswith("Published: batch norm")
    printed_text = capsys.readouterr().out
    assert re.search(r"DataDAM \[1\] +│ 54\.2 ± 0\.8 \| ", printed_text)
    assert "[1] Published: batch norm" in printed_text


def test_the_page_has_the_notes(done):
    html, markdown = (Path(path).read_text("utf-8") for path in write(done.parent))
    part = markdown.replace("\\", "").split("### DDM: ddm-1, ddm-5")[1].split("###")[0]
    assert "| DataDAM [1] | 54.2 ± 0.8 | " in part
    assert "- [1]: Published: batch norm in the networks" in part
    assert "3 blocks" not in part, "its column is not shown"
    assert "<dt>[1]</dt><dd>Published: batch norm in the networks" in html


def test_the_page_does_not_call_what_is_noted_as_published(done, tmp_path):
    full = Bench(tmp_path / "r", load, PAPERS | {"device": "cpu"})
    (cell,) = published("ddm-5", "cifar10", 10, "datadam")
    (work,) = full.works(cell)
    (own,) = Bench(done, load, REDUCED).works(cell)
    record = json.loads((done / "sets" / own.set_name()).with_suffix(".json").read_text())
    record |= PAPERS | {"iterations": None, "real_per_class": None, "reuse": 1, "width": 128}
    (full.folder / "sets").mkdir(parents=True)
    (full.folder / "sets" / work.set_name()).with_suffix(".json").write_text(json.dumps(record))
    score = {"work": work.identity(), "accuracies": [0.5], "device": "cpu", "seconds": 1.0}
    (full.folder / "scores.jsonl").write_text(json.dumps(score) + "\n")
    text = write(full.folder)[1].read_text("utf-8")
    assert "Measured at the papers' settings but for what the notes below the table say." in text
    assert "datadam, 1800 epochs" in text
