"""The papers' tables as printed: what a reproduction is compared with.

``data/published.csv`` has a row a number, of DDM (arXiv:2412.04748), IDM (arXiv:2307.09742), IID
(arXiv:2404.00563) and M3D (arXiv:2312.15927), and from NCFM (Wang et al., CVPR 2025), DANCE (arXiv:2406.01063)
and others the methods since; hard and soft labels have tables of their own. What is odd about a number is in
its notes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cl_condense.common.foreign import MOST_TEXT, one_line, reading
from cl_condense.common.suggest import choice
from cl_condense.methods.expressions import names_of
from cl_condense.methods.registry import build
from cl_condense.papers.titles import TITLES

COLUMNS = "source,table,dataset,ipc,method,condense_net,eval_net,metric,mean,std,notes"
"""The header of the file."""


_DATASETS = """digits mnist fashion_mnist svhn cifar10 cifar100 tinyimagenet imagenette imagewoof
    imagenet10 imagenet100 imagenet1k""".split()
_NETS = "convnet alexnet vgg11 resnet18 resnet10 resnet_ap10 densenet121".split()
# Without punctuation, in small letters: our name.
_OURS = {name.replace("_", ""): name for name in (*_DATASETS, *_NETS)} | {"imagenetsubset100": "imagenet100"}
_STYLE = ("ddm-fig1", "ddm-fig3a", "ddm-suppd", "ddm-suppe")
# Labels in small letters, some of a table or a data set of it alone, where they are not our names already: the
# method whose numbers they are.
_METHODS = {
    "dg(=dc)": "dc",
    "k-center": "k_center",
    "dm+cm": "dm+cov",
    **{f"{table} dm+mm": "dm+moments" for table in _STYLE},
    **{f"{table} dm+cm": "dm+gram" for table in _STYLE},
    **{f"{table} dm+mm+cm": "dm+sm" for table in _STYLE},
    "dm+mm+cm+icd": "ddm",
    "m3d w/o fac": "m3d+pixels",
    "m3d (linear)": "m3d_linear",
    "m3d (polynomial)": "m3d_polynomial",
    "dm+cc+cm": "dm+iid",
    "iid-7 iid(ours)": "idm+iid",  # where it has a budget of iid-1, the number is that of IDM+IID
    "dm+modelsampling": "dm+queue",
    "dm+modelsampling+distreg": "dm+queue+ce",
    "dm+modelsampling+distreg+aug(l=2)": "idm",
    "idm partition 1x1": "idm+pixels",
    "idm partition 2x2": "idm",
    "dm+2nd reg.": "dm+moment2",
    "dm+2nd&3rd reg.": "dm+moment2+moment3",
    "idc-i": "idc+pixels",
    "frepo": "frepo+labels",
    "ncfm without curation": "dance+cf",
    "dm w/ l_m3d": "dm+m3d",
    "idm w/ l_m3d": "idm+m3d",
    **{
        f"{table} idm": "idm+pixels"
        for table in ("idm-4", "idm-5", "idm-fig8", "idm-fig8a", "idm-fig8b", "iid-3")
    },
    **{f"{table} cafe": "cafe+dsa" for table in ("ddm-1", "ddm-4", "iid-1 svhn", "iid-4")},
}
# What is in a column, as a pattern and in words.
_SHAPES = {
    **dict.fromkeys(("source", "table", "method", "metric"), (r"(?s:\s*\S.*)", "text")),
    "dataset": (
        r"(?P<dataset>[^(]+?)(-CL)?( (?P<steps>[1-9]\d{0,2})-step)?(\(.*\))?",
        "one of " + ", ".join(_DATASETS),
    ),
    "ipc": (r"full|(?P<ipc>[1-9]\d{0,5})\??(/class)?(\(.*\))?", "a number of images such as 10, or full"),
    "mean": (r"(-?\d{1,9}(\.\d{1,9})?)?", "a number such as 48.9, or nothing"),
    "std": (r"(\d{1,9}(\.\d{1,9})?)?", "a number such as 0.6, or nothing"),
}


@dataclass(frozen=True)
class Cell:
    """One number of a table.

    Attributes:
        table: such as ``ddm-1``.
        dataset: our name.
        ipc: images per class; None: the whole data set.
        method: as printed.
        name: ours; None for a method that we lack.
        condense_net, eval_net: our names, as printed where we have none; ``selection`` and ``none`` condense
            nothing.
        metric: what the number is.
        mean, std: None where the paper gives none.
        notes: what is odd about the number.
        steps: of class-incremental learning, where stated.
        depth: of the ConvNets, where stated.
        after: the iterations of condensation, or the share of them, that the set has gone through, such as
            ``10%``; empty for all.
        moments: those of all cells of the same condensation.
        classes: that were seen of a stream; None: all.
    """

    table: str
    dataset: str
    ipc: int | None
    method: str
    name: str | None
    condense_net: str
    eval_net: str
    metric: str
    mean: float | None
    std: float | None
    notes: str = ""
    steps: int | None = None
    depth: int | None = None
    after: str = ""
    moments: tuple[str, ...] = ()
    classes: int | None = None


class Table(NamedTuple):
    """A table of a paper, and what it shows."""

    name: str
    title: str
    cells: tuple[Cell, ...]


Column = tuple[str | int | None, ...]


class Pivot(NamedTuple):
    """What a column is (``dataset``, ``ipc``, what else differs), the columns, and the cells of rows in them.

    A row without a cell in a column has an empty tuple there; one with several that compete has them all.
    """

    fields: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: dict[str, tuple[tuple[Cell, ...], ...]]


def tables() -> dict[str, Table]:
    """All tables by name, those of a paper together and in its order."""
    return {n: Table(n, title, tuple(c for c in _cells() if c.table == n)) for n, title in TITLES.items()}


def published(
    name: str, dataset: str | None = None, ipc: int | None = None, method: str | None = None
) -> list[Cell]:
    """The cells of a table: all, or those of a data set, of images per class, of a method (ours or as printed).

    Raises:
        ValueError: for what the table does not have, with what it has.
    """
    choice("table", name, TITLES)
    cells = [c for c in _cells() if c.table == name]
    if dataset is not None:
        choice(f"data set of {name}", dataset, (c.dataset for c in cells))
        cells = [c for c in cells if c.dataset == dataset]
    if ipc is not None:
        choice(f"ipc of {name}", str(ipc), (str(c.ipc) for c in cells if c.ipc))
        cells = [c for c in cells if c.ipc == ipc]
    if method is not None:
        choice(f"method of {name}", method, (n for c in cells for n in _called(c)))
        cells = [c for c in cells if method in _called(c)]
    return cells


def pivot(cells: Sequence[Cell]) -> Pivot:
    """Rows of methods in the order of the cells; columns of data sets, in that order, and images per class."""
    more = [
        f
        for f in ("steps", "classes", "eval_net", "metric", "after")
        if len({getattr(c, f) for c in cells}) > 1
    ]
    fields = ("dataset", "ipc", *more)
    nets = {c.condense_net for c in cells} - {"selection", "none"}
    datasets = list(dict.fromkeys(c.dataset for c in cells))
    ordered = sorted(cells, key=lambda c: (datasets.index(c.dataset), c.ipc is None, c.ipc or 0))
    columns: list[Column] = list(dict.fromkeys(tuple(getattr(c, f) for f in fields) for c in ordered))
    rows: dict[str, list[list[Cell]]] = {}
    for c in cells:
        label = f"{c.method} ({c.condense_net})" if len(nets) > 1 and c.condense_net in nets else c.method
        row = rows.setdefault(label, [[] for _ in columns])
        row[columns.index(tuple(getattr(c, f) for f in fields))].append(c)
    return Pivot(fields, tuple(columns), {label: tuple(map(tuple, row)) for label, row in rows.items()})


def read(path: str | Path) -> list[Cell]:
    """The cells of a CSV file in UTF-8 with our columns (``COLUMNS``).

    Raises:
        ValueError: for a file that is not there or no such table, with line, value and what belongs there.
    """
    wanted = f"give a CSV file in UTF-8 with the first line {COLUMNS}"
    with reading(path, "UTF-8", wanted, MOST_TEXT):
        lines = csv.reader(io.StringIO(Path(path).read_text("utf-8-sig")), strict=True)
    cells: list[Cell] = []
    try:
        if (header := ",".join(next(lines, []))) != COLUMNS:
            raise ValueError(f"the header is {header[:80]!r}: {wanted}")
        cells += (_cell(values) for values in lines if values)
        if not cells:
            raise ValueError(f"'' follows the header: give a row with {COLUMNS}")
    except (ValueError, csv.Error) as error:
        raise one_line(f"{path}, line {max(lines.line_num, 1)}: {error}") from None
    return cells


def _called(cell: Cell) -> list[str]:
    """What a cell's method is called: ours, with its settings and without, and as printed."""
    ours = [cell.name, "+".join(names_of(cell.name))] if cell.name else []
    return list(dict.fromkeys([*ours, cell.method]))


