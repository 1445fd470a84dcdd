"""A set larger than what a process may take is condensed, trained on and tested on."""

import json
import subprocess
import sys

import pytest

WORK = ("dm", "dance", "herding", "run")
"""What draws batches, trains a pool on all, trains on and embeds all, and goes through a stream."""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit and what is counted are Linux's")
def test_work_on_a_set_larger_than_the_limit_gets_through(load, tmp_path):
    benchmark = load("beyond_memory")
    path, gib, room = tmp_path / "x.npy", 0.6, 0.45  # the work holds 0.25, a little more or less
    benchmark.written(path, gib)
    options = "--file", str(path), "--room", str(room), *(word for name in WORK for word in ("--one", name))
    command = [sys.executable, "-W", "ignore", benchmark.__file__, *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not ended.returncode, ended.stderr[-500:]
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [row["work"] for row in rows] == [*WORK]
    for row in rows:
        assert row["set_bytes"] > 0.99 * gib * 2**30
        assert row["anonymous_bytes"] < row["imported_bytes"] + room * 2**30 < row["peak_bytes"] + room * 2**30
