"""Files that are either the old one or the whole new one, never a half."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    finally:
        temporary.unlink(missing_ok=True)
