"""The papers' tables: what is in them, which of our methods they name, and which files are refused."""

import csv
import importlib.util
from collections import Counter
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from cl_condense.methods.registry import build
from cl_condense.papers.published import COLUMNS, pivot, published, read, tables, with_moments
from cl_condense.papers.titles import TITLES

FILE = Path(importlib.util.find_spec("cl_condense").origin).parent / "papers" / "published.csv"
ROW = "MY,Table1,CIFAR10,10,DM,ConvNet-3,ConvNet-3,top1_acc_%,48.9,0.6,a note"
FIELDS = COLUMNS.split(",")

# What each label means, "IDM" without partition and "CAFE" with CAFE+DSA's numbers apart; what is not here must
# have no name.
NAMES = """CAFE cafe;CAFE+DSA cafe+dsa;DC dc;DCC dcc;DDM(Ours) ddm;DG(=DC) dc;DM dm;DM(baseline) dm;DM+CC dm+cc
DM+CC+CM dm+iid;DM+CM dm+cov;DM+IID dm+iid;DM+ModelSampling dm+queue;DM+ModelSampling+DistReg dm+queue+ce
DM+ModelSampling+DistReg+Aug(l=2) idm;DM+SM dm+sm;DSA dsa;DataDAM datadam;DataDAM+SM datadam+sm
Forgetting forgetting;Herding herding;IDC idc;IDM idm;IDM+IID idm+iid;IDM+SM idm+sm;IID(Ours) idm+iid
K-Center k_center;M3D m3d;Random random;DM+2nd Reg. dm+moment2;DM+2nd&3rd Reg. dm+moment2+moment3
IDC-I idc+pixels;IDM partition 1x1 idm+pixels;IDM partition 2x2 idm;DM w/ L_M3D dm+m3d;IDM w/ L_M3D idm+m3d
DANCE dance;NCFM without curation dance+cf;DM+MM dm+moments;DM+MM+CM dm+sm;DM+MM+CM+ICD ddm;IID iid
M3D w/o Fac m3d+pixels;M3D (linear) m3d_linear;M3D (polynomial) m3d_polynomial;DM+trained dm+trained
DM+queue dm+queue;FrePo frepo+labels;MTT mtt;DD dd;LD ld;dance4x4 dance4x4"""
NAMES = dict(entry.rsplit(" ", 1) for entry in NAMES.replace("\n", ";").split(";"))
UNNAMED = {"ATT", "DSDM", "NCFM", "WholeDataset", "IDM partition 3x3"}
UNNAMED |= {"DATM", "DREAM", "KIP", "SRe2L"}
UNNAMED |= {"DM+CC beta sweep 0.0-2.0"}
UNNAMED |= {"lambda_CC in [0.01,0.09] accuracy spread", "lambda_CM in [0.005,0.015] accuracy spread"}


def everything():
    return [cell for table in tables().values() for cell in table.cells]


def write(tmp_path, *rows, header=COLUMNS):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([header, *rows, ""]), "utf-8")
    return path


def row(**changes):
    return ",".join((dict(zip(FIELDS, ROW.split(","), strict=True)) | changes).values())


def refusal(path, *, line=None):
    with pytest.raises(ValueError, match="mine") as error:
        read(path)
    text = str(error.value)
    assert "\n" not in text
    assert str(path) in text
    assert line is None or f"line {line}:" in text
    return text


# our tables


def test_every_row_of_the_file_is_in_one_table():
    with FILE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(everything()) == len(set(everything())) == 1261
    printed = Counter((r["method"], r["mean"] and float(r["mean"]), r["notes"]) for r in rows)
    assert printed == Counter((c.method, "" if c.mean is None else c.mean, c.notes) for c in everything())
    for r, cell in zip(rows, with_moments(read(FILE)), strict=True):
        assert cell.table.startswith(r["source"].lower() + "-")
        assert cell in tables()[cell.table].cells


