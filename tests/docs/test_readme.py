"""The numbers of README.md are those of the records."""

import json
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from cl_condense.papers.beside import Comparison
from cl_condense.papers.published import tables
from cl_condense.reports.html.found import benches

HOME = Path(__file__).parents[2]
README = (HOME / "README.md").read_text()


def rows(header):
    """Cells of the rows of the table with this header."""
    start = README.index(header)
    lines = README[start : README.index("\n\n", start)].splitlines()[2:]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def number(mean, std):
    return f"{mean:.1f} ± {std:.1f}" if std else f"{mean:.1f}"


def test_published_and_ours_are_those_of_the_campaign():
    found = benches(HOME / "docs" / "campaign", lambda name, why: pytest.fail(f"{name}: {why}"))
    cells = [cell for table in tables().values() for cell in table.cells]
    pairs = Comparison([c for c in cells if (c.dataset, c.ipc) == ("cifar10", 10)], found).pairs
    largest = {}  # of sets at several settings those with the most networks, whatever their accuracy
    for pair in sorted((pair for pair in pairs if pair.published), key=attrgetter("n")):
        largest[pair.cell.name, pair.published] = pair
    measured = {
        (f"`{name}`", number(*published), number(pair.mean, pair.std))
        for (name, published), pair in largest.items()
    }
    shown = rows("| CIFAR-10, 10 images per class | published | ours |")
    assert len(shown) > 5
    assert {*shown} <= measured
    assert "n = 5 networks, one set, seed 0; of `dm` n = 10, two sets" in " ".join(README.split())
    several = {name: pair.n for (name, _), pair in largest.items() if pair.n != 5}
    assert several["dm"] == 10


def test_the_stream_is_that_of_its_record():
    record = json.loads((HOME / "docs" / "records" / "cifar10-5.json").read_text())
    found = {}
    for row in record["rows"]:  # accuracies by step, of a method's class orders
        found.setdefault(f"`{row['method']}`", []).append(100 * np.array(row["accuracies"]))
    measured = set()
    for method, orders in found.items():
        every = np.concatenate(orders, 1)
        last = number(every[-1].mean(), every[-1].std())
        measured.add((method, last, f"{every.mean():.1f}"))
    assert {*rows("| CIFAR-10 after five steps | accuracy | average over the steps |")} == measured
    assert {len(row["accuracies"]) for row in record["rows"]} == {5}
