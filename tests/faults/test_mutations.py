"""Damaged files of every format: a right reading, or one line that names the file; never anything else.

``pytest tests/faults/test_mutations.py --mutations 5000`` tries more of them. A failure names the numbers of
its files; the same number makes the same file again.
"""

import json
import random
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import NamedTuple

import click
import mutations as m
import numpy as np
import pytest
import torch
from memories import class_memory, pixels_of
from PIL import Image
from small_runs import TINY
from trials import failures

from cl_condense.cli.condense import condense as condense_command
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.export import export
from cl_condense.condensation.formats.read import read
from cl_condense.condensation.formats.settling import left_open
from cl_condense.condensation.sources.pool_file import PoolFile
from cl_condense.data.folder import load_folder
from cl_condense.data.medmnist import load_npz
from cl_condense.networks.convnet import ConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.papers import published
from cl_condense.papers.bench import Bench, read_scores
from cl_condense.papers.set_work import SetWork
from cl_condense.reports.html import write
from cl_condense.reports.summary import accuracy_plot, accuracy_table
from cl_condense.runs import config_file, records, single
from cl_condense.runs.config import CondenseConfig, TrainConfig
from cl_condense.runs.incremental import Run
from cl_condense.runs.single import Job

CONSTANTS = (0.5,), (0.2,)
CLASSES = {1: "cat", 3: "red panda", 10: "owl"}
REAL = pixels_of(1, 3, 10, n=8)
JOB = CondenseConfig("digits", "dm", ipc=2, iterations=6, real_per_class=4, width=8, depth=1)
RUN = TINY.changed(methods=("random",), orders=1, networks=1, epochs=1, steps=1)


def a_set(channels=1):
    pixels = torch.randn(6, channels, 8, 8, generator=torch.Generator().manual_seed(0))
    own = {"class_ids": (1, 3, 10), "counts": (2, 2, 2), "factor": 2}
    own |= {"mean": (0.5,) * channels, "std": (0.2,) * channels}
    own |= {
        "names": tuple(CLASSES.values()),
        "recipe": {"name": "dm", "iterations": 3, "terms": [{"weight": 1.0}]},
    }
    return CondensedSet(pixels, **own).coded("uint8")


def used(made):
    """What all that takes a set does with it."""
    made.decode(), made.to_pixels(decoded=True), made.labels, made.nbytes, repr(made.relabelled(made.class_ids))
    return made


class Stop(Exception):
    pass


def half(path, method):
    """A condensation that was interrupted."""

    def stop(progress):
        if progress.done == 3:
            raise Stop

    with pytest.raises(Stop):
        single.run(Job(replace(JOB, method=method), path.with_suffix(".safetensors")), REAL, stop)


def go_on(path, method):
    files = Job(replace(JOB, method=method), path.with_suffix(".safetensors")).files()
    try:
        single.run(Job(replace(JOB, method=method), files["set"]), REAL)
    finally:
        for file in files.values():
            file.unlink(missing_ok=True)


def write_records(path):
    own = {
        "method": "dm",
        "dataset": "digits",
        "order": 0,
        "step": 1,
        "classes_seen": 2,
        "accuracies": [0.5, 0.25],
    }
    own |= {"accuracy": 0.375, "stored_images": 4, "stored_bytes": 256, "condense_seconds": 1.0}
    own |= {
        "train_seconds": 0.5,
        "economy": True,
        "versions": {"torch": "2"},
        "seed": 0,
        "recipe": {"name": "dm"},
    }
    path.write_text("".join(json.dumps(own | {"step": step}) + "\n" for step in (1, 2, 3)))


def show_records(path):
    found = records.read(path)
    if found:
        accuracy_table(found)
        accuracy_plot(found, path.with_suffix(".png"))


WORK = SetWork(CondenseConfig("digits", "dm", ipc=2), TrainConfig("digits", epochs=300))


def write_scores(path):
    own = {"accuracies": [0.5, 0.25], "seconds": 1.5, "device": "cpu", "codec": "uint8", "commit": "abc1234"}
    others = ({}, {"epochs": 2}, {"networks": 7})
    path.write_text("".join(json.dumps({"work": WORK.identity() | o, **own}) + "\n" for o in others))
    (path.parent / "sets").mkdir(exist_ok=True)
    made = {"method": "dm", "dataset": "digits", "seed": 0, "seconds": 2.0, "losses": [[1, 0.5]], "width": 128}
    (path.parent / MADE).write_text(json.dumps(made))


def show_scores(path):
    found = Bench(path.parent, None, {}).scores()
    WORK.accuracies(found), WORK.account(path.parent, found), json.dumps(found)


MADE = f"sets/{Path(WORK.set_name()).with_suffix('.json')}"


def write_made(path):
    write_scores(path.parents[1] / "scores.jsonl")


def show_made(path):
    folder = path.parents[1]
    json.dumps(WORK.account(folder, read_scores(folder / "scores.jsonl")))


