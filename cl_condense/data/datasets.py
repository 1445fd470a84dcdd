"""Data sets by name: scikit-learn's digits, torchvision's, ImageNets, MedMNIST's, a folder, an npz file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from torchvision.datasets import CIFAR10, CIFAR100, MNIST, SVHN, FashionMNIST, VisionDataset
from torchvision.datasets.utils import calculate_md5, download_and_extract_archive, download_url

from cl_condense.common.foreign import one_line
from cl_condense.common.paths import path_of
from cl_condense.common.progress import OnProgress
from cl_condense.common.suggest import hint
from cl_condense.data.folder import Part, divided, flat, load_folder, pair
from cl_condense.data.imagenet import SETS, load_imagenet
from cl_condense.data.medmnist import ARRAYS, CLASSES, load_npz
from cl_condense.data.preparation import (
    Note,
    OnNote,
    Pair,
    Preparation,
    no_share,
    no_skipping,
    share_of,
)

_DIGITS = tuple("0123456789")
_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Source:
    """A published data set: torchvision's class, the md5 of each file in ``folder``, mean and std."""

    kind: type[VisionDataset]
    folder: str
    md5: dict[str, str]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def _idx(kind: type[VisionDataset], mean: float, std: float, md5: str) -> Source:
    return Source(kind, f"{kind.__name__}/raw", dict(zip(_IDX, md5.split(), strict=True)), (mean,), (std,))


def _cifar(kind: type[VisionDataset], mean: tuple[float, ...], std: tuple[float, ...]) -> Source:
    listed = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    return Source(kind, kind.base_folder, dict(listed), mean, std)


# torchvision has the md5 of the packed MNIST files only; these are of the unpacked ones, in _IDX order.
_MNIST_MD5 = """6bbc9ace898e44ae57da46a324031adb a25bea736e30d166cdddb491f175f624
    2646ac647ad5339dbf082846283269ea 27ae3e4e09519cfbb04c329615203637"""
_FASHION_MD5 = """f4a8712d7a061bf5bd6d2ca38dc4d50a 9018921c3c673c538a1fc5bad174d6f9
    8181f5470baa50b63fa0f6fddb340f0a 15d484375f8d13e6eb1aabb0c3f46965"""
