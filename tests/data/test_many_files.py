"""Folders decoded in parallel: in the files' order whatever ends first; into a file where memory is small."""

import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from cl_condense.data import gathering, kept
from cl_condense.data.datasets import load
from cl_condense.data.decoding import CACHE
from cl_condense.data.image_file import opened


def photos(folder, n=8, colour=(), side=6):
    """Files of two classes, each a number of its own; those of ``colour`` have three channels."""
    for c, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = np.full((side, side), 10 * (c * n + i), np.uint8)
            image = Image.fromarray(pixels)
            (image.convert("RGB") if (c, i) in colour else image).save(folder / name / f"{i:02}.png")
    return folder


def everything(pair):
    return [torch.sort(part.images.flatten(1), 0).values.tolist() for part in pair], [p.counts for p in pair]


@pytest.fixture
def small_memory(monkeypatch):
    monkeypatch.setattr(kept, "memory_here", lambda: 100)


@pytest.fixture
def opening(monkeypatch):
    """The files that are decoded, and how many at a time; the first ones take the longest."""
    seen, now, lock = [], [0, 0], threading.Lock()

    def slowly(file, *args, **options):
        with lock:
            seen.append(file)
            now[0] += 1
            now[1] = max(now)
        time.sleep(0.02 if file.name < "02.png" else 0)
        try:
            return opened(file, *args, **options)
        finally:
            with lock:
                now[0] -= 1

    monkeypatch.setattr(gathering, "opened", slowly)
    return seen, now


def test_files_are_decoded_side_by_side_and_stay_in_order(tmp_path, opening):
    done = []
    train, test = load("folder", photos(tmp_path), on_progress=lambda progress: done.append(progress.done))
    assert opening[1][1] > 1
    assert done == [*range(1, 17)]
    levels = [int(part.images[i, 0, 0, 0]) for part in (train, test) for i in range(len(part))]
    assert sorted(levels) == [10 * i for i in range(16)]
    for part in (train, test):
        for c in (0, 1):
            own = part.only([c]).images[:, 0, 0, 0].tolist()
            assert own == sorted(own)
            assert all(80 * c <= level < 80 * (c + 1) for level in own)


@pytest.mark.parametrize("memory", ["large", "small"])
def test_the_first_damaged_file_is_named_whatever_is_found_first(memory, tmp_path, opening, request):
    if memory == "small":
        request.getfixturevalue("small_memory")
    photos(tmp_path)
    for name in ("cat/01.png", "cat/03.png", "dog/02.png"):  # the first of them takes the longest
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"cat/01\.png is damaged") as error:
        load("folder", tmp_path)
    assert "\n" not in str(error.value)
    assert not [*tmp_path.rglob("*.npy"), *tmp_path.rglob("*.partial")]


def test_what_memory_is_too_small_for_is_mapped_and_decoded_once(tmp_path, small_memory, opening, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    folder = photos(tmp_path / "photos", colour=[(1, 5)])
    monkeypatch.setattr(kept, "memory_here", lambda: 2**40)
    expected = everything(load("folder", folder))
    monkeypatch.setattr(kept, "memory_here", lambda: 100)
    for again in (False, True):
        opening[0].clear()
        train, test = load("folder", folder)
        assert [part.store.mapped for part in (train, test)] == [True, True]
        assert everything((train, test)) == expected
        assert len(opening[0]) == (1 if again else 17)  # the first says how large all are
    assert len([*(tmp_path / "cache").glob("*.npy")]) == 1
    (folder / "cat" / "03.png").write_bytes((folder / "dog" / "07.png").read_bytes())
    assert everything(load("folder", folder)) != expected


@pytest.mark.parametrize("colour", [[], [(1, 7)]], ids=["grey", "one of colour"])
def test_channels_and_skipped_files_are_remembered(colour, tmp_path, small_memory):
    photos(tmp_path, colour=colour)
    (tmp_path / "cat" / "02.png").write_bytes(b"no image")
    for _ in range(2):
        notes = []
        train, test = load("folder", tmp_path, skip_damaged=True, on_note=notes.append)
        assert [note.file for note in notes if note.about == "skipped"] == [tmp_path / "cat" / "02.png"]
        assert len(train) + len(test) == 15
        assert train.shape == (3 if colour else 1, 6, 6)


def test_a_full_disk_is_told_before_decoding(tmp_path, small_memory, monkeypatch):
    class Full:
        free = 10

    monkeypatch.setattr(kept.shutil, "disk_usage", lambda path: Full)
    with pytest.raises(ValueError, match=r"cannot be kept in .* 0\.0 GB are free.*CL_CONDENSE_CACHE"):
        load("folder", photos(tmp_path))
