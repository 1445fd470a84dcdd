"""A folder of things that commands may be pointed at by mistake: what users have, and what nobody should."""

import json
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.class_memory import ClassMemory


def make(folder, train):
    """Fills an empty folder; ``train`` are the digits."""
    _sets(folder, train)
    _files(folder)
    _links(folder)
    _photos(folder)
    _results(folder)


def images(classes, side=8, channels=1, each=2):
    """Random pixels of some classes."""
    generator = torch.Generator().manual_seed(0)
    shape = (len(classes) * each, channels, side, side)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return ImageSet.of(pixels, torch.tensor(classes).repeat_interleave(each))


def condensed(real, ipc):
    """A set of the first images of each class."""
    return CondensedSet.of(real, real.take(real.draw(ipc, 0)), {"name": "random", "iterations": 0}, 0)


def _sets(folder, train):
    made = condensed(train, 1)
    made.save(folder / "set.safetensors")
    condensed(train, 3).save(folder / "three.safetensors")
    condensed(images(range(10), side=16), 2).save(folder / "larger.safetensors")
    condensed(images(range(12)), 2).save(folder / "twelve.safetensors")
    made.save(folder / "names.safetensors")
    odd = CondensedSet(made.pixels, (0, 1), (5, 5), made.mean, made.std, names=("red panda", "ibex"))
    odd.save(folder / "animals.safetensors")
    memory = ClassMemory(20, method="random", device="cpu")
    memory.update(train)
    memory.save(folder / "memory.safetensors")
    x, y = made.decode()
    torch.save({"data": [[x, y], [x, y]]}, folder / "pairs.pt")
    torch.save({"data": [[x, y[:3]]]}, folder / "short.pt")
    torch.save({"data": [x, y]}, folder / "flat.pt")
    torch.save({"data": []}, folder / "none.pt")
    torch.save({"weight": x}, folder / "weights.pt")
    torch.save({"data": [[x.expand(10, 3, 8, 8), y]]}, folder / "colour.pt")
    torch.save({"data": [[x * torch.nan, y]]}, folder / "nan.pt")
    torch.save({"data": [[x, y + 5]]}, folder / "labels.pt")
    torch.save({"data": [[x, y - 5]]}, folder / "negative.pt")
    torch.save(lambda_free(), folder / "code.pt")
    _of_others(folder, x, y)
    save_file({"weight": x.contiguous()}, folder / "weights.safetensors")
    whole = (folder / "pairs.pt").read_bytes()
    (folder / "cut.pt").write_bytes(whole[: len(whole) // 2])
    whole = (folder / "set.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])


def _of_others(folder, x, y):
    """Sets of other layouts, each with something that does not fit."""
    torch.save([1, 2], folder / "numbers.pt")
    torch.save([x, y, y], folder / "three-parts.pt")
    torch.save([x, torch.full((10, 3), 1 / 3)], folder / "soft.pt")
    torch.save([x, y], folder / "listed.pt")
    torch.save(x[:7], folder / "seven.pt")
    np.savez(folder / "labels.npz", labels=np.zeros(3))
    np.savez(folder / "objects.npz", images=np.array([{}], dtype=object))
    np.savez(folder / "part.npz", train_images=np.zeros((3, 8, 8), np.uint8), train_labels=np.zeros(3, int))
    (folder / "text.npz").write_text("hello\n")
    (folder / "table").mkdir()
    (folder / "table" / "classes.json").write_text('{"classes": [{"folder": "../set", "label": 0}]}')
    (folder / "parquet" / "data").mkdir(parents=True)
    (folder / "parquet" / "data" / "train-00000-of-00001.parquet").write_text("hello\n")


def lambda_free():
    """An object that reading would have to build by code."""
    return Path("somewhere")


def _files(folder):
    for name in ("text.txt", "text.pt", "text.safetensors", "text.jsonl", "notes.md", "mine.toml", "mine.json"):
        (folder / name).write_text("hello\n")
    for name in ("empty", "empty.pt", "empty.safetensors", "empty.jsonl", "empty.toml"):
        (folder / name).touch()
    for name in ("picture.png", "picture.pt", "picture.safetensors", "mine.png"):
        Image.new("L", (8, 8)).save(folder / name, "PNG")
    (folder / "list.json").write_text("[1, 2]\n")
    (folder / "other.jsonl").write_text('{"name": "somebody"}\n')
    (folder / "bytes.toml").write_bytes(b"ipc = \xff\n")
    (folder / "deep.jsonl").write_text("[" * 20_000 + "\n")
    np.savez(folder / "arrays.npz", x=np.zeros(3))
    for name in ("hollow", "folder.pt", "folder.safetensors", "folder.html", "folder.toml", "folder.jsonl"):
        (folder / name).mkdir()
    (folder / "filled").mkdir()
    (folder / "filled" / "notes.txt").write_text("mine\n")


def _links(folder):
    for name in ("dangling", "dangling.safetensors", "dangling.pt"):
        (folder / name).symlink_to("nowhere")
    for name in ("loop", "loop.safetensors", "loop.html", "loop.toml"):
        (folder / name).symlink_to(name)
    for name in ("pipe", "pipe.pt", "pipe.safetensors", "pipe.toml", "pipe.jsonl"):
        os.mkfifo(folder / name)


def _photos(folder):
    def picture(path, side=8, value=0, mode="L"):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, (side, side), value).save(path)

    for part in ("train", "test"):
        for name in ("cat", "dog"):
            for i in range(3):
                picture(folder / "photos" / part / name / f"{i}.png", value=20 * i)
                picture(folder / "sizes" / part / name / f"{i}.png", side=8 + i)
                picture(folder / "deep32" / part / name / f"{i}.tif", mode="F")
        for i in range(3):
            picture(folder / "one-class" / part / "cat" / f"{i}.png", value=20 * i)
    for name in ("cat", "dog"):
        picture(folder / "single" / name / "0.png")
        picture(folder / "damaged" / name / "0.png")
        picture(folder / "damaged" / name / "1.png")
        picture(folder / "train-only" / "train" / name / "0.png")
        picture(folder / "unequal" / "train" / name / "0.png")
    (folder / "damaged" / "dog" / "1.png").write_text("no picture")
    _lists(folder)
    picture(folder / "unequal" / "test" / "cat" / "0.png")
    picture(folder / "vacant" / "cat" / "0.png")
    (folder / "vacant" / "dog").mkdir()
    picture(folder / "loose" / "0.png")
    (folder / "cifar" / "cifar-10-batches-py").mkdir(parents=True)
    for name in ("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (folder / "cifar" / "cifar-10-batches-py" / name).write_text("no batch")


def _lists(folder):
    """CSV files that list photos, and what is none."""
    cat, dog = "photos/train/cat/0.png,cat", "photos/train/dog/0.png,dog"
    lists = {
        "list.csv": f"path,label\n{cat}\n{dog}\n",
        "columns.csv": f"name,kind\n{cat}\n",
        "part.csv": f"path,label,split\n{cat},trian\n",
        "absent.csv": "path,label\nabsent.png,cat\nabsent2.png,cat\n",
        "head.csv": "path,label\n",
        "text.csv": "hello",
        "empty.csv": "",
        "two/a.csv": "path,label\n",
        "two/b.csv": "path,label\n",
    }
    (folder / "two").mkdir()
    for name, text in lists.items():
        (folder / name).write_text(text)
    (folder / "bytes.csv").write_bytes(b"path,label\n\xff\xfe,cat\n")
    (folder / "classes.txt").write_text("cat\nibex\n")


def _results(folder):
    def write(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write(folder / "damaged-run" / "settings.json", "{")
    write(folder / "damaged-run" / "records.jsonl", "")
    write(folder / "list-run" / "settings.json", "[]")
    write(folder / "old-run" / "settings.json", json.dumps({"dataset": "digits", "orders": 5}))
    write(folder / "torn" / "scores.jsonl", '{"accuracies": [0.5]}\n')
    write(folder / "text-scores" / "scores.jsonl", "hello\n")
    write(folder / "twice-scores" / "scores.jsonl", "")
    write(folder / "dm.checkpoint", "hello\n")


def named(train, test):
    """What expressions of a list may name: all that is public, and what they need."""
    from math import inf, nan
    from types import SimpleNamespace

    import cl_condense
    from cl_condense.data.folder import load_folder
    from cl_condense.networks.registry import architecture

    def memory(size):
        return ClassMemory(size, method="random", device="cpu")

    def full(size):
        made = memory(size)
        made.update(train)
        return made

    def buffer(size):
        return cl_condense.CondensedBuffer(size, method="random", device="cpu")

    public = {name: getattr(cl_condense, name) for name in cl_condense.__all__}
    functions = {"load_folder": load_folder, "architecture": architecture, "memory": memory, "full": full}
    plain = {"inf": inf, "nan": nan, "np": np, "torch": torch, "SimpleNamespace": SimpleNamespace}
    data = {
        "test": test,
        "x": train.take(torch.arange(20)),
        "y": torch.arange(20) % 10,
        "digits": train,
        "larger": images(range(10), side=16),
        "colour": images(range(10), channels=3),
        "other": ImageSet.of(train.images, train.labels, normalisation=((0.1,), (0.1,))),
        "weighted": ImageSet.of(train.images, train.labels, weights=torch.ones(len(train))),
        "made": condensed(train, 1),
        "larger_set": condensed(images(range(10), side=16), 1),
        "net": cl_condense.MakeConvNet((1, 8, 8), 8, 1),
    }
    return {**public, "cl_condense": cl_condense, **functions, "buffer": buffer, **plain, **data}
