"""Damaged files: what chance, and someone who knows the format, does to the bytes of a good one."""

import io
import json
import re
import struct
import zipfile
import zlib

DEEP = 100_000
ODD = [
    *(0, -1, 1, 2, 3, 255, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 10**400),
    *(0.5, -0.0, 1e-400, 1e308, -1e308, float("inf"), float("nan")),
    *(None, True, False, "", "x", "1", "../../x", "\0", "\ud800", "é" * 300, [], {}, [[]], {"a": {}}, [0, 1]),
]
"""Values for the place of any other."""


def _odd(draw):
    return draw.choice(ODD)


def cut(data, draw):
    return data[: draw.randrange(len(data) + 1)]


def flipped(data, draw):
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 8, 64))):
        if changed:
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def overwritten(data, draw):
    """A run of other bytes, most of them in the first part, where formats have their headers."""
    start = draw.randrange(draw.choice((16, 256, max(1, len(data)))))
    size = draw.choice((1, 4, 8, 32, 512))
    run = draw.choice((b"\0" * size, b"\xff" * size, draw.randbytes(size), b"\n" * size, b"[" * size))
    return data[:start] + run + data[start + size :]


def longer(data, draw):
    """Bytes put in, or a part of the file once more."""
    at = draw.randrange(len(data) + 1)
    start = draw.randrange(len(data) + 1)
    more = draw.choice((draw.randbytes(draw.choice((1, 7, 300))), data[start : start + 200], data, b"\n\n"))
    return data[:at] + more + data[at:]


def shorter(data, draw):
    start = draw.randrange(len(data) + 1)
    return data[:start] + data[start + draw.choice((1, 2, 8, 100)) :]


def exchanged(data, draw):
    """Two runs of four or eight bytes, such as lengths, in one another's place."""
    size = draw.choice((4, 8))
    if len(data) < 2 * size:
        return data
    a, b = sorted(draw.randrange(len(data) - size + 1) for _ in range(2))
    if b < a + size:
        return data
    return data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]


def length(data, draw):
    """A whole number in the bytes set to an odd one."""
    size = draw.choice((1, 2, 4, 8))
    number = draw.choice((0, 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1, 2**7))
    order = draw.choice(("little", "big"))
    at = draw.randrange(draw.choice((9, 64, max(9, len(data)))))
    return data[:at] + (number % 2 ** (8 * size)).to_bytes(size, order) + data[at + size :]


def numbers(data, draw):
    """A number that is written out replaced by something else."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not found:
        return data
    one = draw.choice(found)
    return data[: one.start()] + _text(_odd(draw)) + data[one.end() :]


def nested(data, draw):
    """Brackets without end in the place of a value."""
    at = draw.choice([m.end() for m in re.finditer(rb"[:=]\s?", data)] or [0])
    return (
        data[:at] + draw.choice((b"9" * 5000, b"[" * DEEP, b'{"a":' * DEEP, b"[" * 60 + b"]" * 60)) + data[at:]
    )


BYTES = [cut, flipped, overwritten, longer, shorter, exchanged, length]
TEXT = [*BYTES, numbers, numbers, nested]


def altered(value, draw):
    """A value of JSON with one thing in it changed: replaced, taken out, doubled or renamed."""
    places = list(_places(value))
    holder, key = draw.choice(places) if places else (None, None)
    if holder is None:
        return _odd(draw)
    what = draw.choice(("replace", "replace", "replace", "remove", "rename", "double"))
    if what == "replace":
        holder[key] = _odd(draw)
    elif what == "remove":
        del holder[key]
    elif isinstance(holder, dict):
        holder[draw.choice(("x", f"{key} ", draw.choice(list(holder))))] = holder.pop(key)
    elif what == "double":
        holder.insert(key, holder[key])
    return value


def _places(value):
    if isinstance(value, dict):
        for key in list(value):
            yield value, key
            yield from _places(value[key])
    elif isinstance(value, list):
        for i, one in enumerate(value):
            yield value, i
            yield from _places(one)


def _text(value):
    return json.dumps(value).encode()


def json_altered(data, draw):
    return _text(altered(json.loads(data), draw))


def line_altered(data, draw):
    """One line of JSON changed, or two lines in one another's place, or one twice."""
    lines = data.splitlines(keepends=True)
    at = draw.randrange(len(lines))
    what = draw.randrange(6)
    if what == 0:
        lines.insert(at, draw.choice(lines))
    elif what == 1:
        lines[at], lines[0] = lines[0], lines[at]
    else:
        lines[at] = json_altered(lines[at], draw) + b"\n"
    return b"".join(lines)


def header_altered(data, draw):
    """A safetensors file with another header, of the right length: the tensors' or our own entries."""
    size = struct.unpack("<Q", data[:8])[0]
    header, rest = json.loads(data[8 : 8 + size]), data[8 + size :]
    own = header["__metadata__"]
    name = draw.choice(list(own))
    if name == "format" or draw.randrange(4) == 0:
        header = altered(header, draw)
    else:
        own[name] = _text(altered(json.loads(own[name]), draw)).decode()
    own.pop("checksum", None)
    new = _text(header)
    return struct.pack("<Q", len(new)) + new + rest


def in_order(data):
    """The same safetensors file, whose writer puts entries in any order."""
    size = struct.unpack("<Q", data[:8])[0]
    new = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True).encode()
    return struct.pack("<Q", len(new)) + new + data[8 + size :]


def archive_altered(data, draw):
    """A zip file with right checksums; one entry was changed, doubled, renamed, taken out or packed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    at = draw.randrange(len(entries))
    if draw.randrange(2):  # the pickle, where most is
        at = next((i for i, (name, _) in enumerate(entries) if name.endswith(".pkl")), at)
    name, content = entries[at]
    what = draw.randrange(6)
    if what == 0:
        entries.insert(draw.randrange(len(entries)), (name, draw.choice(entries)[1]))
    elif what == 1:
        entries[at] = draw.choice(("x", "../x", name + "/", "", name.replace("data", "code"))), content
    elif what == 2:
        del entries[at]
    else:
        entries[at] = name, draw.choice(BYTES)(content, draw)
    packed = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", packed) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return made.getvalue()


def png_altered(data, draw):
    """A PNG file with right checksums, of which one chunk is other, or comes twice."""
    chunks, at = [], 8
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        chunks.append((kind, data[at + 8 : at + 8 + size]))
        at += 12 + size
    at = draw.randrange(len(chunks)) if draw.randrange(2) else 0  # the first has the size
    kind, content = chunks[at]
    if draw.randrange(4):
        chunks[at] = kind, draw.choice((length, flipped, cut, longer))(content, draw)
    else:
        chunks.insert(
            draw.randrange(len(chunks) + 1), (draw.choice((kind, b"iCCP", b"zTXt", b"acTL")), content)
        )
    made = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return data[:8] + b"".join(made)