def options(path):
    """As a command line takes them."""
    try:
        condense_command.make_context("condense", ["--config", str(path)])
    except click.ClickException as error:
        raise ValueError(f"--config: {error.format_message()}") from None


def write_results(folder):
    """A run, a set, scores of it: what a report finds."""
    (folder / "run").mkdir(parents=True)
    write_scores(folder / "scores.jsonl")
    a_set().save(folder / "sets" / WORK.set_name())
    write_records(folder / "run" / "records.jsonl")
    (folder / "run" / "settings.json").write_text(json.dumps(RUN.values()))


def report(folder):
    """Whatever is damaged in it, a report is written, or says that nothing can be read."""
    write(folder, folder.parent / "report.html")


def picture(path):
    drawn = Image.effect_noise((12, 12), 80)
    drawn.save(path.with_name("good.png"))
    drawn.save(path)


def torch_file(zipped, path):
    images, labels = a_set().decode()
    accuracies = [0.5, np.float64(0.25), np.float32(0.5)]
    found = {"data": [[images, labels]], "accs": {"ConvNet": accuracies}, "cl-condense": left_open(a_set())}
    torch.save(found, path, _use_new_zipfile_serialization=zipped)


def listed(path):
    soft = torch.softmax(torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), 1)
    torch.save([a_set().pixels, soft], path)


def bare(path):
    torch.save(a_set().pixels, path)
    torch.save(a_set().labels, path.with_name("labels.pt"))


def take_set(path):
    used(read(path, CONSTANTS, CLASSES).set)


def take_three(path):
    """As a set of a data set whose classes soft labels can be of."""
    used(read(path, CONSTANTS, {0: "cat", 1: "red panda", 2: "owl"}).set)


def exported(kind, folder, channels, path):
    """A set in the folder that a file lies so deep in."""
    made = export(a_set(channels), path.parents[folder].with_name("made"), kind)
    copytree(made, path.parents[folder], dirs_exist_ok=True)


def take_folder(folder, channels, path):
    used(read(path.parents[folder], ((0.5,) * channels, (0.2,) * channels), CLASSES).set)


def a_data_set(path):
    arrays = {f"{part}_images": REAL.images.numpy() for part in ("train", "test")}
    np.savez_compressed(path, **arrays, **{f"{part}_labels": REAL.labels.numpy() for part in ("train", "test")})


def save_memory(path):
    memory = class_memory(12)
    memory.update(REAL)
    memory.save(path, seconds=0.5)


def go_on_with_memory(path):
    memory = class_memory(12)
    memory.load(path)
    with suppress(ValueError):  # of images that do not go with these
        memory.update(pixels_of(1, 5, n=8, seed=1))


def open_run(path):
    Run(RUN, REAL, REAL, path.parent)


def pool():
    """The file of a pool, wherever it is, and two networks of it."""
    nets = [ConvNet((1, 8, 8), 3, width=4, depth=1) for _ in range(2)]
    for number, net in enumerate(nets):
        Initialiser(net)(number)
    return PoolFile(Path(), {"size": 2, "network": {"kind": "MakeConvNet"}}), nets


def save_pool(path):
    file, nets = pool()
    file.path = path
    file.keep(nets)


def take_pool(path):
    """Damaged is as absent: nothing is raised, and the networks are as before."""
    (file, nets), (_, before) = pool(), pool()
    file.path = path
    if not file.load(nets):
        for net, own in zip(nets, before, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(net.parameters(), own.parameters(), strict=True))


def table(path):
    """Some lines of the published numbers."""
    lines = Path(published.__file__).with_name("published.csv").read_text().splitlines()
    path.write_text("\n".join(lines[:4]) + "\n")


class Format(NamedTuple):
    """A kind of file: what writes a good one, what reads it, and what damages it."""

    make: Callable
    take: Callable
    changes: list


def headed(make, take):
    return Format(make, take, [*m.TEXT, *[m.header_altered] * 10])


def of_json(make, take, change=m.json_altered):
    return Format(make, take, [*m.TEXT, *[change] * 10])


