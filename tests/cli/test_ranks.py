"""Commands of several ranks: one reads, writes and prints, and when one dies the same command goes on."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rank_processes
from commands import accuracies, call

import cl_condense
from cl_condense.condensation.condensed_set import CondensedSet

SCRIPT = Path(rank_processes.__file__)
LONG = "condense --method dm --ipc 2 --width 8 --iterations 120 --real-per-class 8 --device cpu".split()
SMALL = "--width 8 --device cpu".split()
RUN = "run --steps 4 --orders 1 --networks 1 --method dm --iterations 4 --epochs 2".split() + SMALL
BAD = {
    "unknown": (["condense", "--method", "ddmm"], "unknown method 'ddmm'"),
    "late": (["condense", "--ipc", "1", *SMALL, "--out", "{folder}/there.safetensors"], "is there already"),
    "online": (["run", "--scenario", "online", "--ipc", "2", *SMALL], "--scenario online under torchrun"),
}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no fork")


def commands(works, streams, begun):
    """Exit codes of commands of two ranks; rank 1 of the first is killed once ``begun`` is there."""
    lines = [["2", "command", streams / name, *words] for name, words in works.items()]
    command = [sys.executable, SCRIPT, " / ".join(shlex.join(map(str, line)) for line in lines)]
    codes = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for number in range(len(works)):
            children = [int(child) for child in process.stdout.readline().split()]
            if number == 0:
                wait_for(begun, process)
                os.kill(children[1], signal.SIGKILL)
            codes.append([int(code) for code in process.stdout.readline().split()])
    return dict(zip(works, codes, strict=True))


def wait_for(path, process):
    deadline = time.monotonic() + 240
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def said(streams, name, rank):
    """What a rank wrote, to both streams."""
    return [(streams / name / f"{rank}.{stream}").read_text() for stream in ("out", "err")]


def same(one, other):
    return CondensedSet.load(one).pixels.equal(CondensedSet.load(other).pixels)


@pytest.mark.slow
def test_commands_of_two_ranks(tmp_path):
    """One of which a rank dies, which torchrun's go on with; bad ones; and a run, beside one process's."""
    two, one, streams = tmp_path / "two", tmp_path / "one", tmp_path / "streams"
    condensing, running = [*LONG, "--out", two / "set.safetensors"], [*RUN, "--out", two / "run"]
    bad = {name: [word.format(folder=two) for word in words] for name, (words, _) in BAD.items()}
    for folder in (two, one, *(streams / name for name in ("killed", *bad, "run"))):
        folder.mkdir(parents=True)
    (two / "there.safetensors").touch()
    codes = commands({"killed": condensing, **bad, "run": running}, streams, two / "set.checkpoint")

    assert codes.pop("killed") == [1, -signal.SIGKILL]
    out, error = said(streams, "killed", 0)
    gone = (
        "Error: another rank has ended before its work was done: the same command goes on from the last state"
    )
    assert (out, "Traceback" in error) == ("", False)
    assert error.splitlines()[-1].startswith(gone)
    again = torchrun(*condensing)
    assert again.returncode == 0, again.stderr
    assert not (two / "set.checkpoint").exists()
    assert call(*LONG, "--out", one / "set.safetensors") == 0
    assert same(two / "set.safetensors", one / "set.safetensors")
    records = [json.loads((folder / "set.json").read_text()) for folder in (two, one)]
    assert (records[0].pop("ranks"), records[0].keys()) == (2, records[1].keys())
    assert records[0]["losses"] == [[i, pytest.approx(loss, rel=1e-4)] for i, loss in records[1]["losses"]]

    assert codes.pop("run") == [0, 0]
    assert call(*RUN, "--out", one / "run") == 0
    assert accuracies(two / "run") == accuracies(one / "run")
    for file in (one / "run" / "memory").iterdir():
        assert same(two / "run" / "memory" / file.name, file)

    assert codes == {name: [2, 2] for name in BAD}
    for name, (_, message) in BAD.items():
        out, error = said(streams, name, 0)
        assert (out, error.count("\n"), message in error) == ("", 1, True), error
    assert [said(streams, name, 1) for name in ("run", *BAD)] == [["", ""]] * (1 + len(BAD))


def torchrun(*words):
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    own = {"PYTHONPATH": str(Path(cl_condense.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    line = [*run, "-m", "cl_condense", *map(str, words)]
    return subprocess.run(line, check=False, env=os.environ | own, capture_output=True, timeout=240)
