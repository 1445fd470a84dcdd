"""The numbers of README.md are those of the records."""

import json
import re
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
    measured = {
        (f"`{pair.cell.name}`", number(*pair.published), number(pair.mean, pair.std))
        for pair in Comparison([c for c in cells if (c.dataset, c.ipc) == ("cifar10", 10)], found).pairs
        if pair.published and pair.n == 5
    }
    shown = rows("| CIFAR-10, 10 images per class | published | ours |")
    assert len(shown) > 5
    assert {*shown} <= measured
    assert re.search(r"n = 5 networks, one set", README)


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
