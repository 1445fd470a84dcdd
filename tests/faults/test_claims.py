"""Files that claim more than they are: refused by what they say, before anything is taken or waited for."""

import json
import os
import pickle
import socket
import struct
import time
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cl_condense.common import foreign
from cl_condense.condensation.condensed_set import CondensedSet, read_header
from cl_condense.condensation.formats import pickles, torch_files
from cl_condense.condensation.formats.read import read
from cl_condense.data.folder import load_folder
from cl_condense.memory.saved import Saved
from cl_condense.papers.bench import read_scores
from cl_condense.runs import config_file, records
from cl_condense.runs.records import mend

CONSTANTS = (0.5,), (0.2,)

READERS = {
    "a.safetensors": CondensedSet.load,
    "b.safetensors": read_header,
    "c.safetensors": Saved.read,
    "a.pt": lambda path: read(path, CONSTANTS),
    "a.npz": lambda path: read(path, CONSTANTS),
    "records.jsonl": records.read,
    "torn.jsonl": mend,
    "scores.jsonl": read_scores,
    "a.toml": config_file.read,
    "cat/a.png": lambda path: read(path.parents[1], CONSTANTS),
}


def refused(path, reader):
    begun = time.monotonic()
    with pytest.raises(ValueError, match=path.name) as error:
        reader(path)
    assert "\n" not in str(error.value)
    assert time.monotonic() - begun < 5
    return str(error.value)


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices as files are POSIX")
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "loop"])
def test_what_is_no_file_is_never_opened(kind, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path.name)
    if kind == "folder" and path.suffix in (".pt", ".npz"):
        pytest.skip("a folder of images may be called so")
    said = refused(path, READERS[name])
    assert (f"is a {kind}, not a file" in said) == (kind != "loop")


def test_a_name_that_no_file_can_have_is_one_line():
    with pytest.raises(ValueError, match=r"a\\0b cannot be read"):
        foreign.check_file("a\0b", "name another file")


@pytest.mark.parametrize("name", ["records.jsonl", "scores.jsonl", "a.toml"])
def test_a_file_of_text_without_end_is_not_read(name, tmp_path):
    path = tmp_path / name
    with path.open("wb") as file:
        file.truncate(2**40)  # a file of holes
    assert "is too large (1,099,511,627,776 bytes" in refused(path, READERS[name])


def test_more_than_the_machine_has_is_said_before():
    foreign.check_room(2**20, "little")
    with pytest.raises(ValueError, match=r"^much would take 1,048,576 GiB of memory, and the machine has"):
        foreign.check_room(2**50, "much")


def test_nested_json_is_refused_at_any_depth():
    assert foreign.parse("[" * 40 + "]" * 40)
    for depth in (60, 900, 100_000):
        for opens, closes in (("[", "]"), ('{"a":', "}")):
            with pytest.raises(ValueError, match="nested too deeply"):
                foreign.parse(opens * depth + "1" + closes * depth)


# sets and memories


@pytest.fixture
def made():
    pixels = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return CondensedSet(pixels, (0, 1), (2, 2), (0.5,), (0.2,), factor=2)


def forged(made, path, **header):
    """A set whose header says something else."""
    made.save(path, seen=[[0, 2], [1, 2]], experiences=1)
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    parts = json.loads(data[8 : 8 + size])
    own = parts["__metadata__"]
    own.pop("checksum")
    entry = "extra" if header.keys() & {"seen", "experiences"} else "set"
    own[entry] = json.dumps(json.loads(own[entry]) | header)
    text = json.dumps(parts).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
    return path


CLAIMS = [
    *({"class_ids": [0, bad]} for bad in (2**63, 10**30, -1, 1.5, "1", None, [1])),
    *({"counts": bad} for bad in ([2, 2**62], [4, 0], [2, 3], [5, -1], 4)),
    *({"mean": bad} for bad in ([10**400], [2**64], [True], [None], [1e400], [float("nan")], ["0.5"], [], 0.5)),
    *({"std": bad} for bad in ([0], [-1], [1e-320], [1e31])),
    *({"factor": bad} for bad in (0, 3, 2**40, 2.0, "2")),
    *({"recipe": bad} for bad in ([], "dm", None)),
    *({"seed": bad} for bad in (None, "0", 1.5)),
    *({"codec": bad} for bad in ("zip", None, ["float32"])),
    *({"names": bad} for bad in (["a"], [1, 2], "ab" * 1000)),
    *({"seen": bad} for bad in ([[0, 2]], [[0, 2], [0, 3]], [[0, 2], [1, 0]], [[0, 2], [1, 10**30]], 3, [[0]])),
    *({"experiences": bad} for bad in (0, 1.0, 10**30, "1", None)),
    {"unknown": 1},
]


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_a_header_that_claims_what_cannot_be_is_refused(claim, made, tmp_path):
    path = forged(made, tmp_path / "a.safetensors", **claim)
    assert len(refused(path, Saved.read)) < 600


def test_a_header_without_a_change_is_taken(made, tmp_path):
    assert Saved.read(forged(made, tmp_path / "a.safetensors")).seen == {0: 2, 1: 2}