def test_tables_have_names_titles_and_cells():
    assert list(tables()) == list(TITLES)
    more = ["ddm-fig1", "ddm-fig3a", "ddm-fig3b", "ddm-suppd", "ddm-suppe"]
    assert [n for n in tables() if n.startswith("ddm")] == [*(f"ddm-{i}" for i in range(1, 6)), *more]
    assert {"idm-1", "idm-5", "idm-fig8", "iid-1", "iid-7", "m3d-1", "m3d-5"} <= set(tables())
    for name, table in tables().items():
        assert table.name == name
        assert table.title
        assert table.cells
        assert {cell.table for cell in table.cells} == {name}
    assert len({t.title for t in tables().values()}) == len(tables())
    assert [len(tables()[n].cells) for n in ("ddm-1", "idm-1", "iid-1", "m3d-2")] == [112, 136, 147, 155]


def test_tables_cannot_be_spoilt():
    tables().clear()
    assert tables()
    with pytest.raises(FrozenInstanceError):
        tables()["ddm-1"].cells[0].mean = 100.0


def test_labels_have_our_names_and_all_build():
    for cell in everything():
        label, *settings = cell.method.split(", ")
        if cell.method == "IDM" and (cell.table in ("idm-4", "idm-5", "iid-3") or "idm-fig8" in cell.table):
            assert cell.name == "idm+pixels"
        elif label == "DM+CM" and cell.table in ("ddm-fig3a", "ddm-suppd"):
            assert cell.name == "dm+gram"
        elif cell.method == "CAFE" and (cell.table in ("ddm-1", "ddm-4", "iid-4") or cell.dataset == "svhn"):
            assert cell.name == ("cafe" if cell.table == "m3d-2" else "cafe+dsa")
        else:
            own = NAMES.get(label)
            assert cell.name == (f"{own}@{','.join(settings)}" if settings else own), cell
            assert cell.name or cell.method in UNNAMED
    for name in {cell.name for cell in everything() if cell.name}:
        assert build(name).name == name


def test_notes_agree_where_idm_has_no_partition():
    for cell in everything():
        if cell.method == "IDM" and "l=1" in cell.notes:
            assert cell.name == "idm+pixels"


def test_values_are_in_our_words():
    assert {c.dataset for c in everything()} == set(
        "mnist fashion_mnist svhn cifar10 cifar100 tinyimagenet imagenette imagewoof "
        "imagenet10 imagenet100 imagenet1k".split()
    )
    nets = set("convnet alexnet vgg11 resnet18 resnet10 resnet_ap10 densenet121".split())
    assert {c.eval_net for c in everything()} - {""} == nets
    assert {c.condense_net for c in everything()} - {"selection", "none"} < nets
    assert {c.steps for c in published("idm-fig8")} == {5, 10}
    assert {c.steps for c in published("ddm-fig3b")} == {None}
    assert {c.ipc for c in published("idm-fig8") + published("ddm-fig3b")} == {20}
    assert all(c.ipc is None for c in everything() if c.method == "WholeDataset")
    assert {c.depth for c in published("idm-1", "tinyimagenet")} == {3}
    assert {c.depth for c in published("ddm-1", "tinyimagenet")} == {4}
    assert {c.depth for c in published("ddm-2")} == {None}