HUB = "hub/data/train-00000-of-00001.parquet"
FORMATS = {
    "a.safetensors": headed(lambda path: a_set().save(path), take_set),
    "memory.safetensors": headed(save_memory, go_on_with_memory),
    "dm.checkpoint": headed(partial(half, method="dm"), partial(go_on, method="dm")),
    "dance.checkpoint": headed(partial(half, method="dance"), partial(go_on, method="dance")),
    "a.pool": headed(save_pool, take_pool),
    "idm.checkpoint": headed(partial(half, method="idm"), partial(go_on, method="idm")),
    "zip.pt": Format(partial(torch_file, True), take_set, [*m.BYTES, *[m.archive_altered] * 10]),
    "old.pt": Format(partial(torch_file, False), take_set, m.BYTES),
    "list.pt": Format(listed, take_three, [*m.BYTES, *[m.archive_altered] * 10]),
    "images.pt": Format(bare, take_set, [*m.BYTES, *[m.archive_altered] * 10]),
    "a.npz": Format(lambda path: export(a_set(), path, "npz"), take_set, [*m.BYTES, *[m.archive_altered] * 5]),
    "mine.npz": Format(a_data_set, lambda path: load_npz("npz", path), [*m.BYTES, *[m.archive_altered] * 5]),
    "set/classes.json": of_json(partial(exported, "png", 0, 1), partial(take_folder, 0, 1)),
    "set/cat/000000.npy": Format(partial(exported, "png", 1, 2), partial(take_folder, 1, 2), m.BYTES),
    HUB: Format(partial(exported, "hub", 1, 3), partial(take_folder, 1, 3), m.BYTES),
    "records.jsonl": of_json(write_records, show_records, m.line_altered),
    "scores.jsonl": of_json(write_scores, show_scores, m.line_altered),
    MADE: of_json(write_made, show_made),
    "run/settings.json": of_json(open_run, open_run),
    "a.toml": Format(lambda path: config_file.write(path, config_file.options(JOB)), options, m.TEXT),
    "cells.csv": Format(table, published.read, m.TEXT),
    "set/cat/a.png": Format(picture, lambda path: take_set(path.parents[1]), [*m.BYTES, *[m.png_altered] * 10]),
    **{
        f"pictures/cat/a.{kind}": Format(picture, lambda path: load_folder(path.parents[1]), m.BYTES)
        for kind in ("jpg", "bmp", "webp")
    },
}
"""By the name of the file."""

OTHERWISE = {"run/settings.json": "run holds a run", "a.toml": "--"}
OTHERWISE |= {"set/classes.json": "set", "set/cat/000000.npy": "set"}
OTHERWISE["records.jsonl"] = "records of several data sets"
OTHERWISE |= dict.fromkeys(("dm.checkpoint", "dance.checkpoint", "idm.checkpoint"), "diverged: pixels")
"""What names a file as well: its folder, the option that it has; what finite weights of any size lead to."""


def change(data, changes, draw):
    """The bytes of a good file, damaged."""
    for _ in range(draw.choice((1, 1, 1, 2))):
        with suppress(Exception):  # what the first change left may be no such file any more
            data = draw.choice(changes)(data, draw)
    return data


def fault(path, take, otherwise=None):
    """What is wrong with how a file is read; nothing for a reading, or one line that names it."""
    try:
        take(path)
    except ValueError as error:
        text = str(error)
        if path.name not in text and not (otherwise and otherwise in text):
            raise
        return "" if "\n" not in text and len(text) < 1000 else f"no one line: {text[:300]!r}"
    return ""


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_read_right_or_named_in_one_line(name, tmp_path, pytestconfig, monkeypatch, tried):
    if name == HUB:
        pytest.importorskip("pyarrow")
    path, (make, take, changes) = tmp_path / name, FORMATS[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    good = path.read_bytes()
    if m.header_altered in changes:
        good = m.in_order(good)
        path.write_bytes(good)

    def trial(number):
        path.write_bytes(change(good, changes, random.Random(f"{name} {number}")))
        return fault(path, take, OTHERWISE.get(name))

    take(path)
    monkeypatch.setattr(single, "using_threads", nullcontext)  # thousands would pass the limit of memory
    numbers = range(pytestconfig.getoption("mutations"))
    found = failures(trial, numbers)
    tried(name, numbers, found)
    assert found == {}


@pytest.mark.parametrize("number", [2457, 5598])
def test_a_parquet_file_that_asks_for_more_memory_than_it_says_is_one_line(number, tmp_path):
    """Damaged files 2,457 and 5,598 of this format: 2 GiB where a trial has one."""
    pytest.importorskip("pyarrow")
    path, (make, take, changes) = tmp_path / HUB, FORMATS[HUB]
    path.parent.mkdir(parents=True)
    make(path)
    path.write_bytes(change(path.read_bytes(), changes, random.Random(f"{HUB} {number}")))
    assert failures(lambda _: fault(path, take), [number]) == {}


def test_a_report_is_written_whatever_is_damaged_in_its_folder(tmp_path, pytestconfig, tried):
    write_results(tmp_path / "results")
    good = {path: path.read_bytes() for path in sorted((tmp_path / "results").rglob("*.*"))}

    def trial(number):
        draw = random.Random(f"report {number}")
        path = draw.choice(list(good))
        kinds = {".jsonl": m.line_altered, ".json": m.json_altered, ".safetensors": m.header_altered}
        path.write_bytes(change(good[path], [*m.TEXT, *[kinds[path.suffix]] * 10], draw))
        try:
            return fault(path, lambda path: report(tmp_path / "results"), "results")
        finally:
            path.write_bytes(good[path])

    report(tmp_path / "results")
    numbers = range(pytestconfig.getoption("mutations") // 10)
    found = failures(trial, numbers)
    tried("a folder of results", numbers, found)
    assert found == {}
