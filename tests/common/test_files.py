import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cl_condense.common.files import atomic, unused, writable, writing


def _save(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text)


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "records.csv"
    for text in ("old", "new"):
        _save(path, text)
        assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_lies_beside_with_the_same_suffix(tmp_path):
    path = tmp_path / "a.png"
    with atomic(str(path)) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        assert temporary != path
        temporary.touch()
        assert not path.exists()
    assert path.exists()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
    path, done = tmp_path / "a.txt", []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: done.append((os.fstat(descriptor).st_size, path.exists()))
    )
    _save(path, "four")
    assert done == [(4, False)]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_others_may_read_the_file_as_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    _save(tmp_path / "a", "")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_missing_folder_is_named(tmp_path):
    said = f"{tmp_path}/absent/a cannot be written (No such file or directory): give another path"
    with pytest.raises(ValueError, match=re.escape(said)):
        _save(tmp_path / "absent" / "a", "")


def test_a_block_that_writes_nothing_keeps_the_old_file(tmp_path):
    _save(tmp_path / "a", "old")
    with pytest.raises(ValueError, match="cannot be written"), atomic(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "old"


HOLD = """
import sys
from cl_condense.common.files import writing

with writing(sys.argv[1], folder=True):
    print("in", flush=True)
    input()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that writes in a folder; sent a line, it ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "in\n"
        yield process
        process.kill()


def refusal(path, **options):
    with pytest.raises(ValueError, match=r"\S") as error, writing(path, **options):
        pytest.fail("it was let in")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_second_process_is_told_who_writes_and_what_to_do(tmp_path, holder):
    said = refusal(tmp_path / "run", folder=True, option="--results")
    for word in (str(tmp_path / "run"), f"process {holder.pid}", socket.gethostname(), "since 20", "-c"):
        assert word in said
    assert said.endswith("wait until it ends, or give another --results")
    with writing(tmp_path / "other", folder=True), writing(tmp_path / "run.safetensors"):
        pass  # of others
    holder.communicate("\n")
    with writing(tmp_path / "run", folder=True):
        pass


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_process_that_is_killed_leaves_no_lock_and_its_note_is_not_believed(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    note = tmp_path / "run" / ".lock.json"
    assert json.loads(note.read_text())["pid"] == holder.pid
    assert unused(tmp_path / "run")
    left = note.read_text()
    with writing(tmp_path / "run", folder=True):
        assert json.loads(note.read_text())["pid"] == os.getpid()
        note.write_text(left)  # as one sees it before the holder has written its own
        said = in_a_thread(lambda: refusal(tmp_path / "run", folder=True))
        assert "is being written by another process" in said
        assert str(holder.pid) not in said
    assert not note.exists()


def in_a_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"pid": "x", "host": 1, "since": 2, "command": 3}'])
def test_a_damaged_note_does_not_confuse(note, tmp_path, holder):
    (tmp_path / "run" / ".lock.json").write_text(note)
    said = refusal(tmp_path / "run", folder=True)
    assert "is being written by" in said


def test_the_thread_that_has_the_lock_may_ask_again_and_another_may_not(tmp_path):
    with writing(tmp_path / "a"), writing(tmp_path / "a"):
        assert f"process {os.getpid()}" in in_a_thread(lambda: refusal(tmp_path / "a"))
    with writing(tmp_path / "a"):
        pass


def test_an_error_inside_gives_the_lock_back(tmp_path):
    with pytest.raises(KeyError), writing(tmp_path / "a"):
        raise KeyError
    assert in_a_thread(lambda: writing(tmp_path / "a").__enter__()) is None


@pytest.mark.parametrize("path", ["file/a", "file"])
def test_what_cannot_be_written_is_one_line(path, tmp_path):
    (tmp_path / "file").write_text("")
    said = refusal(tmp_path / path, folder=True)
    assert str(tmp_path / path) in said
    assert said.endswith("give another --out")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="Linux")
def test_a_folder_that_takes_no_files_is_no_other_process():
    assert refusal("/proc/x.safetensors") == "/proc/x.safetensors cannot be written: give another --out"
    with pytest.raises(ValueError, match=r"--json /proc/x\.json cannot be written"):
        writable("/proc/x.json", "--json")


@pytest.mark.parametrize("path", [".", "file/a", "missing/folder/../../folder"])
def test_a_path_that_no_file_can_have_is_refused(path, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"--json \S+ (cannot be written|is there and no file)") as error:
        writable(tmp_path / path, "--json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["file", "new", "missing/folder/new"])
def test_a_path_that_can_be_written_is_left_as_it_is(path, tmp_path):
    (tmp_path / "file").write_text("here")
    writable(tmp_path / path, "--json")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "here")]


KILLED = """
import os, sys
from cl_condense.common.files import atomic, writing
with writing(sys.argv[1]), atomic(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os._exit(1)  # nothing is tidied up, as after SIGKILL
"""


def test_what_a_killed_process_had_half_written_goes_with_the_next_writer(tmp_path):
    for name in ("set.json", "other.json"):
        subprocess.run([sys.executable, "-c", KILLED, tmp_path / name], check=False)
    half = {p for p in tmp_path.iterdir() if p.is_file() and p.read_text() == "half"}
    assert len(half) == 2
    with writing(tmp_path / "set.json"):
        assert len(half & set(tmp_path.iterdir())) == 1  # another's may be in the midst of a write
    with writing(tmp_path / "other.json"):
        assert not half & set(tmp_path.iterdir())


def test_in_a_folder_only_what_nobody_writes_any_more_goes(tmp_path):
    old, new, mine = (tmp_path / name for name in (".0123456789abcdef", ".123456789abcdef0.json", ".bashrc"))
    old.mkdir()
    (old / "a.png").write_text("")
    for path in (new, mine):
        path.write_text("")
    for path in (old, mine):
        os.utime(path, (0, 0))
    with writing(tmp_path, folder=True):
        assert {old, new, mine} & set(tmp_path.iterdir()) == {new, mine}


@pytest.mark.parametrize(
    ("names", "fresh"),
    [
        ([], True),
        ([".lock", ".lock.json", ".0123456789abcdef.json", "memory/"], True),
        (["notes.txt"], False),
        ([".bashrc"], False),
        (["memory/", "memory/a"], False),
    ],
)
def test_a_folder_is_unused_but_for_what_a_killed_process_leaves(names, fresh, tmp_path):
    for name in names:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).write_text("")
    assert unused(tmp_path) == fresh