@pytest.mark.parametrize(
    ("name", "dataset", "ipc", "method", "mean", "std"),
    [
        ("ddm-1", "cifar10", 10, "ddm", 53.0, 0.2),
        ("ddm-1", "imagenet1k", 50, "dm", 11.4, 1.2),
        ("ddm-1", "tinyimagenet", 50, "dsa", 5.1, 0.2),  # as printed
        ("ddm-2", "cifar100", 10, "DDM(Ours)", 21.4, 0.4),
        ("ddm-3", "imagewoof", 10, "ddm", 34.5, 0.3),
        ("ddm-5", "cifar100", 50, "datadam+sm", 50.2, 0.2),
        ("ddm-fig3b", "cifar100", 20, "ddm", 39.9, None),
        ("idm-1", "imagenet100", 1, "idm", 11.2, 0.5),
        ("idm-1", "cifar10", 10, "cafe", 46.3, 1.6),
        ("idm-2", "cifar100", 10, "dm+queue", 32.0, 0.5),
        ("idm-2", "imagenet100", 10, "dm+queue+ce", 15.6, 0.4),
        ("idm-3", "imagenet100", 1, "idm+pixels", 5.4, 0.1),
        ("iid-1", "svhn", 10, "dm+iid", 75.7, 0.3),
        ("iid-1", "cifar100", 10, "k_center", 17.3, 0.2),
        ("iid-2", "tinyimagenet", 10, "idm+iid", 23.3, 0.1),
        ("iid-6", "cifar10", 10, "dm+cov", 51.6, 0.1),
        ("iid-7", "cifar10", 1000, "idm+iid", 80.31, None),
        ("m3d-2", "svhn", 10, "m3d", 83.3, 0.7),
        ("m3d-2", "fashion_mnist", 50, "dm", 88.1, 0.6),
        ("m3d-5", "cifar10", 50, "idm+m3d", 69.6, None),
    ],
)
def test_numbers_are_those_of_the_papers(name, dataset, ipc, method, mean, std):
    (cell,) = published(name, dataset, ipc, method)
    assert (cell.mean, cell.std) == (mean, std)


def test_numbers_by_network_steps_and_metric_are_those_of_the_papers():
    ddm = {(c.condense_net, c.eval_net): c.mean for c in published("ddm-4", method="ddm")}
    assert (ddm["convnet", "alexnet"], ddm["resnet18", "vgg11"]) == (48.7, 36.65)
    idm = {(c.condense_net, c.eval_net): (c.mean, c.std) for c in published("idm-5", method="dm")}
    assert idm["vgg11", "resnet18"] == (30.0, 1.0)
    assert {c.steps: c.mean for c in published("idm-fig8", method="dm")} == {5: 33.8, 10: 33.7}
    m3d = {c.metric: c.mean for c in published("m3d-3", "imagenet100", 20, "m3d")}
    assert m3d == {"top1_acc_%": 55.5, "condense_hours": 4.2}
    assert {c.eval_net: c.mean for c in published("m3d-4", ipc=50, method="m3d")}["densenet121"] == 66.1


def test_what_a_paper_does_not_report_has_no_mean():
    missing = [c for c in everything() if c.mean is None]
    assert len(missing) == 278
    assert all(c.std is None and c.notes for c in missing)


# filters


def test_filters_join():
    assert published("ddm-1") == list(tables()["ddm-1"].cells)
    assert {c.dataset for c in published("ddm-1", "cifar100")} == {"cifar100"}
    assert {c.ipc for c in published("ddm-1", ipc=50)} == {50}
    assert {c.method for c in published("ddm-1", method="ddm")} == {"DDM(Ours)"}
    assert published("ddm-1", method="dc") == published("ddm-1", method="DG(=DC)")
    assert len(published("ddm-1", "cifar10", 10)) == 9


@pytest.mark.parametrize(
    ("arguments", "wrong", "hint"),
    [
        (("ddm1",), "table 'ddm1'", "ddm-1"),
        (("ddm-1", "CIFAR10"), "data set of ddm-1 'CIFAR10'", "cifar10"),
        (("ddm-1", "cifar10", 20), "ipc of ddm-1 '20'", None),
        (("ddm-1", None, None, "herdin"), "method of ddm-1 'herdin'", "herding"),
        (("iid-2", "cifar10"), "data set of iid-2 'cifar10'", None),
        (("x\ny",), r"table 'x\ny'", None),
    ],
)
def test_unknown_values_are_refused_with_the_nearest(arguments, wrong, hint):
    with pytest.raises(ValueError, match="known are") as error:
        published(*arguments)
    text = str(error.value)
    assert "\n" not in text
    assert f"unknown {wrong}" in text
    assert hint is None or f"did you mean {hint!r}?" in text


