"""The outside world fails: one line, nothing half-written, and the same again goes on."""

import errno
import json
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from commands import call
from memories import class_memory, pixels_of
from outside import DISK, folder_of_images, forked, small_files
from PIL import Image
from small_runs import TINY

from cl_condense.cli.main import main
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.export import export
from cl_condense.condensation.formats.read import read
from cl_condense.reports.html import write
from cl_condense.runs import records
from cl_condense.runs.config import CondenseConfig
from cl_condense.runs.incremental import Run
from cl_condense.runs.single import Job, run

REAL = pixels_of(1, 3, 10, n=8)
JOB = CondenseConfig("digits", "dm", ipc=2, iterations=2, real_per_class=4, width=8, depth=1)
RUN = TINY.changed(methods=("random",), orders=1, networks=1, epochs=1, steps=1)
TIMES = ("seconds", "condense_seconds", "train_seconds", "peak_bytes")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A condensed set in a file."""
    path = tmp_path_factory.mktemp("made") / "set.safetensors"
    run(Job(replace(JOB, method="random"), path), REAL)
    return path


def exported(kind):
    return lambda folder, made: export(
        CondensedSet.load(made), folder / ("out" if kind == "png" else f"out.{kind}"), kind
    )


def remembered(folder, made):
    memory = class_memory(12)
    memory.update(REAL)
    memory.save(folder / "memory.safetensors")


def recorded(folder, made):
    for i in range(2):
        if len(records.lines(folder / "r.jsonl", lambda r: r["i"], ["accuracies"])) == i:
            records.append(folder / "r.jsonl", {"i": i, "accuracies": [0.5]})


def reported(folder, made):
    write(made.parent, folder / "report.html")


WORKS = {
    "condense": lambda folder, made: run(Job(JOB, folder / "set.safetensors"), REAL),
    "run": lambda folder, made: Run(RUN, REAL, REAL, folder / "run")(),
    "export pt": exported("pt"),
    "export npz": exported("npz"),
    "export png": exported("png"),
    "memory": remembered,
    "records": recorded,
    "report": reported,
}


def whole(path):
    """What a file says, but for how long it took; an error where it is half-written."""
    if path.suffix in (".json", ".jsonl"):
        texts = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        return [{k: v for k, v in json.loads(text).items() if k not in TIMES} for text in texts]
    if path.suffix == ".safetensors":
        return CondensedSet.load(path).pixels.tolist()
    if path.suffix == ".png":
        with Image.open(path) as picture:
            picture.load()
            return picture.size
    return len(path.read_bytes()) > 0


def told(folder):
    """All that is in a folder, but for locks; an error where something is half-written, or is left behind."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".lock" not in path.name]
    assert not [path for path in files if path.name.startswith(".")]
    return {str(path.relative_to(folder)): whole(path) for path in files}


def one_line(error, *words):
    assert "\n" not in str(error)
    assert all(word in str(error) for word in words), str(error)


@pytest.mark.parametrize("name", WORKS)
def test_whichever_write_fails_nothing_is_half_written_and_the_same_goes_on(name, made, tmp_path):
    work = WORKS[name]
    (tmp_path / "whole").mkdir()
    with DISK.failing(tmp_path / "whole") as disk:
        work(tmp_path / "whole", made)
    expected, count = told(tmp_path / "whole"), disk.count
    assert count > 1
    for at in range(1, count + 1):
        folder = tmp_path / str(at)
        folder.mkdir()
        try:
            with DISK.failing(folder, at):
                work(folder, made)
        except (OSError, ValueError) as error:
            one_line(error, "No space left on device", str(folder))
        left = told(folder)
        assert all(left[k] == expected[k] for k in left.keys() & expected.keys() if ".jsonl" not in k), at
        if not (name == "condense" and "set.safetensors" in left) and not [*folder.glob("out*")]:
            work(folder, made)
        assert told(folder) == expected, at


@pytest.mark.parametrize(
    ("name", "most"),
    [(name, 10) for name in WORKS if name != "records"] + [("condense", 700), ("run", 700), ("export pt", 700)],
)
def test_a_write_that_ends_half_way_leaves_nothing_of_it(most, name, made, tmp_path):
    with small_files(most), pytest.raises((OSError, ValueError)) as error:
        WORKS[name](tmp_path, made)
    one_line(error.value, "File too large", str(tmp_path))
    told(tmp_path)
    WORKS[name](tmp_path, made)


def test_a_record_that_does_not_fit_leaves_the_lines_before_it(tmp_path):
    path = tmp_path / "records.jsonl"
    records.append(path, {"a": 1})
    with small_files(20), pytest.raises(ValueError, match="File too large"):
        records.append(path, {"a": "x" * 100})
    assert path.read_text() == '{"a": 1}\n'