def _cell(values: Sequence[str]) -> Cell:
    columns = COLUMNS.split(",")
    if len(values) != len(columns):
        raise ValueError(f"{','.join(values)[:80]!r} has {len(values)} columns: there must be {len(columns)}")
    row = dict(zip(columns, values, strict=True))
    parts: dict[str, str] = {}
    for column, (shape, expected) in _SHAPES.items():
        match = re.fullmatch(shape, row[column], re.ASCII)
        if not match or (column == "dataset" and _ours(match["dataset"]) not in _DATASETS):
            raise ValueError(f"{column} is {row[column][:80]!r}: it must be {expected}")
        parts |= match.groupdict()
    number = re.sub(r"^table|-text$|[(].*[)]$", "", row["table"].lower())
    table = f"{row['source'].lower()}-{number}"
    metric, after, classes = _moment(row["metric"])
    depth = re.search(r"(?i)convnet-(\d)", row["condense_net"] + " " + row["eval_net"])
    return Cell(
        table,
        _ours(parts["dataset"]),
        int(parts["ipc"]) if parts["ipc"] else None,
        row["method"],
        _name(table, _ours(parts["dataset"]), row["method"].lower()),
        _ours(row["condense_net"]),
        _ours(row["eval_net"]),
        metric,
        float(row["mean"]) if row["mean"] else None,
        float(row["std"]) if row["std"] else None,
        row["notes"],
        int(parts["steps"]) if parts["steps"] else None,
        int(depth[1]) if depth else None,
        after,
        classes=classes,
    )