def test_a_filter_lists_what_the_others_leave():
    with pytest.raises(ValueError, match=r"known are 1, 10$"):
        published("ddm-3", "imagenette", 50)


def test_a_label_is_the_method_whose_numbers_it_has():
    """CAFE has CAFE+DSA's numbers in some tables, and in one of them on SVHN alone."""
    numbers = {(c.dataset, c.ipc, c.mean) for c in published("m3d-2", method="cafe+dsa")}
    relabelled = [c for c in everything() if c.method == "CAFE" and c.name == "cafe+dsa" and c.mean]
    own = [c for c in relabelled if c.eval_net == c.condense_net]
    assert len(own) == 6 + 1 + 3 + 1
    assert {(c.dataset, c.ipc, c.mean) for c in own} <= numbers
    kept = [c for c in everything() if c.name == "cafe" and c.mean]
    assert not {(c.dataset, c.ipc, c.mean) for c in kept if c.dataset != "fashion_mnist"} & numbers


# rows and columns


def test_pivot_has_the_papers_rows_and_columns():
    p = pivot(published("ddm-1"))
    assert p.fields == ("dataset", "ipc")
    assert list(p.rows) == "Random Herding Forgetting DD DG(=DC) DSA DM CAFE DDM(Ours) WholeDataset".split()
    assert p.columns[:5] == (*(("cifar10", ipc) for ipc in (1, 10, 50, None)), ("cifar100", 1))
    assert [c.mean for (c,) in p.rows["DDM(Ours)"][:3]] == [27.9, 53.0, 65.6]
    assert p.rows["DM"][3] == ()
    assert p.rows["WholeDataset"][3][0].mean == 84.8


def test_pivot_tells_apart_what_differs():
    p = pivot(published("ddm-4"))
    assert p.fields == ("dataset", "ipc", "eval_net")
    assert [column[2] for column in p.columns] == ["convnet", "alexnet", "vgg11", "resnet18"]
    ddm = [f"DDM(Ours) ({net})" for net in ("convnet", "alexnet", "vgg11", "resnet18")]
    assert list(p.rows) == ["DSA (convnet)", "DM (convnet)", "CAFE (convnet)", *ddm]
    assert pivot(published("idm-fig8")).columns == (("cifar100", 20, 5), ("cifar100", 20, 10))
    assert pivot(published("m3d-3")).fields == ("dataset", "ipc", "metric")


@pytest.mark.parametrize("name", TITLES)
def test_pivot_loses_nothing(name):
    p = pivot(published(name))
    entries = [c for row in p.rows.values() for entry in row for c in entry]
    assert Counter(entries) == Counter(published(name))
    assert all(len(row) == len(p.columns) for row in p.rows.values())
    assert all(len(entry) <= 1 for row in p.rows.values() for entry in row)


def test_pivot_keeps_entries_that_compete():
    cell = published("ddm-1", "cifar10", 10, "dm")[0]
    other = replace(cell, mean=48.5, notes="another")
    assert pivot([cell, other]).rows == {"DM": ((cell, other),)}
    tiny = published("ddm-1", "tinyimagenet", 50, "dm") + published("idm-1", "tinyimagenet", 50, "dm")
    assert [c.mean for c in pivot(tiny).rows["DM"][0]] == [25.3, 24.1]
    assert pivot([]) == (("dataset", "ipc"), (), {})


# files of others


def test_a_file_of_ones_own(tmp_path):
    rows = [row(), "", row(dataset="CIFAR-100-CL 5-step", ipc="20/class", method="idm+sm", mean="", std="")]
    rows += [row(dataset="Fashion MNIST(28x28)", ipc="full", method="Mine", eval_net="ViT", notes='"a, ""b"""')]
    first, second, third = read(write(tmp_path, *rows))
    assert (first.table, first.name, first.mean, first.std, first.notes) == ("my-1", "dm", 48.9, 0.6, "a note")
    assert (second.dataset, second.steps, second.ipc, second.name) == ("cifar100", 5, 20, "idm+sm")
    assert (second.mean, second.std) == (None, None)
    assert (third.dataset, third.ipc, third.name) == ("fashion_mnist", None, None)
    assert (third.eval_net, third.notes) == ("ViT", 'a, "b"')


