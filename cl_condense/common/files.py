"""Files that are the old one or the whole new one, paths that can be written, and one writer at a time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from cl_condense.common.foreign import reason
from cl_condense.common.paths import path_of

_LOCK = ".lock"
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}(\..*)?")  # tempfile's own could be read by their owner alone
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_held: dict[str, int] = {}  # threads of this process by the lock that they hold


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the folder of ``path`` that replaces it when the block ends without an error.

    The block writes the file and closes it. After an error the temporary file is gone and ``path`` is what
    it was. The temporary name keeps the suffix, since writers choose a format by it.

    Raises:
        ValueError: where nothing can be written there, or the disk is full.
    """
    path = path_of("file", path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file")
    temporary = path.with_name(f".{_mark(path)}{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        # Without it a power cut may keep the new name and lose the bytes. Windows syncs writable files only.
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with suppress(OSError):  # where its folder is none
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The same for a folder, which is not there yet: it comes with all that is in it, or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{_mark(path)}{secrets.token_hex(4)}")
    try:
        temporary.mkdir()
        yield temporary
        temporary.rename(path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def writing(path: str | os.PathLike[str], option: str = "--out", folder: bool = False) -> Iterator[None]:
    """Inside, no other process writes to a file, or to a folder of results; both may not be there yet.

    The lock is the kernel's: a process that is killed leaves none. A note beside it says who holds it. The
    thread that has it may ask again. What a process left that was killed in the midst of a write is removed.

    Args:
        path: of the file or of the folder, which is made.
        option: what the message tells to give another of.
        folder: that ``path`` is a folder.

    Raises:
        ValueError: where another process, or thread, has it, and where nothing can be written.
    """
    path, real = Path(path), Path(os.path.realpath(path))
    lock = real / _LOCK if folder else real.with_name(f".{real.name}{_LOCK}")
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
        raise unwritable(path, error, f"give another {option}") from None
    try:
        _held[str(lock)] = threading.get_ident()
        with suppress(OSError):  # a full disk: the lock holds without a note
            note.write_text(json.dumps(_me()))
        sweep(path, folder)
        yield
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)
        _held.pop(str(lock), None)
        held.release()


def writable(
    path: str | os.PathLike[str],
    option: str,
    *,
    folder: bool = False,
    ours: Callable[[Path], bool] | None = None,
) -> None:
    """Leaves everything as it is.

    Args:
        path: of the file or of the folder.
        option: that gives it, for the message.
        folder: that it is a folder.
        ours: whether a file that is there may be replaced, or added to; without it any may.

    Raises:
        ValueError: where no file, or folder, of this name can be written, once the folders above it are made,
            and where a file is there that is not ours.
    """
    whole = Path(os.path.abspath(path))
    kind = "folder" if folder else "file"
    if os.path.lexists(whole) and not (whole.is_dir() if folder else whole.is_file()):
        raise ValueError(f"{option} {path} is there and no {kind}: name a {kind}")
    if ours and whole.exists() and whole.stat().st_size and not ours(whole):
        raise ValueError(f"{option} {path} is there and not of this command: name another {kind}")
    inside = (whole, *whole.parents) if folder else whole.parents
    probe = next(each for each in inside if os.path.lexists(each)) / f".{secrets.token_hex(8)}"
    try:
        probe.touch()
        probe.unlink()
        if not folder and whole.exists():
            whole.open("ab").close()
    except OSError as error:
        raise unwritable(f"{option} {path}", error, f"name another {kind}") from None


def content_hash(path: Path) -> str:
    """SHA-256 of what is in a file, 64 characters: what tells it from another of its name."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unused(folder: Path) -> bool:
    """Whether nothing is in a folder but what a process that was killed at once, or a lock, leaves."""
    empty = (p for p in folder.iterdir() if p.is_dir() and not any(p.iterdir()))
    left = {*empty, *(folder / f"{_LOCK}{suffix}" for suffix in ("", ".json"))}
    return all(p in left or _TEMPORARY.fullmatch(p.name) for p in folder.iterdir())


def sweep(path: Path, folder: bool = False) -> None:
    """Removes temporary files of ``path``, which its one writer alone can have left, when it was killed.

    Others may write into a folder beside its writer, a report say: there only what is older than a minute.
    """
    for each in path.rglob(".*") if folder else path.parent.glob(f".{_mark(path)}*"):
        with suppress(OSError):
            if not _TEMPORARY.fullmatch(each.name) or (folder and time.time() - each.stat().st_mtime < 60):
                continue
            shutil.rmtree(each) if each.is_dir() else each.unlink()


def unwritable(path: object, error: Exception, remedy: str = "give another path") -> ValueError:
    """What to raise where the system does not take a file; a full disk has a remedy of its own."""
    full = isinstance(error, OSError) and error.errno in _FULL
    remedy = "make room, and the same command goes on" if full else remedy
    return ValueError(f"{path} cannot be written ({reason(error)}): {remedy}")


def _mark(path: Path) -> str:
    """Begins the names of temporary files, by their target."""
    return hashlib.blake2b(os.fsencode(path.name), digest_size=4).hexdigest()


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