# the command line


def command(*words):
    return partial(main, [str(word) for word in words])


def test_a_full_disk_is_one_line_with_the_file_and_what_to_do(made, tmp_path, capsys):
    with DISK.failing(tmp_path, 1):
        assert call("export", made, "--format", "npz", "--out", tmp_path / "a.npz") == 2
    said = f"Error: --out {tmp_path / 'a.npz'} cannot be written (No space left on device): make room, "
    assert capsys.readouterr().err == said + "and the same command goes on\n"
    with DISK.failing(tmp_path, 1, errno.EROFS):
        assert call("export", made, "--format", "png", "--out", tmp_path / "a") == 2
    assert capsys.readouterr().err == (
        f"Error: --out {tmp_path / 'a'} cannot be written (Read-only file system): name another folder\n"
    )
    assert list(tmp_path.iterdir()) == []


def pipe_without_reader():
    out, end = os.pipe()
    os.close(out)
    return end


def test_a_pipe_that_is_closed_ends_no_work(tmp_path):
    """As of ``run | head -0``: the pictures are there, and the exit code is that of Python and click."""
    end = pipe_without_reader()
    words = "run --steps 2 --method random --orders 1 --networks 1 --epochs 1 --width 8 --device cpu --out"
    code, _, err = forked(command(*words.split(), tmp_path / "run"), stdout=end)
    os.close(end)
    assert code == 1, err
    assert b"Traceback" not in err
    assert b"Error" not in err
    assert {"accuracy.png", "memory.png", "records.jsonl"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }


def test_a_stdout_that_is_full_is_said_at_the_end(made, tmp_path):
    full = os.open("/dev/full", os.O_WRONLY)
    code, _, err = forked(command("export", made, "--format", "npz", "--out", tmp_path / "a.npz"), stdout=full)
    os.close(full)
    assert (code, err) == (2, b"Error: the standard output did not take all (No space left on device)\n")
    assert (tmp_path / "a.npz").exists()


def test_a_stdout_that_is_closed_is_refused_before_the_work(made, tmp_path):
    words = "export", made, "--format", "npz", "--out", tmp_path / "a.npz"
    code, _, err = forked(command(*words), stdout="closed")
    assert code == 2
    assert err == b"Error: the standard output is closed: send it to a file, or to /dev/null\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_utf_8_shows_what_it_can(encoding, tmp_path):
    data = folder_of_images(tmp_path / "data", "Äpfel", "猫", "owl")
    words = "run --steps 1 --method random --ipc 1 --orders 1 --networks 2 --epochs 1 --width 8".split()
    words += ["--device", "cpu", "--dataset", "folder", "--data", data, "--out", tmp_path / "run ü"]
    code, out, err = forked(command(*words), encoding=encoding)
    assert (code, b"Traceback" in err) == (0, False), err
    assert b" +- " in out if encoding == "ascii" else b" \xb1 " in out
    assert (tmp_path / "run ü" / "memory.png").exists()


@pytest.mark.skipif(os.name != "posix", reason="names of bytes are POSIX")
def test_paths_that_are_no_utf_8_are_written_and_shown_as_they_are(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/f\xff"))
    data = folder_of_images(folder, b"cl\xffss", "owl")
    words = "condense --dataset folder --method random --ipc 1 --device cpu --data".split()
    code, out, err = forked(command(*words, data, "--out", folder / "set.safetensors"))
    assert (code, b"Traceback" in err) == (0, False), err
    assert os.fsencode(folder) + b"/set.safetensors" in out
    for kind in ("pt", "npz", "png"):
        words = (
            "export",
            folder / "set.safetensors",
            "--format",
            kind,
            "--out",
            folder / ("a" if kind == "png" else f"a.{kind}"),
        )
        code, out, err = forked(command(*words))
        assert (code, err) == (0, b"")
    for name in ("a.pt", "a"):
        assert len(read(folder / name, ((0.5,), (0.2,))).set) == 2
    code, out, err = forked(command("report", folder))
    assert (code, err) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="limits of address space are Linux's")
def test_memory_that_runs_out_is_one_line(tmp_path):
    words = "condense --method dm --ipc 1 --iterations 1 --width 8192 --depth 2 --device cpu --out".split()
    code, out, err = forked(command(*words, tmp_path / "set.safetensors"), memory=2**28)
    last = err.decode().splitlines()[-1]
    assert (code, out) == (2, b"")
    assert re.match(r"Error: (the memory ran out \(.*the same command goes on|a network .*: give less)$", last)
    assert told(tmp_path) == {}