def _moment(metric: str) -> tuple[str, str, int | None]:
    """What the number is, and of which moment: of a condensation, or of a stream."""
    if found := re.fullmatch(r"acc_after_([\d.]+%?)_of_iterations_%", metric):
        return "top1_acc_%", found[1], None
    if found := re.fullmatch(r"CL_acc_after_(\d+)_classes_%", metric):
        return "CL_acc_%", "", int(found[1])
    return metric, "", None


def with_moments(cells: Iterable[Cell]) -> list[Cell]:
    """Cells that know the moments of all cells of their condensation."""
    cells = [*cells]
    found: dict[Cell, dict[str, None]] = {}
    for cell in cells:
        if cell.after:
            found.setdefault(_condensation(cell), {})[cell.after] = None
    return [replace(cell, moments=(*found.get(_condensation(cell), ()),)) for cell in cells]


def _condensation(cell: Cell) -> Cell:
    """The same for all cells of one condensation."""
    return replace(cell, eval_net="", mean=None, std=None, notes="", after="", moments=())


def _ours(printed: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", printed.lower())
    return _OURS.get(re.sub(r"(?<=^convnet)\d$", "", plain), printed)


@cache
def _name(table: str, dataset: str, label: str) -> str | None:
    scopes = (f"{table} {dataset} ", f"{table} ", "")
    label, *settings = re.split(r", (?=\w+=)", label)
    ours = next((_METHODS[scope + label] for scope in scopes if scope + label in _METHODS), None)
    ours = ours or re.sub(r"[(](ours|baseline)[)]$", "", label)
    try:
        return build(f"{ours}@{','.join(settings)}" if settings else ours).name
    except ValueError:
        return None


@cache
def _cells() -> tuple[Cell, ...]:
    return tuple(with_moments(read(Path(__file__).parent / "published.csv")))