def test_a_factor_that_makes_more_images_than_memory_holds_is_refused(made, tmp_path, monkeypatch):
    pages = {"SC_PHYS_PAGES": 1, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", lambda name: pages[name])
    assert replace(made, factor=1).decode()[0].nbytes == 1024
    with pytest.raises(ValueError, match=r"a condensed set of 256 images would take"):
        replace(made, factor=8)


def test_bytes_that_changed_are_noticed_wherever_they_are(made, tmp_path):
    path = tmp_path / "a.safetensors"
    made.save(path)
    good = path.read_bytes()
    for at in (len(good) - 1, len(good) - 500, good.index(b"dm") if b"dm" in good else good.index(b"seed")):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert "cannot be read as a condensed set" in refused(path, CondensedSet.load)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("cl-condense 3", "is a condensed set of a later version (format 'cl-condense 3', known is"),
        (
            "cl-condense 0",
            "is a condensed set of an earlier version (format 'cl-condense 0'), which is read no",
        ),
        ("cl-condense checkpoint 3", "its format is 'cl-condense checkpoint 3', not 'cl-condense 2'"),
        (None, "its format is None, not 'cl-condense 2'"),
    ],
)
def test_a_file_of_another_version_says_which(form, words, tmp_path):
    meta = {} if form is None else {"format": form}
    save_file({"pixels": torch.zeros(1)}, tmp_path / "a.safetensors", metadata=meta)
    assert words in refused(tmp_path / "a.safetensors", CondensedSet.load)


def test_the_format_before_codecs_is_read(made, tmp_path):
    path = tmp_path / "a.safetensors"
    made.save(path)
    data = path.read_bytes().replace(b'"cl-condense 2"', b'"cl-condense 1"')
    head = data.index(b'"checksum":"')
    path.write_bytes(data[:head] + b'"overlook":"' + data[head + 12 :])  # it had none
    assert torch.equal(CondensedSet.load(path).pixels, made.pixels)


# .pt files


def test_a_tensor_of_few_bytes_that_shows_many_is_refused(tmp_path):
    images = torch.zeros(1).as_strided((51, 1000, 500, 500), (0, 0, 0, 0))
    torch.save({"data": [[images, torch.zeros(51).long()]]}, tmp_path / "a.pt")
    assert "51,000,000,000 bytes are too many" in refused(tmp_path / "a.pt", READERS["a.pt"])
    few = torch.zeros(1, 1, 8, 8).expand(2, 1, 8, 8)
    torch.save({"data": [[few, torch.tensor([0, 1])]]}, tmp_path / "b.pt")
    assert len(read(tmp_path / "b.pt", CONSTANTS).set) == 2


def packed(path, pickled, **entries):
    """A file of torch's with a pickle of one's own."""
    torch.save({"data": []}, path)
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, pickled if name.endswith("data.pkl") else content)
    return path


def laughs(depth):
    """A key of tuples that hold the one before twice: its hash takes 2**depth steps."""
    pickled = b"\x80\x02}q\x00K\x00K\x01\x86q\x01"
    for i in range(depth):
        pickled += b"h" + bytes([i + 1]) + b"\x86q" + bytes([i + 2])
    return pickled + b"K\x01s."


PICKLES = {
    "bytes of a number": b"\x80\x02cbuiltins\nbytearray\nq\x00\x8a\x05\x00\xe8\x76\x48\x17\x85R.",
    "code": b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "code, later": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
    "tuples": laughs(60),
    "a thing twice": b"\x80\x02K\x00\x852\x86.",
    "a number without end": b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".",
    "nothing on the stack": b"\x80\x02\x86.",
    "cut": b"\x80\x02}X\xff\xff\xff\x7fdata",
}


@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_is_looked_through_before_it_is_read(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    path = packed(tmp_path / "a.pt", PICKLES[kind])
    assert "cannot be read as tensors" in refused(path, READERS["a.pt"])
    path.write_bytes(PICKLES[kind])
    assert "cannot be read as tensors" in refused(path, READERS["a.pt"])


def test_lists_that_hold_the_one_before_twice_are_not_walked_through(tmp_path):
    """Written out, the list has 2**60 numbers."""
    many = [0]
    for _ in range(60):
        many = [many, many]
    pair = [torch.zeros(2, 1, 8, 8), torch.tensor([0, 1])]
    for found in ({"data": [pair], "cl-condense": {"space": many}}, {"data": many}, {"x": many}, many):
        torch.save(found, tmp_path / "a.pt")
        refused(tmp_path / "a.pt", READERS["a.pt"])


def test_what_sets_have_in_their_pickles_is_taken():
    plain = {"a": [1, 2.5, None, True, "x", (1, (2, 3)), {"b": 10**20}], 5: b"", "c": [["x"] * 100] * 3}
    for protocol in (0, 1, 2, 3, 4, 5):
        pickles.check_pickle(pickle.dumps(plain | {5: ""}, protocol))


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_files, "MOST", 2**20)
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/data/0", bytes(2**21))
    assert "2,097,156 bytes are too many" in refused(path, READERS["a.pt"])


# pictures


def png(width, height):
    """A picture of any size in a few bytes."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(100))),
    ]
    parts += [(b"IEND", b"")]
    chunks = (struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (100_000, 100_000), (1, 2**31 - 1), (0, 5)])
@pytest.mark.parametrize("reader", [lambda path: read(path, CONSTANTS), load_folder])
def test_a_picture_that_claims_gigapixels_is_refused(reader, size, tmp_path):
    (tmp_path / "cat").mkdir()
    for i in range(2):
        (tmp_path / "cat" / f"{i}.png").write_bytes(png(*size))
    with pytest.raises(ValueError, match=r"[01]\.png (has too many pixels|is damaged)") as error:
        reader(tmp_path)
    assert "\n" not in str(error.value)


def test_pictures_of_a_set_that_are_large_together_are_refused_after_the_first(tmp_path, monkeypatch):
    from PIL import Image

    (tmp_path / "cat").mkdir()
    for i in range(9):
        Image.new("L", (64, 64)).save(tmp_path / "cat" / f"{i}.png")
    pages = {"SC_PHYS_PAGES": 8, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", lambda name: pages[name])
    with pytest.raises(ValueError, match=r"9 images of 64 x 64 would take"):
        read(tmp_path, CONSTANTS)