def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{COLUMNS}\r\n{ROW}\r\n".encode())
    assert len(read(str(path))) == 1


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("mean", "abc", "a number such as 48.9"),
        ("mean", "nan", "a number"),
        ("mean", "inf", "a number"),
        ("mean", "1e5", "a number"),
        ("mean", "-", "a number"),
        ("mean", " 48.9", "a number"),
        ("mean", "1_000", "a number"),
        ("mean", "9" * 400, "a number"),
        ("mean", "٤٨", "a number"),
        ("mean", "__import__('os').getcwd()", "a number"),
        ("std", "-0.6", "a number such as 0.6"),
        ("std", "0.6%", "a number such as 0.6"),
        ("ipc", "0", "a number of images"),
        ("ipc", "", "a number of images"),
        ("ipc", "1.5", "a number of images"),
        ("ipc", "9" * 5000, "a number of images"),
        ("dataset", "CIFAR11", "cifar10"),
        ("dataset", "", "cifar10"),
        ("dataset", "convnet", "cifar10"),
        ("dataset", "(32x32)", "cifar10"),
        ("source", "", "text"),
        ("table", " ", "text"),
        ("method", "", "text"),
        ("metric", "", "text"),
    ],
)
def test_values_that_make_no_sense_are_refused(tmp_path, column, value, expected):
    text = refusal(write(tmp_path, row(), row(**{column: value})), line=3)
    assert f"{column} is {value[:80]!r}" in text
    assert f"it must be {expected}" in text or expected in text.split("it must be ")[1]


def test_the_header_must_be_ours(tmp_path):
    for header in ("a,b,c", COLUMNS.replace("mean", "Mean"), COLUMNS + ",more", COLUMNS.replace(",", ";"), ROW):
        text = refusal(write(tmp_path, row(), header=header), line=1)
        assert header[:20] in text
        assert COLUMNS in text


def test_rows_must_have_all_columns(tmp_path):
    for wrong in (ROW + ",more", ROW.rsplit(",", 1)[0], "x"):
        text = refusal(write(tmp_path, row(), wrong), line=3)
        assert wrong[:20] in text
        assert f"{len(wrong.split(','))} columns: there must be 11" in text


def test_files_that_are_no_tables_are_refused(tmp_path):
    path = tmp_path / "mine.csv"
    for content in (b"", b"\n", COLUMNS.encode(), b"\x89PNG\r\n\x1a\n\0\0", b"\xff\xfeS\0o\0", b"\0" * 100):
        path.write_bytes(content)
        assert COLUMNS in refusal(path)
    path.write_bytes(f"{COLUMNS}\n{ROW}\n".encode() + b"caf\xe9" + ROW.encode())
    assert "0xe9" in refusal(path)
    refusal(write(tmp_path, row(), row(notes='"open')), line=3)
    refusal(write(tmp_path, row(notes='"a" b')), line=2)


def test_a_file_that_is_not_there_is_refused_in_one_line(tmp_path):
    assert "is not there" in refusal(tmp_path / "mine.csv")
    (tmp_path / "mine").mkdir()
    assert "is a folder, not a file" in refusal(tmp_path / "mine")
    with pytest.raises(ValueError, match="is not there") as error:
        read(tmp_path / "two\nlines.csv")
    assert "\n" not in str(error.value)


def test_a_label_that_we_do_not_know_has_no_name(tmp_path):
    cells = read(write(tmp_path, row(method="DMM"), row(method="random+sm"), row(method="ddm")))
    assert [c.name for c in cells] == [None, None, "ddm"]
