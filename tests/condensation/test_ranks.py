"""Ranks that share the classes of a set: what they make is what one process makes."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import rank_processes
import torch

from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.condensation.shares import shared_out

SCRIPT = Path(rank_processes.__file__)
EXACT = "dm,ddm,m3d,datadam,idm,dm+iid,dance,large dance,mixing dm,cafe,frepo,dd,ld,frepo+labels".split(",")
"""Bit for bit: of each class alone, or compared and trained in one order."""

ROUNDED = ["dcc", "idc"]
"""Weights' gradients of several classes are computed together, a few at a time, and added up by rank."""

RESUMED = ["dm", "large dance", "large idm", "dcc", "frepo+labels"]


def codes(*works):
    """Exit codes of the ranks of each work."""
    lines = " / ".join(shlex.join(map(str, work)) for work in works)
    done = subprocess.run(
        [sys.executable, SCRIPT, lines], check=False, capture_output=True, text=True, timeout=300
    )
    assert done.stderr == ""
    return [[int(code) for code in line.split()] for line in done.stdout.split("\n")[1::2]]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="it has no fork")
def test_images_do_not_depend_on_the_number_of_ranks(tmp_path):
    """Of 1, 2 and 3; and those of work that one begins, two go on with and three end."""
    folder, resumed = tmp_path / "images", tmp_path / "resumed"
    folder.mkdir()
    resumed.mkdir()
    every, some = ",".join([*EXACT, *ROUNDED]), ",".join(RESUMED)
    assert [rank_processes.images(resumed, 2, name) for name in RESUMED] == [None] * len(RESUMED)
    two = [(2, "images", folder, 0, every), (2, "images", resumed, 2, some)]
    three = [(3, "images", folder, 0, every), (3, "images", resumed, 0, some)]
    assert codes(*two, *three) == [[0] * 2, [0] * 2, [0] * 3, [0] * 3]
    assert set(torch.load(resumed / "2.pt").values()) == {None}
    found = {
        n: torch.load(place / f"{n[0]}.pt")
        for n, place in {"2": folder, "3": folder, "3 resumed": resumed}.items()
    }
    alone = {name: rank_processes.images(folder, 0, name) for name in {*EXACT, *ROUNDED, *RESUMED}}
    far = {
        (n, name): float((own - alone[name]).abs().max())
        for n, each in found.items()
        for name, own in each.items()
    }
    assert len(far) == 2 * len([*EXACT, *ROUNDED]) + len(RESUMED)
    assert {which: gap for which, gap in far.items() if gap > (1e-5 if which[1] in ROUNDED else 0)} == {}


@pytest.mark.parametrize(
    ("costs", "size", "expected"),
    [
        ([1] * 10, 3, (3, 4, 3)),
        ([1] * 3, 3, (1, 1, 1)),
        ([9, 1, 1, 1], 2, (1, 3)),
        ([1, 1, 1, 9], 2, (3, 1)),
        ([9, 1, 1, 1], 3, (1, 1, 2)),
        ([1, 1, 9], 3, (1, 1, 1)),
        ([5, 5], 1, (2,)),
    ],
)
def test_classes_are_shared_out_by_their_costs_and_every_rank_gets_one(costs, size, expected):
    ranks = Ranks()
    ranks.size = size
    assert shared_out(costs, ranks).sizes == expected


def test_one_process_is_its_own_leader():
    assert ALONE.leads
    assert ALONE.once(lambda: 3) == 3
    assert ALONE.record() == {}
