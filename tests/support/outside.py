"""A world that fails: disks that are full at the n-th write, streams that are closed, memory that runs out."""

import errno
import io
import os
import resource
import sys
from contextlib import contextmanager
from pathlib import Path

from trials import fork, limit_memory

_WRITING = os.O_WRONLY | os.O_RDWR


class Disk:
    """Counts what is written below a folder, and fails at one of it.

    Writes are files opened for writing, folders made, names changed and bytes brought to the disk.
    """

    def __init__(self):
        self.folder, self.count, self.fails, self.error = None, 0, 0, errno.ENOSPC
        self._sync = os.fsync
        sys.addaudithook(self._look)  # it stays, and does nothing without a folder

    @contextmanager
    def failing(self, folder, at=0, error=errno.ENOSPC):
        """Inside the write of this number fails; none of number 0, and ``count`` tells how many there are."""
        self.folder, self.count, self.fails, self.error = os.fspath(folder), 0, at, error
        os.fsync = self._synced
        try:
            yield self
        finally:
            self.folder, os.fsync = None, self._sync

    def _synced(self, number):
        self._write()
        self._sync(number)

    def _look(self, event, arguments):
        if self.folder is None or event not in ("open", "os.mkdir", "os.rename"):
            return
        path = arguments[0]
        if not isinstance(path, str | os.PathLike) or not os.fspath(path).startswith(self.folder + os.sep):
            return
        if event != "open" or self._writes(*arguments[1:]):
            self._write(os.fspath(path))

    def _writes(self, mode, flags):
        return bool(flags & _WRITING) if mode is None else any(letter in mode for letter in "wax+")

    def _write(self, *path):
        self.count += 1
        if self.count == self.fails:
            raise OSError(self.error, os.strerror(self.error), *path)


DISK = Disk()


def contents(folder):
    """The files below a folder and what is in them, but for locks."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and ".lock" not in path.name)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def forked(work, *, stdout=None, encoding="utf-8", memory=None):
    """Exit code, stdout and stderr of ``work()`` in a copy of this process, which has imported all already.

    Args:
        stdout: a descriptor to write to, or "closed"; else it comes back.
        encoding: of both streams.
        memory: bytes of address space beyond what the process has.
    """
    (out, out_end), (err, err_end) = os.pipe(), os.pipe()
    child = fork()
    if child == 0:
        try:
            os.dup2(out_end if stdout in (None, "closed") else stdout, 1)
            os.dup2(err_end, 2)
            for number in (out, out_end, err, err_end):
                os.close(number)
            _streams(stdout == "closed", encoding)
            if memory:
                limit_memory(memory)
            work()
        except SystemExit as end:
            os._exit(end.code or 0)
        except BaseException:
            import traceback

            os.write(2, traceback.format_exc().encode())
            os._exit(70)
        os._exit(0)
    os.close(out_end)
    os.close(err_end)
    with os.fdopen(out, "rb") as a, os.fdopen(err, "rb") as b:
        said = a.read(), b.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), *said


def _streams(closed, encoding):
    for number, name, errors in ((1, "stdout", "strict"), (2, "stderr", "backslashreplace")):
        stream = io.TextIOWrapper(io.BufferedWriter(io.FileIO(number, "w", closefd=False)), encoding, errors)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    if closed:
        os.close(1)
        sys.stdout = sys.__stdout__ = None


@contextmanager
def small_files(most):
    """Inside no file gets longer: a real write fails half-way. Python ignores the signal for it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def folder_of_images(folder, *names, n=5, size=8):
    """A data set of noise in class folders of these names, which may be bytes."""
    from PIL import Image

    for name in names:
        own = Path(os.fsdecode(os.path.join(os.fsencode(folder), os.fsencode(name))))
        own.mkdir(parents=True)
        for i in range(n):
            Image.effect_noise((size, size), 80).save(own / f"{i}.png")
    return folder
