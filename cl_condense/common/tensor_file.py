"""Tensors with entries of JSON in a safetensors file, of one of our formats."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from cl_condense.common.files import atomic
from cl_condense.common.foreign import check_file, parse_object, reading, shown
from cl_condense.common.plain import Json

_SUM = "checksum"


class TensorFile(NamedTuple):
    """What is in a file: entries of its header, and tensors, by name."""

    entries: dict[str, Json]
    tensors: dict[str, Tensor]


def write(path: Path, form: str, tensors: Mapping[str, Tensor], **entries: Json) -> None:
    """Writes a file in one step; ``form`` is the name and the number of its format."""
    try:
        header = {"format": form, **{name: json.dumps(entry) for name, entry in entries.items()}}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} holds JSON ({error}): give text, numbers, and lists of them") from None
    kept = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    data = save(kept, metadata={**header, _SUM: _checksum(header, kept)})
    with atomic(path) as temporary:
        temporary.write_bytes(data)  # save_file leaves a file that its owner alone can read


def read(
    path: Path, forms: Sequence[str], names: Sequence[str], what: str, remedy: str, *, absent: str = ""
) -> TensorFile:
    """Reads what ``write`` wrote: nothing in the file is run, and tensors take no more bytes than it has.

    Args:
        path: of the file.
        forms: the formats that are read, the present one first.
        names: of the entries that are wanted.
        what: the file should be.
        remedy: what the message tells to do where it is not.
        absent: the same where there is no file, if that is something else.

    Raises:
        ValueError: for a file that is absent, damaged or of another format, in one line that names it.
    """
    check_file(path, absent or remedy)
    with reading(path, what, remedy), _named(path) as name, safe_open(name, framework="pt") as file:
        header = file.metadata() or {}
        found = header.get("format")
        if found in forms:
            entries = {name: parse_object(header[name]) for name in names}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if header.pop(_SUM, None) not in (None, _checksum(header, tensors)):  # earlier files have none
                raise ValueError("its checksum is another: bytes have changed since it was written")
            return TensorFile(entries, tensors)
    raise ValueError(f"{path} {_other(found, forms[0], what, remedy)}")


def _checksum(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """Of all that is in a file; against chance, not against malice."""
    found = zlib.crc32(json.dumps(sorted(header.items())).encode())
    for name, tensor in sorted(tensors.items()):
        found = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), found)
        found = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"


@contextmanager
def _named(path: Path) -> Iterator[str]:
    """A name of a file that safetensors takes: text in UTF-8."""
    name = os.fspath(path)
    if name == name.encode(errors="replace").decode():
        yield name
        return
    with path.open("rb") as file:
        yield f"/dev/fd/{file.fileno()}"


def _other(found: str | None, ours: str, what: str, remedy: str) -> str:
    """What to say of a file of another format."""
    kind, _, number = ours.rpartition(" ")
    theirs = re.fullmatch(rf"{re.escape(kind)} (\d{{1,9}})", str(found))
    if not theirs:
        return f"cannot be read as {what} (its format is {shown(repr(found))}, not {ours!r}): {remedy}"
    if int(theirs[1]) > int(number):
        return f"is {what} of a later version (format {found!r}, known is {ours!r}): update cl-condense"
    return f"is {what} of an earlier version (format {found!r}), which is read no more: {remedy}"