_SVHN_MD5 = {SVHN.split_list[part][1]: SVHN.split_list[part][2] for part in ("train", "test")}
# The constants of the code of DC and DM. CIFAR-10's std there is the mean of the stds of the single images.
SOURCES = {
    "mnist": _idx(MNIST, 0.1307, 0.3081, _MNIST_MD5),
    "fashion_mnist": _idx(FashionMNIST, 0.2861, 0.3530, _FASHION_MD5),
    "svhn": Source(SVHN, "", _SVHN_MD5, (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    "cifar10": _cifar(CIFAR10, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": _cifar(CIFAR100, (0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)),
}
NAMES: tuple[str, ...] = ("digits", *SOURCES, *SETS, *CLASSES, "folder", ARRAYS)


def load(
    name: str,
    data: str | Path | None = None,
    *,
    size: int | Sequence[int] | str | None = None,
    channels: int | None = None,
    test_share: float | None = None,
    skip_damaged: bool = False,
    classes: Sequence[str] | str | Path | None = None,
    download: bool = False,
    on_progress: OnProgress | None = None,
    on_note: OnNote | None = None,
) -> Pair:
    """The training and the test images of a data set, uint8 ``[n, c, h, w]``.

    ``digits`` is built in and takes no ``data``; a fifth of each class is its test set. The torchvision sets
    keep their official split; their files lie in ``data`` as torchvision leaves them, and only the official
    files are read. TinyImageNet and the ImageNets are ``load_imagenet`` of ``data``, which decodes them once;
    ``folder`` is ``load_folder`` of ``data``, a folder or a CSV file. MedMNIST's sets (``pathmnist``) and
    ``npz`` are ``load_npz`` of ``data``, a file.

    Args:
        name: one of ``NAMES``.
        data: the folder of the files.
        size: every image is scaled to cover a square (``64``) or height x width (``(48, 64)``, ``"48x64"``) and
            its middle is cut out, as torchvision's Resize and CenterCrop do it.
        channels: 1 makes them grey, 3 colour; the normalisation is that of the training images then.
        test_share: of each class for testing in place of a fifth, where a data set has no test part.
        skip_damaged: files of a folder that cannot be read are left out.
        classes: names of those that are taken, ``"cat,dog"``, a list or a .txt file; their labels count from 0.
        download: fetches files that are missing or damaged; an archive that lies where torchvision puts it is
            only unpacked.
        on_progress: told how many images are decoded, for example a ``ProgressBar``.
        on_note: told what was held out or skipped; without it, what was skipped is a warning.

    Raises:
        ValueError: on an unknown name, files that are missing, damaged or not the official ones, and what does
            not fit the data set.
    """
    check_name(name)
    skipped: list[Note] = []
    wanted = Preparation.of(size, channels, test_share, skip_damaged, classes)
    tell = on_note or skipped.append
    found = _loaded(name, data, wanted, download=download, on_progress=on_progress, on_note=tell)
    skipped = [note for note in skipped if note.about == "skipped"]
    if skipped:
        files = f"{len(skipped)} files were" if len(skipped) > 1 else "a file was"
        warnings.warn(f"{files} skipped: {skipped[0].said}", stacklevel=2)
    return found


def _loaded(
    name: str,
    data: str | Path | None,
    wanted: Preparation,
    *,
    download: bool,
    on_progress: OnProgress | None,
    on_note: OnNote,
) -> Pair:
    if name == "digits":
        if data is not None or download:
            raise one_line("digits is built in and reads no files: leave data and download out")
        if wanted.skip_damaged:
            raise one_line("digits is built in and reads no files: leave skip_damaged out")
        return wanted.applied(_digits(share_of(wanted)))
    if data is None:
        where = "name it with --data FILE" if name == ARRAYS else "name the folder they are in with --data DIR"
        raise one_line(f"{name} is read from {'a file' if name == ARRAYS else 'files'}: {where}")
    data = path_of("data", data)
    if name == "folder":
        return load_folder(data, on_progress=on_progress, on_note=on_note, **wanted.given())
    no_share(wanted, name)
    no_skipping(name, wanted)
    if name in SETS:
        return wanted.applied(load_imagenet(name, data, on_progress))
    if name in CLASSES or name == ARRAYS:
        return wanted.applied(load_npz(name, data))
    source, root = SOURCES[name], _root(Path(data), SOURCES[name].folder)
    fault = _fault(source, root)
    if fault and download:
        _fetch(name, source, root)
        fault = _fault(source, root)
    if fault:
        raise one_line(f"{name}: {fault}, or give --download to fetch it")
    train, names = _read(source, root, train=True)
    test, _ = _read(source, root, train=False)
    return wanted.applied(pair(train, test, names, (source.mean, source.std)))


def check_name(name: str) -> None:
    """Raises ValueError for a data set that is not known, with the nearest one, or for the name of a folder."""
    if name not in NAMES:
        folder = isinstance(name, str) and name and os.path.isdir(name)
        own = f"for images of your own give folder and --data {name}; " if folder else ""
        raise one_line(f"unknown data set {name!r}: {own or hint(name, NAMES)}known are {', '.join(NAMES)}")


def _digits(share: float) -> Pair:
    raw = load_digits()
    images = (raw.images / 16 * 255).round().astype(np.uint8)[:, None]
    rows = {name: np.flatnonzero(raw.target == label).tolist() for label, name in enumerate(_DIGITS)}
    (train, labels), (test, test_labels) = map(flat, divided(rows, share))
    return pair((images[train], labels), (images[test], test_labels), _DIGITS)


def _root(data: Path, folder: str) -> Path:
    """The folder that contains ``folder``, also where ``folder`` itself, or a part of it, was named."""
    data, inner = Path(os.path.abspath(data.expanduser())), Path(folder).parts
    if not (data / folder).is_dir():
        for depth in range(len(inner), 0, -1):
            if data.parts[-depth:] == inner[:depth]:
                return data.parents[depth - 1]
    return data


def _fault(source: Source, root: Path) -> str:
    """What is wrong with the files, and what to do about it; empty where they are the official ones."""
    for name, md5 in source.md5.items():
        file = root / source.folder / name
        if not file.is_file():
            needed, holds = ", ".join(source.md5), f"{source.folder}/" if source.folder else "them"
            return f"{file} is missing (needed are {needed}): point --data at the folder that contains {holds}"
        try:
            found = calculate_md5(file)
        except OSError as error:
            return f"{file} cannot be read ({error}): make it readable"
        if found != md5:
            return f"{file} is damaged or not the official file (md5 {found}, not {md5}): replace it"
    return ""


def _fetch(name: str, source: Source, root: Path) -> None:
    # not the classes' own download=True, which does not replace a damaged MNIST file or CIFAR meta file
    kind = source.kind
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 and 3.13 warn of tarfile's default filter
            if kind is SVHN:
                for url, file, md5 in (kind.split_list["train"], kind.split_list["test"]):
                    download_url(url, str(root), file, md5)
            elif issubclass(kind, MNIST):
                for file, md5 in kind.resources:
                    download_and_extract_archive(kind.mirrors[0] + file, str(root / source.folder), md5=md5)
            else:
                download_and_extract_archive(kind.url, str(root), filename=kind.filename, md5=kind.tgz_md5)
    except (OSError, RuntimeError, EOFError, HTTPException) as error:
        raise one_line(
            f"{name} was not fetched to {root} ({error}): try again, or put its files there"
        ) from error


def _read(source: Source, root: Path, *, train: bool) -> tuple[Part, tuple[str, ...]]:
    """One part and the names of the classes; to be called only when ``_fault`` has found none.

    CIFAR's files are pickles, and a pickle can run any code. ``_fault`` has compared the md5 of every one,
    the meta file included, and torchvision 0.26 compares them once more before it unpickles. Its MNIST class
    compares nothing and prefers ``processed/training.pt`` where there is one: MNIST's files are read here.
    """
    kind = source.kind
    if kind is SVHN:
        svhn = SVHN(str(root), split="train" if train else "test")
        return (svhn.data, svhn.labels), _DIGITS
    if issubclass(kind, MNIST):
        images, labels = (root / source.folder / file for file in (_IDX[:2] if train else _IDX[2:]))
        pixels = np.fromfile(images, np.uint8)[16:].reshape(-1, 1, 28, 28)
        return (pixels, np.fromfile(labels, np.uint8)[8:]), _DIGITS if kind is MNIST else tuple(kind.classes)
    cifar = kind(str(root), train=train)
    return (cifar.data.transpose(0, 3, 1, 2), cifar.targets), tuple(cifar.classes)
