"""Files that are the old one or the whole new one, paths that can be written, and one writer at a time."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = ".lock"
_held: dict[str, int] = {}  # threads of this process by the lock that they hold


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the folder of ``path`` that replaces it when the block ends without an error.

    The block writes the file and closes it. After an error the temporary file is gone and ``path`` is what
    it was. The temporary name keeps the suffix, since writers choose a format by it.
    """
    path = Path(path)
    # Not tempfile: its files are readable by their owner alone, and would stay so.
    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        # Without it a power cut may keep the new name and lose the bytes. Windows syncs writable files only.
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # the system knows no name, or one that is gone
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The same for a folder, which is not there yet: it comes with all that is in it, or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}")
    try:
        temporary.mkdir()
        yield temporary
        temporary.rename(path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def writing(path: str | os.PathLike[str], option: str = "--out", folder: bool = False) -> Iterator[None]:
    """Inside, no other process writes to a file, or to a folder of results; both may not be there yet.

    The lock is the kernel's: a process that is killed leaves none. A note beside it says who holds it. The
    thread that has it may ask again.

    Args:
        path: of the file or of the folder, which is made.
        option: what the message tells to give another of.
        folder: that ``path`` is a folder.

    Raises:
        ValueError: where another process, or thread, has it, and where nothing can be written.
    """
    path = Path(os.path.realpath(path))
    lock = path / _LOCK if folder else path.with_name(f".{path.name}{_LOCK}")
    if _held.get(str(lock)) == threading.get_ident():
        yield
        return
    note = lock.with_name(f"{lock.name}.json")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(str(lock))
        held.acquire(timeout=0)
    except Timeout:
        if not lock.exists():  # a folder that takes no files, such as /proc
            raise ValueError(f"{path} cannot be written: give another {option}") from None
        raise ValueError(f"{path} {_holder(note)}: wait until it ends, or give another {option}") from None
    except (OSError, NotImplementedError) as error:
        raise ValueError(f"{path} cannot be written ({_reason(error)}): give another {option}") from None
    try:
        _held[str(lock)] = threading.get_ident()
        with suppress(OSError):  # a full disk: the lock holds without a note
            note.write_text(json.dumps(_me()))
        yield
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)
        _held.pop(str(lock), None)
        held.release()


def writable(path: str | os.PathLike[str], option: str) -> None:
    """Leaves everything as it is.

    Raises:
        ValueError: where no file of this name can be written, once the folders above it are made.
    """
    path = Path(os.path.abspath(path))
    if os.path.lexists(path) and not path.is_file():
        raise ValueError(f"{option} {path} is there and no file: name a file")
    above = next(folder for folder in path.parents if os.path.lexists(folder))
    probe = above / f".{secrets.token_hex(8)}"
    try:
        probe.touch()
        probe.unlink()
        if path.exists():
            path.open("ab").close()
    except OSError as error:
        raise ValueError(f"{option} {path} cannot be written ({_reason(error)}): name another file") from None


def unused(folder: Path) -> bool:
    """Whether nothing is in a folder but what a process that was killed at once, or a lock, leaves."""
    ours = re.compile(rf"\.[0-9a-f]{{16}}(\..*)?|\{_LOCK}(\.json)?")
    return all(ours.fullmatch(p.name) or (p.is_dir() and not any(p.iterdir())) for p in folder.iterdir())


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _me() -> dict[str, str | int]:
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "command": command}


def _holder(note: Path) -> str:
    """Who holds a lock, as far as its note is to be believed: one that was killed may have left it."""
    try:
        said = json.loads(note.read_text())
        pid, host, since, command = (said[key] for key in ("pid", "host", "since", "command"))
        known = host != socket.gethostname() or _lives(int(pid))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        known = False
    if not known:
        return "is being written by another process"
    return f"is being written by process {pid} on {host} since {since} ({' '.join(str(command).split())})"


def _lives(pid: int) -> bool:
    if os.name != "posix":
        return True  # where asking would end it
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # another user's
    except (OSError, OverflowError):
        return False
    return True
