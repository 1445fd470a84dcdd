"""Kills a command again and again, and compares what it leaves in the end with what an undisturbed one does.

    python tests/support/kills.py --data DIR --every 60 --times 30 --json kills.json

A command is ended at a random moment within ``--every`` seconds of each of its starts, by the signals in turn,
and goes on by the same command; after ``--times`` it is left alone. States are kept every half minute, as ever.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click
from safetensors.torch import load_file

from cl_condense.runs.provenance import command_line, origin

SIGNALS = {
    "KILL": [signal.SIGKILL],
    "TERM": [signal.SIGTERM],
    "INT": [signal.SIGINT],
    "INT twice": [signal.SIGINT] * 2,
}
CODES = {
    "KILL": {-signal.SIGKILL},
    "TERM": {143, -signal.SIGTERM},
    "INT": {130},
    "INT twice": {130, -signal.SIGINT},
}
OUT = {"run": "--out", "condense": "--out", "table": "--results", "evaluate": "--records"}
FILE = {"condense": "set.safetensors", "evaluate": "records.jsonl"}

_CIFAR = "--dataset cifar10 --data DIR --width 32 --device cpu"
LONG = {
    "run": f"--steps 2 --orders 1 --networks 2 --method dm --method random --ipc 5 --iterations 300 "
    f"--epochs 300 {_CIFAR}",
    "condense": f"--method ddm --ipc 5 --iterations 1000 {_CIFAR}",
    "table": "ddm-1 --only cifar10 --ipc 1 --method dm --method random --networks 2 --iterations 500 "
    "--width 32 --device cpu --data DIR",
}
"""Jobs of some minutes."""


def words(job, folder, options):
    """The command line of a job that leaves its results in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    where = folder / FILE[job] if job in FILE else folder
    return [job, *map(str, options), OUT[job], str(where)]


def left(folder):
    """What results say: accuracies by what they are of, and tensors; nothing that is a matter of time."""
    found = {}
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            own = json.dumps([record.get(key) for key in ("method", "order", "step", "work", "file")])
            found.setdefault(f"{path.relative_to(folder)} {own}", []).append(record["accuracies"])
    for path in sorted(folder.rglob("*.safetensors")):
        found[str(path.relative_to(folder))] = {k: v.tolist() for k, v in load_file(path).items()}
    return found


def start(command, log, keep=30.0, prepare=None):
    """A process that has its imports done and runs a command, with what it says in a file.

    Args:
        keep: seconds between states.
        prepare: called in the process before the command.

    Returns:
        the process, and a count of the states that it wrote.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cl_condense.cli.main", "cl_condense.runs.incremental"])
    ready, states = context.Event(), context.Value("i")
    process = context.Process(target=_run, args=(command, str(log), keep, prepare, ready, states))
    process.start()
    while not ready.wait(1):
        assert process.is_alive(), "it did not begin"
    return process, states


def _run(command, log, keep, prepare, ready, states):
    from cl_condense.cli.main import main
    from cl_condense.common import checkpoint

    with open(log, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    checkpoint.EVERY, write = keep, checkpoint.Checkpoint.write

    def counting(self, state):
        write(self, state)
        states.value += 1

    checkpoint.Checkpoint.write = counting
    if prepare:
        prepare()
    try:
        ready.set()
        main(command)
    except KeyboardInterrupt:  # before the command has begun
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what ends a process after a command is not the command's


def end(process, name):
    """Sends a process the signals of a name; its exit code."""
    for number in SIGNALS[name]:
        if process.exitcode is None:
            os.kill(process.pid, number)
            time.sleep(0.01)
    process.join(120)
    assert process.exitcode is not None, f"{name}: it does not end"
    return process.exitcode


def seconds(every):
    """Waits for a time within so many seconds."""
    return lambda process, states, draw: process.join(draw.uniform(0, every))


def states(most):
    """Waits until a process has written up to so many states, and a little more."""

    def wait(process, states, draw):
        wanted = draw.randint(0, most)
        while process.exitcode is None and states.value < wanted:
            time.sleep(0.001)
        process.join(draw.uniform(0, 0.02))

    return wait


def campaign(job, options, folder, *, wait, times, seed=0, keep=30.0, prepare=None):
    """Does a job undisturbed in ``folder/whole``, and with kills in ``folder/killed``; a record of both.

    ``wait`` is ``seconds`` or ``states``: when a process is ended.

    Raises:
        AssertionError: where a command ends otherwise than it should, says a traceback, or leaves others.
    """
    draw, killed, log = random.Random(seed), Counter(), folder / "log"
    begun = time.monotonic()
    whole, _ = start(words(job, folder / "whole", options), folder / "whole.log", keep, prepare)
    whole.join()
    assert whole.exitcode == 0, (folder / "whole.log").read_text()
    took = time.monotonic() - begun
    command, names = words(job, folder / "killed", options), list(SIGNALS)
    for number in range(times):
        (process, written), name = start(command, log, keep, prepare), names[number % len(names)]
        wait(process, written, draw)
        if process.exitcode is not None:
            break
        code = end(process, name)
        assert code in CODES[name] | {0}, f"{name}: {code}, {log.read_text()}"
        killed[name] += code != 0
    last, _ = start(command, log, keep, prepare)
    last.join()
    said = log.read_text()
    assert last.exitcode == 0, said
    assert "Traceback" not in said, said
    assert left(folder / "killed") == left(folder / "whole")
    # SIGKILL may leave the hidden file that was being written, which nobody reads
    rest = [path.name for path in (folder / "killed").rglob("[!.]*.checkpoint")]
    assert rest == []
    return {"seconds": round(took, 1), "killed": dict(killed), "equal": True}


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of CIFAR-10's files.")
@click.option("--job", "jobs", type=click.Choice(list(LONG)), multiple=True, help="Repeat.  [default: all]")
@click.option("--every", default=60.0, show_default=True, help="Seconds.")
@click.option("--times", default=30, show_default=True)
@click.option("--seed", default=0)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def main(data, jobs, every, times, seed, json_file):
    """Prints a record, or what did not hold."""
    record = {"kind": "kills", "command": command_line("python tests/support/kills.py"), **origin("cpu")}
    record |= {"seed": seed, "settings": {"every": every, "times": times}, "rows": []}
    for job in jobs or LONG:
        options = [str(data) if word == "DIR" else word for word in LONG[job].split()]
        with tempfile.TemporaryDirectory() as folder:
            found = campaign(job, options, Path(folder), wait=seconds(every), times=times, seed=seed)
        record["rows"].append({"job": f"{job} {LONG[job]}", **found})
        click.echo(json.dumps(record["rows"][-1]))
        if json_file:
            json_file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
